import { setTimeout } from 'node:timers/promises';
import type { RegistryEntry } from '../apps/resolution.ts';
import { digestOf } from '../plan/verdicts/rule-clauses.ts';
import { verdictTableOf, type VerdictTable } from '../plan/verdicts/table.ts';
import type { KernelEvent } from '../events/event.ts';
import { factsOfType } from '../plan/verdicts/container-tests.ts';
import { bootNs } from '../host/boot-clock.ts';
import type { LoadedRule, RuleSet } from '../rules/rule-set.ts';
import { inTurns } from '../shared/turns.ts';
import { CertainMatches } from './certain-matches.ts';
import type { DeniedRecord } from './denied-record.ts';
import { Denials, type DeniedGroup } from './denials.ts';
import type { OwnRulesAsked } from '../evaluation/app-rules.ts';
import { BEFORE_IDENTITY, type JudgedApp } from './judged-app.ts';
import { clausesOfGroup } from './verdict-clauses.ts';
import { KnownFacts } from './verdict-facts.ts';
import type { KernelVerdictsOptions } from './verdict-options.ts';
import { deniedRecord, deniesBy, isOf, mayKeepTable, memberOf, NO_TABLE } from './verdict-group.ts';
import type { Group, Member, TableOf, VerdictsStatus } from './verdict-group.ts';
import { logTable } from './verdict-log.ts';
import { NONE, TABLES_MAX, VerdictNumbers } from './verdict-numbers.ts';

const WAIT_MS = 1000;
const NO_RULES: readonly LoadedRule[] = [];

/**
 * Tells the kernel which file calls and connects the rules of a container can match, so that all others end there. A container is filtered once a
 * table exists for all of its rules. While the operator's rules change no container is filtered: all of them are reported.
 */
export class KernelVerdicts {
  readonly #options: KernelVerdictsOptions;
  /** To be told of events of which the kernel was certain. */
  readonly certain: CertainMatches;
  readonly #numbers: VerdictNumbers;
  /** By app object, and by key. */
  readonly #groups = new Map<JudgedApp | 'none', Map<string, Group>>();
  /** By cgroup: the number that the kernel has, unless it is NONE; since when (CLOCK_BOOTTIME ns) it has that table, or none. */
  readonly #told = new Map<number, number>();
  readonly #since = new Map<number, bigint>();
  #rules: RuleSet | undefined;
  /** Counts rule changes: work begun before the latest change is dropped. */
  #turn = 0;
  #isMaking = false;
  #isFollowing = false;
  #saidNoRoom = -1;
  readonly #denials: Denials;
  readonly #facts = new KnownFacts();
  /** How often `follow` was called. */
  #asked = 0;
  #stopped = false;

  constructor(options: KernelVerdictsOptions) {
    this.#options = options;
    this.#denials = new Denials(options);
    this.certain = new CertainMatches(options.logger);
    this.#numbers = new VerdictNumbers(options.probe);
  }

  /** Whether each container that is followed has its table, or cannot have one. */
  isSettled(): boolean {
    return this.#rules !== undefined && !this.#isMaking && this.#next() === undefined;
  }

