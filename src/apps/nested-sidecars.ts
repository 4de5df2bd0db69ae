import type { Process } from '../context/process.ts';
import type { Container } from './identity.ts';

/** Sidecars of one container that are told apart; processes in any further one pass as the container's own. */
const SIDECARS_MAX = 64;

/** Names the sidecar in whose cgroup, inside its container's, a process runs. Objects are made once for each sidecar. */
export class NestedSidecars {
  readonly #nameOf: (container: Container, path: string) => string | undefined;
  readonly #known = new WeakMap<Container, Map<string, Container>>();

  constructor(nameOf: (container: Container, path: string) => string | undefined) {
    this.#nameOf = nameOf;
  }

  /** The container as detections in the process show it. */
  containerOf(container: Container, { nestedCgroup }: Process): Container {
    if (nestedCgroup === undefined || container.sidecar !== undefined) return container;
    let known = this.#known.get(container);
    if (known === undefined) this.#known.set(container, (known = new Map<string, Container>()));
    const before = known.get(nestedCgroup);
    if (before !== undefined) return before;
    if (known.size >= SIDECARS_MAX) return container;
    const sidecar = this.#nameOf(container, nestedCgroup);
    const found = sidecar === undefined ? container : { ...container, sidecar };
    known.set(nestedCgroup, found);
    return found;
  }
}
