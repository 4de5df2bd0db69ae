import { setTimeout } from 'node:timers/promises';
import type { Container } from '../apps/identity.ts';
import type { RegistryEntry } from '../apps/resolution.ts';
import { digestOf, ruleClausesOf, withCertainRules } from '../plan/verdicts/rule-clauses.ts';
import { verdictTableOf, type VerdictTable } from '../plan/verdicts/table.ts';
import type { LiveProbe } from '../probe/live.ts';
import { levelOf } from '../probe/scope.ts';
import type { LoadedRule, RuleSet } from '../rules/rule-set.ts';
import type { Logger } from '../shared/logger.ts';
import { inTurns } from '../shared/turns.ts';
import { CertainMatches, type CertainCounts } from './certain-matches.ts';
import { NONE, TABLES_MAX, VerdictNumbers } from './verdict-numbers.ts';

const WAIT_MS = 1000;
/** Limit on rule names in one log line. */
const SAID_MAX = 10;

/**
 * An app's effect on the rules: given the operator's `rules`, returns rules of which one must match whenever anything is reported for the
 * app: some of these, and the app's own.
 */
export interface JudgedApp {
  possibleAmong(rules: readonly LoadedRule[]): Iterable<LoadedRule>;
}

export interface KernelVerdictsOptions {
  readonly probe: Pick<LiveProbe, 'setVerdicts' | 'suspendVerdicts' | 'scope'>;
  readonly logger: Logger;
  /**
   * Returns the same object as long as nothing changes for the app. `none`: only the operator's rules apply, permanently;
   * undefined: not known yet.
   */
  readonly inForceFor: (container: Container) => JudgedApp | 'none' | undefined;
  /** `probe.kernel_verdicts`. */
  readonly enabled: boolean;
  /** Delay until the rules have settled; a starting agent has more urgent work. 1000 by default. */
  readonly waitMs?: number;
}

/** Containers with the same rules and the same container type. */
interface Group {
  readonly app: JudgedApp | 'none';
  readonly containerType: string;
  /** Number of its table; NONE if there is none. */
  number: number;
  /** The `#turn` for which the table was made. */
  turn: number;
  entries: RegistryEntry[];
}

/** Number of containers filtered in the kernel, and of their tables. */
export interface VerdictsStatus {
  readonly containers: number;
  readonly tables: number;
  readonly certain: CertainCounts;
}

/**
 * Tells the kernel which file calls the rules of a container can match, so that all others end there. A container is filtered once a
 * table exists for all of its rules. While the operator's rules change no container is filtered: all file calls are reported.
 */
export class KernelVerdicts {
  readonly #options: KernelVerdictsOptions;
  /** To be told of events of which the kernel was certain. */
  readonly certain: CertainMatches;
  readonly #numbers: VerdictNumbers;
  /** By app object, and by container type. */
  readonly #groups = new Map<JudgedApp | 'none', Map<string, Group>>();
  /** By cgroup: the number that the kernel has, unless it is NONE. */
  readonly #told = new Map<number, number>();
  #rules: RuleSet | undefined;
  /** Counts rule changes: work begun before the latest change is dropped. */
  #turn = 0;
  #isMaking = false;
  #isFollowing = false;
  #saidNoRoom = -1;
  /** How often `follow` was called. */
  #asked = 0;
  #stopped = false;

  constructor(options: KernelVerdictsOptions) {
    this.#options = options;
    this.certain = new CertainMatches(options.logger);
    this.#numbers = new VerdictNumbers(options.probe);
  }

