import type { LiveProbe } from '../probe/live.ts';
import { digestOfTable, type DeniedTable } from './denied-record.ts';

/** Limit on tables in the kernel, of 1.2 MB each. */
export const TABLES_MAX = 31;
/** The number that means: all file calls are reported. */
export const NONE = 0;

/** The rules of a table. */
export interface TableRules {
  /** By its places in the table: rule n by its name. */
  readonly places: readonly string[];
  /** Those of them that deny. */
  readonly denied: readonly string[];
}

interface Table {
  readonly number: number;
  readonly rules: TableRules;
  /** `digestOfTable` of one that denies. */
  readonly sha256: string | undefined;
  /** Number of container groups that it filters. */
  users: number;
}

/**
 * The tables in the kernel, by number and by digest of their content: equal content shares one table. An unused table is
 * evicted only if no number is free.
 */
export class VerdictNumbers {
  readonly #probe: Pick<LiveProbe, 'setVerdicts' | 'suspendVerdicts'>;
  /** By digest, least recently used first. */
  readonly #tables = new Map<string, Table>();
  /** Numbers without a table, or with a suspended one. */
  readonly #free: number[] = Array.from({ length: TABLES_MAX }, (_, index) => index + 1);
  /** Those of `#free` whose table still takes memory. */
  readonly #stale = new Set<number>();

  constructor(probe: Pick<LiveProbe, 'setVerdicts' | 'suspendVerdicts'>) {
    this.#probe = probe;
  }

  get inUse(): number {
    return [...this.#tables.values()].filter(({ users }) => users > 0).length;
  }

  /** The number of the table with this digest. */
  of(digest: string): number | undefined {
    return this.#tables.get(digest)?.number;
  }

  /** By which rules the table with this digest denies. */
  deniedBy(digest: string): readonly string[] {
    return this.#tables.get(digest)?.rules.denied ?? [];
  }

  /** Those that deny. */
  denying(): readonly DeniedTable[] {
    return [...this.#tables.values()].flatMap(({ number, rules, sha256 }) =>
      sha256 === undefined ? [] : [{ number, sha256, rules: rules.places }],
    );
  }

  /** Whether another table can be set once the owner of `own` returns it. */
  hasRoomBeside(own: number): boolean {
    if (this.#free.length > 0) return true;
    return [...this.#tables.values()].some(
      ({ number, users }) => users === 0 || (number === own && users === 1),
    );
  }

  /** Puts a table into the kernel; undefined if all numbers are in use. Throws UserError if the kernel refuses. */
  set(digest: string, bytes: Uint8Array, rules: TableRules): number | undefined {
    const number = this.#free.shift() ?? this.#unused();
    if (number === undefined) return undefined;
    try {
      this.#probe.setVerdicts(number, bytes);
    } catch (error) {
      this.#free.push(number);
      throw error;
    }
    this.#stale.delete(number);
    const sha256 = rules.denied.length > 0 ? digestOfTable(bytes) : undefined;
    this.#tables.set(digest, { number, rules, sha256, users: 0 });
    return number;
  }

  join(number: number): void {
    this.#change(number, 1);
  }

  leave(number: number): void {
    this.#change(number, -1);
  }

  /** Disables all tables. `release` and later calls of `set` free their memory. */
  suspend(): void {
    if (this.#tables.size === 0) return;
    this.#probe.suspendVerdicts();
    for (const { number } of this.#tables.values()) {
      this.#stale.add(number);
      this.#free.push(number);
    }
    this.#tables.clear();
  }

  /** Frees one table's memory, which takes the kernel some ms. */
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

  /** Evicts the least recently used table without users and returns its number. */
  #unused(): number | undefined {
    for (const [digest, { number, users }] of this.#tables) {
      if (users > 0) continue;
      this.#tables.delete(digest);
      // Waits for current readers: no container may be judged by the table that replaces this one.
      this.#probe.setVerdicts(number, undefined);
      return number;
    }
    return undefined;
  }
}
