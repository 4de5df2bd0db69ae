import type { LiveProbe } from '../probe/live.ts';

/** Tables in the kernel at the same time, of 1.2 MB each. */
export const TABLES_MAX = 31;
/** The number that says: all opens are reported. */
export const NONE = 0;

interface Table {
  readonly number: number;
  /** Groups of containers that are judged by it. */
  users: number;
}

/** The tables in the kernel, by number and by what they say: who asks for the same shares one. One that nobody uses goes last. */
export class VerdictNumbers {
  readonly #probe: Pick<LiveProbe, 'setVerdicts' | 'suspendVerdicts'>;
  /** By digest, the one that was used last at the end. */
  readonly #tables = new Map<string, Table>();
  /** That have no table, or one that no container is judged by any more. */
  readonly #free: number[] = Array.from({ length: TABLES_MAX }, (_, index) => index + 1);
  /** Of `#free`: those with a table, which takes memory. */
  readonly #stale = new Set<number>();

  constructor(probe: Pick<LiveProbe, 'setVerdicts' | 'suspendVerdicts'>) {
    this.#probe = probe;
  }

  get inUse(): number {
    return [...this.#tables.values()].filter(({ users }) => users > 0).length;
  }

  /** The number of the table that says this. */
  of(digest: string): number | undefined {
    return this.#tables.get(digest)?.number;
  }

  /** Whether one more can be set, when who has `own` gives it back. */
  hasRoomBeside(own: number): boolean {
    if (this.#free.length > 0) return true;
    return [...this.#tables.values()].some(
      ({ number, users }) => users === 0 || (number === own && users === 1),
    );
  }

  /** Puts a table into the kernel; undefined when all numbers are in use. Throws UserError when the kernel refuses. */
  set(digest: string, bytes: Uint8Array): number | undefined {
    const number = this.#free.shift() ?? this.#unused();
    if (number === undefined) return undefined;
    try {
      this.#probe.setVerdicts(number, bytes);
    } catch (error) {
      this.#free.push(number);
      throw error;
    }
    this.#stale.delete(number);
    this.#tables.set(digest, { number, users: 0 });
    return number;
  }

  join(number: number): void {
    this.#change(number, 1);
  }

  leave(number: number): void {
    this.#change(number, -1);
  }

  /** No table counts from now on. Their memory is given back by `release`, and by what is set next. */
  suspend(): void {
    if (this.#tables.size === 0) return;
    this.#probe.suspendVerdicts();
    for (const { number } of this.#tables.values()) {
      this.#stale.add(number);
      this.#free.push(number);
    }
    this.#tables.clear();
  }

  /** Gives one table's memory back, for which the kernel takes some ms. */
  release(): void {
    const [number] = this.#stale;
    if (number === undefined) return;
    this.#stale.delete(number);
    this.#probe.setVerdicts(number, undefined);
  }

  #change(number: number, by: number): void {
    if (number === NONE) return;
    for (const [digest, table] of this.#tables) {
      if (table.number !== number) continue;
      table.users += by;
      this.#tables.delete(digest);
      this.#tables.set(digest, table);
      return;
    }
  }

  /** The number of the table that has not been used for the longest time. */
  #unused(): number | undefined {
    for (const [digest, { number, users }] of this.#tables) {
      if (users > 0) continue;
      this.#tables.delete(digest);
      // Whoever looks at it still is waited for: nobody is judged by what comes in its place for others.
      this.#probe.setVerdicts(number, undefined);
      return number;
    }
    return undefined;
  }
}