  /** Call before other rules come into force: all file calls are reported until their tables exist. */
  leave(): void {
    if (this.#stopped) return;
    this.#turn++;
    this.#rules = undefined;
    this.#numbers.suspend();
    this.certain.end();
    // No container may keep a number when another table gets it.
    for (const group of this.#all()) {
      group.number = NONE;
      for (const entry of group.entries) this.#tell(entry, NONE);
    }
  }

  /** These rules are in force. Their tables are made after a delay, one by one; resolves when all are made. */
  async enter(ruleSet: RuleSet): Promise<void> {
    const turn = ++this.#turn;
    this.#rules = undefined;
    // Tables of more rules stay in use until then: what they are certain of may be a rule that is not in force any more.
    this.certain.end();
    if (!this.#options.enabled) return;
    await setTimeout(this.#options.waitMs ?? WAIT_MS, undefined, { ref: false });
    if (this.#stopped || turn !== this.#turn) return;
    this.#rules = ruleSet;
    await this.#make();
  }

  /** Takes the cgroups of all containers. Call each second, and when apps' own rules have changed. */
  follow(entries: readonly RegistryEntry[]): void {
    if (!this.#options.enabled || this.#stopped) return;
    this.#asked++;
    // Asking for an app's rules may bring some into force, which calls this again: repeat afterwards instead of recursing.
    if (this.#isFollowing) return;
    this.#isFollowing = true;
    try {
      for (let asked = 0; asked !== this.#asked;) {
        asked = this.#asked;
        this.#follow(entries);
      }
    } finally {
      this.#isFollowing = false;
    }
    try {
      this.#numbers.release();
    } catch (error) {
      this.#options.logger.warn({ error }, 'the memory of an unused table could not be freed');
    }
    void this.#make();
  }

  #follow(entries: readonly RegistryEntry[]): void {
    for (const group of this.#all()) group.entries = [];
    const here = new Set<number>();
    for (const entry of entries) {
      if (entry.goneAtMs !== undefined || entry.unwatched) continue;
      here.add(entry.cgroupId);
      const group = this.#groupOf(entry);
      group?.entries.push(entry);
      this.#tell(entry, group?.number ?? NONE);
    }
    for (const cgroupId of this.#told.keys()) if (!here.has(cgroupId)) this.#told.delete(cgroupId);
    this.#forgetGroups();
  }

  status(): VerdictsStatus {
    const certain = this.certain.counts();
    return { containers: this.#told.size, tables: this.#numbers.inUse, certain };
  }

  stop(): void {
    this.leave();
    this.#stopped = true;
  }

  *#all(): Generator<Group> {
    for (const ofApp of this.#groups.values()) yield* ofApp.values();
  }

  #groupOf({ resolution }: RegistryEntry): Group | undefined {
    if (resolution.state !== 'included') return undefined;
    const { container } = resolution;
    const app = this.#options.inForceFor(container);
    if (app === undefined) return undefined;
    const ofApp = this.#groups.get(app) ?? new Map<string, Group>();
    this.#groups.set(app, ofApp);
    const containerType = container.runtime;
    const group = ofApp.get(containerType) ?? {
      app,
      containerType,
      number: NONE,
      turn: -1,
      entries: [],
    };
    ofApp.set(containerType, group);
    return group;
  }

  #forgetGroups(): void {
    for (const [app, ofApp] of this.#groups) {
      for (const [type, group] of ofApp) {
        if (group.entries.length > 0) continue;
        this.#numbers.leave(group.number);
        group.number = NONE;
        ofApp.delete(type);
      }
      if (ofApp.size === 0) this.#groups.delete(app);
    }
  }

  /** Makes the missing tables, one by one. */
  async #make(): Promise<void> {
    if (this.#isMaking) return;
    this.#isMaking = true;
    try {
      for (let group = this.#next(); group !== undefined; group = this.#next()) {
        const turn = this.#turn;
        try {
          await this.#makeFor(group);
        } catch (error) {
          // Unfiltered calls cost time; an agent that ends costs more.
          const text = 'file calls are not filtered by these rules: their table could not be made';
          this.#options.logger.error({ error }, text);
        }
        // On any result, it is not retried before rules change.
        group.turn = turn;
      }
      if (this.#rules !== undefined) this.certain.begin();
    } finally {
      this.#isMaking = false;
    }
  }

  /** A group whose table is not of the rules in force. */
  #next(): Group | undefined {
    if (this.#rules === undefined || this.#stopped) return undefined;
    for (const group of this.#all()) if (group.turn !== this.#turn) return group;
    return undefined;
  }

  async #makeFor(group: Group): Promise<void> {
    const rules = this.#rules;
    if (rules === undefined) return;
    const turn = this.#turn;
    const { app, containerType } = group;
    /** Until rules change or the group's last container is gone. */
    const isWanted = (): boolean =>
      !this.#stopped && turn === this.#turn && this.#groups.get(app)?.get(containerType) === group;
    const possible = app === 'none' ? rules.rules : app.possibleAmong(rules.rules);
    const clauses = await inTurns(
      ruleClausesOf(possible, containerType, new Set(rules.rules)),
      isWanted,
    );
    if (clauses === undefined) return;
    // What an app's policy takes away is not in its clauses: of its containers the kernel is never certain.
    const ruleClauses =
      app === 'none'
        ? await inTurns(withCertainRules(clauses, possible, containerType), isWanted)
        : clauses;
    if (ruleClauses === undefined) return;
    const digest = digestOf(ruleClauses);
    let number = this.#numbers.of(digest);
    if (number === undefined && this.#numbers.hasRoomBeside(group.number)) {
      const table = await inTurns(verdictTableOf(ruleClauses), isWanted);
      if (table === undefined || !isWanted()) return;
      number = this.#set(group, digest, table);
      this.#say(group, table, number);
    } else if (number === undefined) this.#sayNoRoom();
    this.#give(group, number);
  }

  /** Undefined if the table does not fit. */
  #set(group: Group, digest: string, { bytes }: VerdictTable): number | undefined {
    if (bytes === undefined) return undefined;
    // Its own number may be the only one available.
    this.#give(group, undefined);
    return this.#numbers.set(digest, bytes);
  }

  /** Filters the group by this table from now on; undefined: by none. */
  #give(group: Group, number = NONE): void {
    this.#numbers.leave(group.number);
    group.number = number;
    this.#numbers.join(number);
    for (const entry of group.entries) this.#tell(entry, number);
  }

  #say({ app, containerType }: Group, table: VerdictTable, number: number | undefined): void {
    const { bytes, clauses, states, transitions, widened, leftOut, certain } = table;
    const about = {
      containerType,
      ownRules: app !== 'none',
      table: number,
      clauses: clauses.length,
      states,
      transitions,
      widened: widened.length,
      widenedRules: widened.slice(0, SAID_MAX),
      leftOut: leftOut.slice(0, SAID_MAX),
      certain: certain.length,
    };
    const { logger } = this.#options;
    if (bytes === undefined)
      logger.warn(
        about,
        'the rules are too many to filter file calls in the kernel: all are reported',
      );
    else logger.info(about, 'the kernel now discards file calls that no rule can match');
  }

  /** Once per set of operator rules. */
  #sayNoRoom(): void {
    if (this.#saidNoRoom === this.#turn) return;
    this.#saidNoRoom = this.#turn;
    const about = { tables: TABLES_MAX };
    const text =
      'there are no more tables for apps with different rules: all file calls of the other apps are reported';
    this.#options.logger.warn(about, text);
  }

  /**
   * Tells the kernel the number of the container's table. The state is read from the kernel: the state known here may be a
   * second old.
   */
  #tell({ cgroupId, path }: RegistryEntry, number: number): void {
    if ((this.#told.get(cgroupId) ?? NONE) === number) return;
    const { scope } = this.#options.probe;
    try {
      const state = scope.get(cgroupId)?.state;
      if (state === undefined) {
        this.#told.delete(cgroupId);
        return;
      }
      scope.set(cgroupId, state, levelOf(path), number);
      if (number === NONE) this.#told.delete(cgroupId);
      else this.#told.set(cgroupId, number);
    } catch (error) {
      // It might be judged by another container's rules: from now on no container is filtered.
      this.#stopped = true;
      this.#numbers.suspend();
      const text =
        'file calls are no longer filtered: the table of a container could not be set in the kernel';
      this.#options.logger.error({ error }, text);
    }
  }
}
