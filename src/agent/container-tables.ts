import type { ScopeMap } from '../probe/scope.ts';
import type { Member } from './verdict-group.ts';
import { NONE } from './verdict-numbers.ts';

export interface ContainerTablesOptions {
  readonly scope: ScopeMap;
  /** CLOCK_BOOTTIME in ns. */
  readonly bootNs: () => bigint;
  /** The kernel did not take a number. */
  readonly onRefused: (error: unknown) => void;
}

/** Which table each container has in the kernel. */
export class ContainerTables {
  readonly #options: ContainerTablesOptions;
  /** By cgroup: the number that the kernel has, unless it is NONE; since when it has that table, or none. */
  readonly #told = new Map<number, number>();
  readonly #since = new Map<number, bigint>();

  constructor(options: ContainerTablesOptions) {
    this.#options = options;
  }

  /** Containers that have one, by cgroup. */
  get told(): ReadonlyMap<number, number> {
    return this.#told;
  }

  /** CLOCK_BOOTTIME in ns; 0: since it is followed. */
  sinceOf(cgroupId: number): bigint {
    return this.#since.get(cgroupId) ?? 0n;
  }

  /**
   * Tells the kernel the number of the container's table. The state is read from the kernel: the state known here may be a
   * second old.
   */
  tell({ cgroupId, level }: Member, number: number): void {
    if ((this.#told.get(cgroupId) ?? NONE) === number) return;
    const { scope } = this.#options;
    try {
      const state = scope.get(cgroupId)?.state;
      if (state === undefined) {
        this.#told.delete(cgroupId);
        return;
      }
      scope.set(cgroupId, state, level, number);
      this.note(cgroupId, number);
    } catch (error) {
      this.#options.onRefused(error);
    }
  }

  /** The kernel is told so by another. */
  note(cgroupId: number, number: number): void {
    this.#since.set(cgroupId, this.#options.bootNs());
    if (number === NONE) this.#told.delete(cgroupId);
    else this.#told.set(cgroupId, number);
  }

  /** The others are gone. */
  keepOnly(here: ReadonlySet<number>): void {
    for (const known of [this.#told, this.#since])
      for (const cgroupId of known.keys()) if (!here.has(cgroupId)) known.delete(cgroupId);
  }
}