  /** Call before other rules come into force: all of them are reported until their tables exist. */
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
    this.endDenyingBut(ruleSet);
    this.#denials.onLoaded();
    // Tables of more rules stay in use until then: what they are certain of may be a rule that is not in force any more.
    this.certain.end();
    for (const group of this.#all()) if (group.number !== NONE) group.tableTurn = turn;
    if (!this.#options.enabled) return;
    await setTimeout(this.#options.waitMs ?? WAIT_MS, undefined, { ref: false });
    if (this.#stopped || turn !== this.#turn) return;
    this.#rules = ruleSet;
    await this.#make();
  }

  /**
   * Takes the cgroups of all containers. Call each second, and when apps' own rules have changed, or what is to be denied. Where other
   * rules than before are to deny, nothing is denied at once, until their table is made. All others keep theirs.
   */
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
    this.#facts.keep(
      [...this.#all()].flatMap(({ facts, entries: all }) => (all.length > 0 ? [facts] : [])),
    );
    const former = new Map<number, readonly [Group, Member]>();
    for (const group of this.#all()) {
      for (const member of group.entries) former.set(member.cgroupId, [group, member]);
      group.entries = [];
    }
    const here = new Set<number>();
    for (const entry of entries) {
      if (entry.goneAtMs !== undefined || entry.unwatched) continue;
      here.add(entry.cgroupId);
      const group = this.#groupOf(entry, former.get(entry.cgroupId));
      const member = memberOf(entry);
      group?.entries.push(member);
      this.#tell(member, group?.number ?? NONE);
    }
    for (const known of [this.#told, this.#since])
      for (const cgroupId of known.keys()) if (!here.has(cgroupId)) known.delete(cgroupId);
    this.#forgetGroups();
  }

  status(): VerdictsStatus {
    const certain = this.certain.counts();
    // Once a table could not be set in the kernel, all are suspended.
    const denying = this.#denials.status(this.#stopped ? [] : this.#all());
    return { containers: this.#told.size, tables: this.#numbers.inUse, certain, denying };
  }

  /** By which rules something is denied, and where, as the kernel has it. */
  denied(): DeniedRecord {
    return deniedRecord(this.#numbers.denying(), this.#stopped ? [] : this.#all(), this.#told);
  }

  /** Number of rules by which the kernel denies in the container of this cgroup. */
  deniesIn(cgroupId: number): number {
    return this.#stopped ? 0 : deniesBy(this.#all(), this.#told.get(cgroupId));
  }

  /** `keeps`: what is denied goes on. */
  stop({ keeps = false } = {}): void {
    if (!keeps) this.leave();
    this.#stopped = true;
  }

  /**
   * Something was denied that no rule matches: the rules that may have denied it deny nothing from now on. Returns whether there are
   * some: call `follow` then. `isComparable`: the agent knows the process as the kernel does.
   */
  onDeniedInVain(event: KernelEvent, asked: OwnRulesAsked, isComparable = true): boolean {
    // Rules of before denied it: those that are in force now have nothing to do with it.
    if (event.bootNs < (this.#since.get(event.cgroupId) ?? 0n)) return false;
    const before = this.#groups.get(BEFORE_IDENTITY)?.values() ?? [];
    const rules = this.#denials.giveUp(event, { all: this.#all(), before }, asked, isComparable);
    if (rules.size > 0) this.endDenying(({ denied }) => denied.some(({ name }) => rules.has(name)));
    return rules.size > 0;
  }

  /** The same, but where all that is denied is among these rules: the operator's, of which some may be off now. */
  endDenyingBut({ rules }: RuleSet): void {
    const inForce = new Set(rules.filter(({ enabled }) => enabled));
    this.endDenying(({ denied }) => !denied.every((rule) => inForce.has(rule)));
  }

  /** At once: containers in which programs are denied have no table until `follow` groups them anew; by default all. */
  endDenying(isMeant: (group: DeniedGroup) => boolean = () => true): void {
    for (const ofApp of this.#groups.values()) {
      for (const [key, group] of ofApp) {
        if (group.denied.length === 0 || !isMeant(group)) continue;
        for (const entry of group.entries) this.#tell(entry, NONE);
        this.#numbers.leave(group.number);
        ofApp.delete(key);
      }
    }
  }

  *#all(): Generator<Group> {
    for (const ofApp of this.#groups.values()) yield* ofApp.values();
  }

  /** `before`: where it was a second ago. */
  #groupOf({ resolution }: RegistryEntry, before?: readonly [Group, Member]): Group | undefined {
    if (resolution.state === 'pending') return this.#before();
    if (resolution.state !== 'included') return undefined;
    const { container } = resolution;
    const app = this.#options.inForceFor(container);
    if (app === undefined) return this.#before();
    const [former, member] = before ?? [];
    // Rules change. Until others are in force it keeps what it has, if it has anything.
    if (this.#rules === undefined && former?.app === app && isOf(container, member)) return former;
    const ofApp = this.#groups.get(app) ?? new Map<string, Group>();
    this.#groups.set(app, ofApp);
    const denied = this.#denials.among(this.#rules?.rules, container, app);
    const own = app === 'none' ? NO_RULES : app.ruleSet.rules;
    const asking = { operators: this.#rules?.rules, own, denying: denied };
    const facts = this.#facts.of(container, asking, (this.#options.nowMs ?? Date.now)());
    const key = [facts.key, ...denied.map(({ name }) => name)].join('\n');
    const group = ofApp.get(key) ?? {
      app,
      facts,
      key,
      denied,
      // Until there is a table of its own, its containers keep theirs if that holds for them.
      ...(mayKeepTable(former, { app, denied, facts }, this.#turn, isOf(container, member))
        ? this.#tableOf(former)
        : NO_TABLE),
      turn: -1,
      entries: [],
    };
    ofApp.set(key, group);
    return group;
  }

  /** The group of containers whose app, or its policy, is not known yet; undefined: nothing is denied there. */
  #before(): Group | undefined {
    const denied = this.#denials.beforeIdentity(this.#rules?.rules);
    if (denied.length === 0) return undefined;
    const app = BEFORE_IDENTITY;
    const key = denied.map(({ name }) => name).join('\n');
    const ofApp = this.#groups.get(app) ?? new Map<string, Group>();
    this.#groups.set(app, ofApp);
    const facts = factsOfType(undefined);
    const made = { app, facts, key, denied, ...NO_TABLE, turn: -1, entries: [] };
    const group = ofApp.get(key) ?? made;
    ofApp.set(key, group);
    return group;
  }

  /** The table of a container that appears just now, of which nothing is known; undefined: it has none yet. */
  beforeIdentity(cgroupId: number, level: number): number | undefined {
    const group = this.#stopped ? undefined : this.#before();
    const number = group?.number ?? NONE;
    if (group === undefined || number === NONE) return undefined;
    // It may be known whose it is before `follow` is called: it keeps the table then.
    if (!group.entries.some((member) => member.cgroupId === cgroupId))
      group.entries.push({ cgroupId, level, resolution: { state: 'unknown' } });
    this.#told.set(cgroupId, number);
    this.#since.set(cgroupId, (this.#options.bootNs ?? bootNs)());
    return number;
  }

  #tableOf({ number, denies, tableTurn }: Group): TableOf {
    this.#numbers.join(number);
    return { number, denies, tableTurn };
  }

  #forgetGroups(): void {
    const before = this.#before();
    for (const [app, ofApp] of this.#groups) {
      for (const [type, group] of ofApp) {
        // That of the next container that nothing is known of is to be there when it appears.
        if (group.entries.length > 0 || group === before) continue;
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
          const text =
            'file calls and connects are not filtered by these rules: their table could not be made';
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
    const { app, facts, key } = group;
    /** Until rules change or the group's last container is gone. */
    const isWanted = (): boolean =>
      !this.#stopped && turn === this.#turn && this.#groups.get(app)?.get(key) === group;
    const ruleClauses = await inTurns(clausesOfGroup(group, rules), isWanted);
    if (ruleClauses === undefined) return;
    // The same of a table that is there already.
    const digest = digestOf(ruleClauses);
    let number = this.#numbers.of(digest);
    if (number === undefined && this.#numbers.hasRoomBeside(group.number)) {
      const table = await inTurns(verdictTableOf(ruleClauses), isWanted);
      if (table === undefined || !isWanted()) return;
      number = this.#set(group, digest, table);
      logTable(this.#options.logger, {
        ...table,
        ownRules: app !== 'none',
        containerType: facts.type,
        number,
      });
    } else if (number === undefined) {
      this.#sayNoRoom();
      // It keeps that of a group of which less is known.
      if (group.number !== NONE) return;
    }
    // Of a table without room for them the kernel denies fewer.
    group.denies = number === undefined ? [] : this.#numbers.deniedBy(digest);
    this.#denials.warn(group);
    this.#give(group, number);
  }

  /** Undefined if the table does not fit. */
  #set(group: Group, digest: string, table: VerdictTable): number | undefined {
    const { bytes } = table;
    if (bytes === undefined) return undefined;
    // Its own number may be the only one available.
    if (!this.#numbers.hasRoomBeside(NONE)) this.#give(group, undefined);
    return this.#numbers.set(digest, bytes, table);
  }

  /** Filters the group by this table from now on; undefined: by none. */
  #give(group: Group, number = NONE): void {
    this.#numbers.leave(group.number);
    group.number = number;
    group.tableTurn = this.#turn;
    this.#numbers.join(number);
    for (const entry of group.entries) this.#tell(entry, number);
  }

  /** Once per set of operator rules. */
  #sayNoRoom(): void {
    if (this.#saidNoRoom === this.#turn) return;
    this.#saidNoRoom = this.#turn;
    this.#options.logger.warn(
      { tables: TABLES_MAX },
      'there are no more tables for apps with different rules: all file calls and connects of the other apps are reported',
    );
  }

  /**
   * Tells the kernel the number of the container's table. The state is read from the kernel: the state known here may be a
   * second old.
   */
  #tell({ cgroupId, level }: Member, number: number): void {
    if ((this.#told.get(cgroupId) ?? NONE) === number) return;
    const { scope } = this.#options.probe;
    try {
      const state = scope.get(cgroupId)?.state;
      if (state === undefined) {
        this.#told.delete(cgroupId);
        return;
      }
      scope.set(cgroupId, state, level, number);
      this.#since.set(cgroupId, (this.#options.bootNs ?? bootNs)());
      if (number === NONE) this.#told.delete(cgroupId);
      else this.#told.set(cgroupId, number);
    } catch (error) {
      // It might be judged by another container's rules: from now on no container is filtered.
      this.#stopped = true;
      this.#numbers.suspend();
      const text =
        'file calls and connects are no longer filtered: the table of a container could not be set in the kernel';
      this.#options.logger.error({ error }, text);
    }
  }
}
