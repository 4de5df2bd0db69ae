import type { Container } from '../apps/identity.ts';
import { HOST } from './instance-key.ts';
import type { Lost } from './notices.ts';

/** Containers whose losses wait to be told; of more only the stream's own counters know. */
const MAX_CONTAINERS = 1024;

/** What is missing, by container, until it is told. */
export class Losses {
  readonly #byContainer = new Map<string, Lost>();

  note(container: Container | undefined, timeNs: bigint, count: number): void {
    this.add({ container, count, firstNs: timeNs, lastNs: timeNs });
  }

  add({ container, count, firstNs, lastNs }: Lost): void {
    const key = container?.fullId ?? HOST;
    const before = this.#byContainer.get(key);
    if (before === undefined && this.#byContainer.size >= MAX_CONTAINERS) return;
    this.#byContainer.set(key, {
      container,
      count: (before?.count ?? 0) + count,
      firstNs: before?.firstNs ?? firstNs,
      lastNs,
    });
  }

  /** All of it, once. */
  take(): readonly Lost[] {
    const lost = [...this.#byContainer.values()];
    this.#byContainer.clear();
    return lost;
  }
}
