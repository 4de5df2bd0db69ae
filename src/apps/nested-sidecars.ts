import type { Process } from '../context/process.ts';
import type { Container } from './identity.ts';

/** Limit on sidecars per container; processes in further ones count as the container's own. */
const SIDECARS_MAX = 64;

/** Finds the sidecar of a process in a cgroup nested in its container's. Makes one object per sidecar. */
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
