import { setTimeout } from 'node:timers/promises';
import type { RegistryEntry } from '../apps/resolution.ts';
import { ContainerTables } from './container-tables.ts';
import type { KernelEvent } from '../events/event.ts';
import { factsOfType } from '../plan/verdicts/container-tests.ts';
import { bootNs } from '../host/boot-clock.ts';
import type { LoadedRule, RuleSet } from '../rules/rule-set.ts';
import type { Priority } from '../rules/detection.ts';
import { CertainMatches } from './certain-matches.ts';
import type { DeniedRecord } from './denied-record.ts';
import { Denials, type DeniedGroup } from './denials.ts';
import type { OwnRulesAsked } from '../evaluation/app-rules.ts';
import { BEFORE_IDENTITY } from './judged-app.ts';
import { KnownFacts } from './verdict-facts.ts';
import type { KernelVerdictsOptions } from './verdict-options.ts';
import {
  deniedRecord,
  deniesBy,
  endedIfKept,
  isOf,
  mayKeepTable,
  memberOf,
  NO_TABLE,
  stillDenied,
  type Group,
  type Member,
  type TableOf,
  type VerdictsStatus,
  waitingFor,
} from './verdict-group.ts';
import { VerdictGroups } from './verdict-groups.ts';
import { TableMaker, type TableWork } from './table-maker.ts';
import { NONE, VerdictNumbers } from './verdict-numbers.ts';

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
  readonly #groups = new VerdictGroups();
  readonly #tables: ContainerTables;
  #rules: RuleSet | undefined;
  /** Counts rule changes: work begun before the latest change is dropped. */
  #turn = 0;
  /** Rules are in force, but it is too early to make their tables. */
  #isWaiting = true;
  #isFollowing = false;
  readonly #maker: TableMaker;
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
    this.#tables = new ContainerTables({
      scope: options.probe.scope,
      bootNs: options.bootNs ?? bootNs,
      onRefused: (error) => this.#onRefused(error),
    });
    this.#maker = new TableMaker({
      logger: options.logger,
      numbers: this.#numbers,
      tables: this.#tables,
      onMade: (group) => this.#denials.warn(group),
    });
  }

  /** Whether each container that is followed has its table, or cannot have one. */
  isSettled(): boolean {
    return !this.#isWaiting && !this.#maker.isMaking && this.#next() === undefined;
  }

  /**
   * Call before other rules come into force: all calls are reported until their tables exist. What is denied stays denied until
   * `enter`.
   */
  leave(): void {
    if (this.#stopped) return;
    this.#turn++;
    this.#rules = undefined;
    this.#numbers.stopFiltering();
    this.certain.end();
    for (const group of this.#groups.all()) {
      group.filters = false;
      if (group.denies.length > 0) continue;
      // No container may keep a number when another table gets it.
      this.#numbers.leave(group.number);
      group.number = NONE;
      for (const entry of group.entries) this.#tables.tell(entry, NONE);
    }
  }

  /**
   * These rules are in force. Their tables are made after a delay, one by one; resolves when all are made. Until then, what is
   * denied by rules that have not changed stays denied: call `follow` for what else has changed.
   */
  async enter(ruleSet: RuleSet): Promise<void> {
    const turn = ++this.#turn;
    this.#isWaiting = true;
    this.#denials.onLoaded();
    this.endDenyingBut(ruleSet);
    // Tables of more rules stay in use until then: what they are certain of may be a rule that is not in force any more.
    this.certain.end();
    const former = this.#groups.all().filter(({ number }) => number !== NONE);
    for (const group of former) group.tableTurn = turn;
    // Who has nothing to keep waits: to ask what can be refused loads programs.
    this.#rules = former.length > 0 ? ruleSet : undefined;
    if (!this.#options.enabled) return;
    await setTimeout(this.#options.waitMs ?? WAIT_MS, undefined, { ref: false });
    if (this.#stopped || turn !== this.#turn) return;
    this.#rules = ruleSet;
    this.#isWaiting = false;
    await this.#make();
  }

  /**
   * Takes the cgroups of all containers. Call each second, and when apps' own rules have changed, or what is to be denied. What is not to
   * be denied any more ends at once. What is still to be denied goes on; what is new begins with its table.
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
      this.#groups.all().flatMap(({ facts, entries: all }) => (all.length > 0 ? [facts] : [])),
    );
    const former = new Map<number, readonly [Group, Member]>();
    for (const group of this.#groups.all()) {
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
      this.#tables.tell(member, group?.number ?? NONE);
    }
    this.#tables.keepOnly(here);
    this.#forgetGroups();
  }

  status(): VerdictsStatus {
    const [containers, tables] = [this.#tables.told.size, this.#numbers.inUse];
    const waiting = waitingFor(this.#turn, this.groupsInUse());
    const tooYoung = this.#facts.tooYoung(this.groupsInUse());
    const denying = { ...this.#denials.status(this.groupsInUse()), tooYoung };
    return { containers, tables, waiting, certain: this.certain.counts(), denying };
  }

  /** By which rules something is denied, and where, as the kernel has it. */
  denied(): DeniedRecord {
    return deniedRecord(this.#numbers.denying(), this.groupsInUse(), this.#tables.told);
  }

  /** Number of rules by which the kernel denies in the container of this cgroup. */
  deniesIn(cgroupId: number): number {
    return deniesBy(this.groupsInUse(), this.#tables.told.get(cgroupId));
  }

  /** Once a table could not be set in the kernel, all are suspended. */
  groupsInUse(): Iterable<Group> {
    return this.#stopped ? [] : this.#groups.all();
  }

  /** `keeps`: what is denied goes on. */
  stop({ keeps = false } = {}): void {
    if (!keeps) {
      this.leave();
      this.endDenying();
    }
    this.#stopped = true;
  }

  /**
   * Something was denied that no rule matches: the rules that may have denied it deny nothing from now on. Returns whether there are
   * some: call `follow` then. `isComparable`: the agent knows the process as the kernel does.
   */
  onDeniedInVain(event: KernelEvent, asked: OwnRulesAsked, isComparable = true): boolean {
    // Rules of before denied it: those that are in force now have nothing to do with it.
    if (event.bootNs < this.#tables.sinceOf(event.cgroupId)) return false;
    const groups = { all: this.#groups.all(), before: this.#groups.ofApp(BEFORE_IDENTITY) };
    const rules = this.#denials.giveUp(event, groups, asked, isComparable);
    if (rules.size > 0) this.endDenying(({ denied }) => denied.some(({ name }) => rules.has(name)));
    return rules.size > 0;
  }

  /**
   * What is denied by other rules than these ends at once: the operator's, of which some may be off now. Where one of an app's own
   * is off, all that is denied in the app ends, as with `endDenying`. `shed`: the priorities of apps' own rules that are off.
   */
  endDenyingBut(ruleSet: RuleSet, shed: readonly Priority[] = []): void {
    const inForce = new Map(ruleSet.rules.flatMap((one) => (one.enabled ? [[one.name, one]] : [])));
    // Whoever calls `follow` next must not get back what has ended.
    if (this.#rules !== undefined) this.#rules = ruleSet;
    for (const group of this.#groups.all()) {
      const { denied, ended, losesOwn } = stillDenied(group, inForce, shed);
      if (ended.size === 0 && !losesOwn) group.denied = denied;
      else if (
        denied.length === 0 ||
        losesOwn ||
        this.#endAlone(ended, () => this.#numbers.allow(group.number, ended)) === undefined
      )
        this.#endDenyingIn(group);
      else {
        // Not under its name: a group of that name denies more.
        const key = `${group.key}\nless since ${this.#turn}`;
        const denies = group.denies.filter((name) => !ended.has(name));
        // What was denied before is nothing to give up a rule for that is left.
        for (const { cgroupId } of group.entries) this.#tables.note(cgroupId, group.number);
        this.#groups.delete(group);
        this.#groups.add({ ...group, key, denied, denies });
      }
    }
  }

  /** Ends what these rules deny, and nothing else. Undefined: the kernel refuses. */
  #endAlone<T>(names: ReadonlySet<string>, end: () => T): T | undefined {
    try {
      return end();
    } catch (error) {
      const text = 'what some rules deny could not be ended alone: all ends in some containers';
      this.#options.logger.warn({ error, rules: [...names] }, text);
      return undefined;
    }
  }

  /** At once: containers in which programs are denied have no table until `follow` groups them anew; by default all. */
  endDenying(isMeant: (group: DeniedGroup) => boolean = () => true): void {
    for (const group of this.#groups.all())
      if (group.denied.length > 0 && isMeant(group)) this.#endDenyingIn(group);
  }

  #endDenyingIn(group: Group): void {
    for (const entry of group.entries) this.#tables.tell(entry, NONE);
    this.#numbers.leave(group.number);
    this.#groups.delete(group);
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
    const denied = this.#denials.among(this.#rules?.rules, container, app);
    const own = app === 'none' ? NO_RULES : app.ruleSet.rules;
    const asking = { operators: this.#rules?.rules, own, denying: denied };
    const facts = this.#facts.of(container, asking, (this.#options.nowMs ?? Date.now)());
    const key = [facts.key, ...denied.map(({ name }) => name)].join('\n');
    const group = this.#groups.find(app, key);
    if (group !== undefined) return group;
    // Until there is a table of its own, its containers keep theirs if that holds for them.
    const kept = this.#keptOf(former, { app, denied, facts }, isOf(container, member));
    return this.#groups.add({ app, facts, key, denied, ...kept, turn: -1, entries: [] });
  }

  #keptOf(
    former: Group | undefined,
    next: Pick<Group, 'app' | 'denied' | 'facts'>,
    isSame: boolean,
  ): TableOf {
    if (former === undefined) return NO_TABLE;
    if (mayKeepTable(former, next, this.#turn, isSame)) return this.#tableOf(former);
    const ended = endedIfKept(former, next, isSame);
    if (ended === undefined) return NO_TABLE;
    // Others may have it, in whose containers these rules still deny.
    if (ended.size > 0) return this.#copyBut(former, ended);
    // Of the rules of this group it may filter too much.
    if (former.filters) this.#stopFiltering(former.number);
    return this.#tableOf(former);
  }

  /** What it denies but by these rules; nothing if the kernel has no room for it. */
  #copyBut(former: Group, ended: ReadonlySet<string>): TableOf {
    const number = this.#endAlone(ended, () => this.#numbers.copyBut(former.number, ended));
    if (number === undefined) return NO_TABLE;
    const denies = former.denies.filter((name) => !ended.has(name));
    return this.#tableOf({ ...former, number, denies, filters: false });
  }

  /** The group of containers whose app, or its policy, is not known yet; undefined: nothing is denied there. */
  #before(): Group | undefined {
    const app = BEFORE_IDENTITY;
    const former = this.#groups.ofApp(app).at(-1);
    // Rules change.
    if (this.#rules === undefined) return former;
    const denied = this.#denials.beforeIdentity(this.#rules.rules);
    if (denied.length === 0) return undefined;
    const key = denied.map(({ name }) => name).join('\n');
    const group = this.#groups.find(app, key);
    if (group !== undefined) return group;
    const facts = factsOfType(undefined);
    const kept = this.#keptOf(former, { app, denied, facts }, true);
    return this.#groups.add({ app, facts, key, denied, ...kept, turn: -1, entries: [] });
  }

  /** The table of a container that appears just now, of which nothing is known; undefined: it has none yet. */
  beforeIdentity(cgroupId: number, level: number): number | undefined {
    const group = this.#stopped ? undefined : this.#before();
    const number = group?.number ?? NONE;
    if (group === undefined || number === NONE) return undefined;
    // It may be known whose it is before `follow` is called: it keeps the table then.
    if (!group.entries.some((member) => member.cgroupId === cgroupId))
      group.entries.push({ cgroupId, level, resolution: { state: 'unknown' } });
    this.#tables.note(cgroupId, number);
    return number;
  }

  /** By the table of this number. Who else has it gets another one. */
  #stopFiltering(number: number): void {
    this.#numbers.stopFiltering(number);
    for (const group of this.#groups.all()) {
      if (group.number !== number) continue;
      group.filters = false;
      group.turn = -1;
    }
  }

  #tableOf({ number, denies, filters, tableTurn }: Group): TableOf {
    this.#numbers.join(number);
    return { number, denies, filters, tableTurn };
  }

  #forgetGroups(): void {
    const before = this.#before();
    for (const group of this.#groups.all()) {
      // That of the next container that nothing is known of is to be there when it appears.
      if (group.entries.length > 0 || group === before) continue;
      this.#numbers.leave(group.number);
      group.number = NONE;
      this.#groups.delete(group);
    }
  }

  async #make(): Promise<void> {
    const isDone = await this.#maker.makeAll(() => this.#next());
    if (isDone && !this.#isWaiting) this.certain.begin();
  }

  /** A group whose table is not of the rules in force. */
  #next(): TableWork | undefined {
    const [rules, turn] = [this.#rules, this.#turn];
    if (this.#isWaiting || this.#stopped || rules === undefined) return undefined;
    const group = this.#groups.all().find((one) => one.turn !== turn);
    if (group === undefined) return undefined;
    /** Until rules change or the group's last container is gone. */
    const isWanted = (): boolean =>
      !this.#stopped && turn === this.#turn && this.#groups.has(group);
    return { group, rules, turn, isWanted };
  }

  #onRefused(error: unknown): void {
    // It might be judged by another container's rules: from now on no container is filtered.
    this.#stopped = true;
    this.#numbers.suspend();
    const text =
      'file calls and connects are no longer filtered: the table of a container could not be set in the kernel';
    this.#options.logger.error({ error }, text);
  }
}
