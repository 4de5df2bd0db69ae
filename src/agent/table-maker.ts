import { digestOf } from '../plan/verdicts/rule-clauses.ts';
import { verdictTableOf, type VerdictTable } from '../plan/verdicts/table.ts';
import type { RuleSet } from '../rules/rule-set.ts';
import type { Logger } from '../shared/logger.ts';
import { inTurns } from '../shared/turns.ts';
import type { ContainerTables } from './container-tables.ts';
import { BEFORE_IDENTITY } from './judged-app.ts';
import { clausesOfGroup } from './verdict-clauses.ts';
import type { Group } from './verdict-group.ts';
import { logTable } from './verdict-log.ts';
import { NONE, TABLES_MAX, type VerdictNumbers } from './verdict-numbers.ts';

/** A table that is to be made. */
export interface TableWork {
  readonly group: Group;
  /** The operator's rules in force, and the number of their change. */
  readonly rules: RuleSet;
  readonly turn: number;
  readonly isWanted: () => boolean;
}

export interface TableMakerOptions {
  readonly logger: Logger;
  readonly numbers: VerdictNumbers;
  readonly tables: ContainerTables;
  /** It is known now by which rules the kernel denies in the group. */
  readonly onMade: (group: Group) => void;
}

/** Makes the tables of groups of containers, and gives them to the kernel. */
export class TableMaker {
  readonly #options: TableMakerOptions;
  readonly #numbers: VerdictNumbers;
  #isMaking = false;
  #saidNoRoom = -1;

  constructor(options: TableMakerOptions) {
    this.#options = options;
    this.#numbers = options.numbers;
  }

  get isMaking(): boolean {
    return this.#isMaking;
  }

  /** One by one, until there is no next one. False: it is at it already. */
  async makeAll(next: () => TableWork | undefined): Promise<boolean> {
    if (this.#isMaking) return false;
    this.#isMaking = true;
    try {
      for (let work = next(); work !== undefined; work = next()) {
        try {
          await this.#make(work);
        } catch (error) {
          // Unfiltered calls cost time; an agent that ends costs more.
          const text =
            'file calls and connects are not filtered by these rules: their table could not be made';
          this.#options.logger.error({ error }, text);
        }
        // On any result, it is not retried before rules change.
        work.group.turn = work.turn;
      }
      return true;
    } finally {
      this.#isMaking = false;
    }
  }

  async #make(work: TableWork): Promise<void> {
    const { group, rules, isWanted } = work;
    const { app, facts } = group;
    const ruleClauses = await inTurns(clausesOfGroup(group, rules), isWanted);
    if (ruleClauses === undefined) return;
    // The same of a table that is there already.
    const digest = digestOf(ruleClauses);
    let number = this.#numbers.of(digest);
    if (number === undefined && this.#numbers.hasRoomBeside(group.number)) {
      const table = await inTurns(verdictTableOf(ruleClauses), isWanted);
      if (table === undefined || !isWanted()) return;
      number = this.#set(work, digest, table);
      logTable(this.#options.logger, {
        ...table,
        ownRules: app !== 'none',
        containerType: facts.type,
        number,
      });
    } else if (number === undefined) {
      this.#sayNoRoom(work.turn);
      // It keeps that of a group of which less is known.
      if (group.number !== NONE) return;
    }
    // Of a table without room for them the kernel denies fewer.
    group.denies = number === undefined ? [] : this.#numbers.deniedBy(digest);
    this.#options.onMade(group);
    this.#give(work, number);
  }

  /** Undefined if the table does not fit. */
  #set(work: TableWork, digest: string, table: VerdictTable): number | undefined {
    const { bytes } = table;
    if (bytes === undefined) return undefined;
    // Its own number may be the only one available.
    if (!this.#numbers.hasRoomBeside(NONE)) this.#give(work, undefined);
    return this.#numbers.set(digest, bytes, table);
  }

  /** Filters the group by this table from now on; undefined: by none. */
  #give({ group, turn }: TableWork, number = NONE): void {
    this.#numbers.leave(group.number);
    group.number = number;
    group.filters = number !== NONE && group.app !== BEFORE_IDENTITY;
    group.tableTurn = turn;
    this.#numbers.join(number);
    for (const entry of group.entries) this.#options.tables.tell(entry, number);
  }

  /** Once per set of operator rules. */
  #sayNoRoom(turn: number): void {
    if (this.#saidNoRoom === turn) return;
    this.#saidNoRoom = turn;
    this.#options.logger.warn(
      { tables: TABLES_MAX },
      'there are no more tables for apps with different rules: all file calls and connects of the other apps are reported',
    );
  }
}
