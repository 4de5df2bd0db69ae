import type { LiveProbe } from '../probe/live.ts';
import { digestOfTable, type DeniedTable } from './denied-record.ts';

/** Limit on tables in the kernel, of 1.2 MB each. */
export const TABLES_MAX = 31;
/** The number that means: all file calls are reported. */
export const NONE = 0;
/** Stands before the number of a table that denies but does not filter: it is of former rules, and not shared any more. */
const FORMER = 'former ';

type Kernel = Pick<
  LiveProbe,
  'setVerdicts' | 'suspendVerdicts' | 'stopFiltering' | 'copyVerdicts' | 'allowRules'
>;

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

/** Bit n for rule n. */
const bitsOf = ({ places }: TableRules, names: ReadonlySet<string>): number =>
  places.reduce((all, name, n) => (names.has(name) ? all | (1 << n) : all), 0) >>> 0;

/**
 * The tables in the kernel, by number and by digest of their content: equal content shares one table. An unused table is
 * evicted only if no number is free.
 */
export class VerdictNumbers {
  readonly #probe: Kernel;
  /** By digest, least recently used first. */
  readonly #tables = new Map<string, Table>();
  /** Numbers without a table, or with a suspended one. */
  readonly #free: number[] = Array.from({ length: TABLES_MAX }, (_, index) => index + 1);
  /** Those of `#free` whose table still takes memory. */
  readonly #stale = new Set<number>();

  constructor(probe: Kernel) {
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
    for (const digest of this.#tables.keys()) this.#drop(digest);
  }

  /**
   * No table filters any more. Those in use that deny go on denying; the others are disabled, and nobody may have their numbers.
   * `only`: this one, which is in use and denies.
   */
  stopFiltering(only?: number): void {
    if (this.#tables.size === 0) return;
    this.#probe.stopFiltering(only);
    for (const [digest, table] of [...this.#tables]) {
      if (only !== undefined && table.number !== only) continue;
      if (table.users === 0 || table.rules.denied.length === 0) this.#drop(digest);
      else this.#keepAside(digest, table);
    }
  }

  /** Nobody else gets it. */
  #keepAside(digest: string, table: Table): void {
    this.#tables.delete(digest);
    this.#tables.set(`${FORMER}${table.number}`, table);
  }

  /** These rules deny no more by the table of this number. Throws UserError if the kernel refuses. */
  allow(number: number, names: ReadonlySet<string>): true {
    const [found] = [...this.#tables].filter(([, table]) => table.number === number);
    if (found === undefined || names.size === 0) return true;
    const [digest, table] = found;
    const bits = bitsOf(table.rules, names);
    if (bits !== 0) this.#probe.allowRules(number, bits);
    this.#keepAside(digest, table);
    return true;
  }

  /**
   * Puts a table into the kernel that denies as that of this number, but not by these rules, and filters nothing. Nobody else gets it.
   * Undefined if all numbers are in use. Throws UserError if the kernel refuses.
   */
  copyBut(from: number, names: ReadonlySet<string>): number | undefined {
    const table = [...this.#tables.values()].find(({ number }) => number === from);
    const number = table === undefined ? undefined : (this.#free.shift() ?? this.#unused());
    if (table === undefined || number === undefined) return undefined;
    try {
      this.#probe.copyVerdicts(from, number, bitsOf(table.rules, names));
    } catch (error) {
      this.#free.push(number);
      throw error;
    }
    this.#stale.delete(number);
    const denied = table.rules.denied.filter((name) => !names.has(name));
    const rules = { places: table.rules.places, denied };
    this.#tables.set(`${FORMER}${number}`, { ...table, number, rules, users: 0 });
    return number;
  }

  #drop(digest: string): void {
    const number = this.#tables.get(digest)?.number;
    if (number === undefined) return;
    this.#tables.delete(digest);
    this.#stale.add(number);
    this.#free.push(number);
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
      // It would never be used again.
      if (table.users === 0 && digest.startsWith(FORMER)) {
        this.#drop(digest);
        return;
      }
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
