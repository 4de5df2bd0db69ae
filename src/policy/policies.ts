import type { Container } from '../apps/identity.ts';
import type { Priority } from '../rules/detection.ts';
import type { LoadedRule, RuleSet } from '../rules/rule-set.ts';
import { atOnce, inTurns } from '../shared/turns.ts';
import { CpuClock, type Clocks } from '../evaluation/cpu-clock.ts';
import { AppBudgets } from './app-budgets.ts';
import type { PolicyText } from '../container-files/policy-text.ts';
import type { OperatorRules } from './app-policy.ts';
import { OwnRules } from './own-rules.ts';
import type { OwnRulesCounters, OwnRulesNews, OwnRulesStatus } from './own-rules.ts';
import { compileSteps, keyOf, PolicyCompiler } from './policy-compiler.ts';
import type { PolicyResult } from './policy-compiler.ts';
import { newsOf, offNews } from './policy-news.ts';
import type { PolicyNews } from './policy-news.ts';
import type { AppPolicy } from './policy-in-force.ts';
import { DEFAULT_BUDGET } from './rule-budget.ts';

/**
 * Limit on containers whose policies are remembered, equal to the room in the scope. Beyond it, only the operator's rules
 * apply.
 */
const MAX_CONTAINERS = 16_384;
/** Limit on containers whose own rules `varvel status` lists. */
const MAX_SHOWN = 1000;

/** A container whose first process is still unknown after this many looks is notified anyway. */
const MAX_LOOKS = 5;

/** Results by `keyOf` the source, and the number of containers that use each. */
type Compiled = Map<string, { users: number; readonly result: PolicyResult }>;

export interface PoliciesOptions {
  /** Undefined: no app has its own rules. */
  readonly operator: OperatorRules | undefined;
  /** `none`: it has none, permanently; undefined: not known yet. */
  readonly textOf: (container: Container) => PolicyText | 'none' | undefined;
  readonly tell: (news: PolicyNews) => void;
  /** Receives news of a container's own rules, within a second. */
  readonly tellOwnRules?: (news: OwnRulesNews) => void;
  /** The set of apps' own rules has changed. */
  readonly onChanged: (ruleSets: readonly RuleSet[]) => void;
  /** `isReady` is now true for the container, and was not before. */
  readonly onReady?: (container: Container) => void;
  /** Clocks that measure apps' own rules. */
  readonly clocks?: Clocks;
}

/** Costs and states of policies, for metrics and `varvel status`. */
export interface PoliciesStatus {
  readonly inForce: number;
  readonly refused: number;
  readonly different: number;
  /** Containers whose own rules are paused now. */
  readonly paused: number;
  /** Sums over all containers, including those that are gone; monotonic. */
  readonly totals: Readonly<OwnRulesCounters>;
  /** Containers with own rules, costliest first, at most MAX_SHOWN. */
  readonly containers: readonly OwnRulesStatus[];
}

interface Entry {
  readonly source: PolicyText;
  container: Container;
  compiled: PolicyResult;
  /** The policy as it runs for this container. */
  rules: OwnRules | undefined;
  /** The last state reported to the app. */
  told: PolicyNews['state'] | undefined;
  /** Number of attempts to notify the app. */
  looks: number;
}

/**
 * The policies of the containers in scope. A policy is read once, when its container is first seen, and does not change. The
 * same text is compiled once for all its containers, in turns of 5 ms: a large one takes a quarter of a second.
 */
export class Policies {
  readonly #options: PoliciesOptions;
  /** By the container's full id. */
  readonly #entries = new Map<string, Entry>();
  /** Containers known to have no policy: this lookup happens for each event. */
  readonly #without = new WeakSet<Container>();
  /** While apps have no policies: by the full ids of containers with one, the number of attempts to say so; `told` at the end. */
  readonly #withoutEffect = new Map<string, number | 'told'>();
  /** Kept while a container uses it. */
  #compiled: Compiled = new Map();
  readonly #compiler = new PolicyCompiler((source, containers, result) => {
    this.#onCompiled(source, containers, result);
  });
  #operator: OperatorRules | undefined;
  #shed: readonly Priority[] = [];
  readonly #budgets = new AppBudgets();
  /** Counters of containers that are gone. */
  readonly #former = noCounters();

  constructor(options: PoliciesOptions) {
    this.#options = options;
    this.#operator = options.operator;
  }

  /** The policy of the container's app; undefined if only the operator's rules apply. */
  of(container: Container): AppPolicy | undefined {
    this.take(container);
    return this.#entries.get(container.fullId)?.compiled.policy;
  }

  /** The policy's run for this container, once it `isReady`: refines the matches of an event. Never throws. */
  rulesOf(container: Container): OwnRules | undefined {
    return this.#entries.get(container.fullId)?.rules;
  }

  /** Number of rules that watch the container, given the operator's. */
  activeAmong(container: Container, operators: readonly LoadedRule[]): number {
    const own = this.rulesOf(container);
    return own?.activeAmong(operators) ?? operators.filter(({ enabled }) => enabled).length;
  }

  /** A container has come into scope, or has a new description. */
  take(container: Container): void {
    const { fullId } = container;
    const { waiting } = this.#compiler;
    if (this.#operator === undefined || this.#entries.has(fullId) || waiting.has(fullId)) return;
    if (this.#without.has(container) || this.#entries.size + waiting.size >= MAX_CONTAINERS) return;
    const source = this.#options.textOf(container);
    if (source === 'none') this.#without.add(container);
    if (source === undefined || source === 'none') return;
    const shared = this.#compiled.get(keyOf(source));
    if (shared === undefined) this.#compiler.add(source, container, this.#operator);
    // Its rules are already in force for other containers.
    else this.#enter(container, source, shared.result, this.#operator);
  }

  /** Whether it is decided which rules apply to the container: false while its policy is being compiled. O(1). */
  isReady(container: Container): boolean {
    this.take(container);
    return !this.#compiler.waiting.has(container.fullId);
  }

  /** Compiles the rest of the container's policy at once, because there is no more time. */
  finish(container: Container): void {
    this.take(container);
    this.#compiler.finish(container.fullId);
  }

  /** Switches apps' own rules of these priorities off, and all others on, as the agent exceeds a ceiling or no longer does. */
  shed(priorities: readonly Priority[]): void {
    this.#shed = priorities;
    for (const { result } of this.#compiled.values()) result.policy?.shed(priorities);
    this.#changed();
  }

  /**
   * Takes all containers in scope, including those that ended a moment ago and may still have news. Call about every second: it
   * reports to apps what became of their policies, once there is a log to write to.
   */
  follow(containers: readonly Container[]): void {
    for (const container of containers) {
      this.take(container);
      this.#tell(container);
      this.#followOwnRules(container);
    }
    const here = new Set(containers.map(({ fullId }) => fullId));
    const { waiting } = this.#compiler;
    for (const fullId of [
      ...this.#entries.keys(),
      ...waiting.keys(),
      ...this.#withoutEffect.keys(),
    ])
      if (!here.has(fullId)) this.forget(fullId);
  }

  /** The container is gone. */
  forget(fullId: string): void {
    // The events that it caused meanwhile wait for its rules.
    this.#compiler.finish(fullId);
    this.#withoutEffect.delete(fullId);
    const entry = this.#entries.get(fullId);
    if (entry === undefined) return;
    this.#entries.delete(fullId);
    this.#retire(entry);
    const key = keyOf(entry.source);
    const shared = this.#compiled.get(key);
    if (shared === undefined || --shared.users > 0) return;
    this.#compiled.delete(key);
    if (shared.result.policy !== undefined) this.#changed();
  }

  /**
   * Compiles all policies against other operator rules, in turns of a few ms. The function that it resolves to puts them into
   * force at once: call it when those rules come into force. `follow` reports who is then refused, or no longer refused.
   */
  async prepare(operator: OperatorRules | undefined): Promise<() => void> {
    const fresh: Compiled = new Map();
    if (operator === undefined) return () => this.#clear();
    const entries = [...this.#entries.values()];
    for (const source of [...entries.map((entry) => entry.source), ...this.#compiler.sources()]) {
      const key = keyOf(source);
      if (fresh.has(key)) continue;
      fresh.set(key, { users: 0, result: await inTurns(compileSteps(source, operator)) });
    }
    return () => this.#swap(operator, fresh);
  }

  /** Whether the container's policy is in force or was refused; undefined if it has none. */
  stateOf({ fullId }: Container): PolicyNews['state'] | undefined {
    const entry = this.#entries.get(fullId);
    if (entry === undefined) return undefined;
    return entry.compiled.policy === undefined ? 'refused' : 'in force';
  }

  /**
   * The policy in force for the container's app; `none` if only the operator's rules apply permanently; undefined while
   * unknown.
   */
  inForceFor(container: Container): AppPolicy | 'none' | undefined {
    this.take(container);
    if (this.#operator === undefined || this.#without.has(container)) return 'none';
    const entry = this.#entries.get(container.fullId);
    // A refused policy has no effect.
    return entry && (entry.compiled.policy ?? 'none');
  }

  /** Whether the container's own rules are paused; undefined if it has none. */
  arePaused({ fullId }: Container): boolean | undefined {
    return this.#entries.get(fullId)?.rules?.isPaused;
  }

  status(): PoliciesStatus {
    const totals = { ...this.#former };
    const containers: OwnRulesStatus[] = [];
    for (const { rules } of this.#entries.values()) {
      if (rules === undefined) continue;
      addCounters(totals, rules.counters);
      const status = rules.status();
      if (status !== undefined) containers.push(status);
    }
    containers.sort((a, b) => b.cpuMs - a.cpuMs);
    const paused = containers.filter((one) => one.paused).length;
    return { ...this.counts(), paused, totals, containers: containers.slice(0, MAX_SHOWN) };
  }

  /** Number of containers with a policy in force, with a refused one, and number of different policies. */
  counts(): { readonly inForce: number; readonly refused: number; readonly different: number } {
    let inForce = 0;
    for (const { compiled } of this.#entries.values()) if (compiled.policy !== undefined) inForce++;
    const refused = this.#entries.size - inForce;
    return { inForce, refused, different: this.#compiled.size };
  }

  /** Puts the result for a document into force for its containers. */
  #onCompiled(source: PolicyText, containers: readonly Container[], result: PolicyResult): void {
    const operator = this.#operator;
    if (operator !== undefined) {
      for (const container of containers)
        if (!this.#entries.has(container.fullId)) this.#enter(container, source, result, operator);
      if (result.policy !== undefined) this.#changed();
    }
    for (const container of containers) this.#options.onReady?.(container);
  }

  #enter(
    container: Container,
    source: PolicyText,
    result: PolicyResult,
    operator: OperatorRules,
  ): void {
    const compiled = this.#use(source, result);
    const { policy } = compiled;
    const rules = policy && this.#rulesFor(container, policy, operator);
    const entry = { source, container, compiled, rules, told: undefined, looks: 0 };
    this.#entries.set(container.fullId, entry);
  }

  #clear(): void {
    this.#operator = undefined;
    for (const entry of this.#entries.values()) this.#retire(entry);
    this.#entries.clear();
    this.#compiled.clear();
    this.#changed();
    this.#compiler.stop();
  }

  #swap(operator: OperatorRules, fresh: Compiled): void {
    this.#operator = operator;
    this.#withoutEffect.clear();
    this.#compiled = fresh;
    for (const entry of this.#entries.values()) {
      const { source } = entry;
      const known = fresh.get(keyOf(source))?.result;
      // A policy that arrived meanwhile was compiled against the previous rules.
      entry.compiled = this.#use(source, known ?? atOnce(compileSteps(source, operator)));
      this.#renew(entry, operator);
    }
    this.#compiler.restart(operator, (source) => fresh.get(keyOf(source))?.result);
    // Policies of containers that have gone meanwhile.
    for (const [key, { users }] of fresh) if (users === 0) fresh.delete(key);
    this.#changed();
  }

  #tell(container: Container): void {
    if (this.#operator === undefined) {
      this.#tellOff(container);
      return;
    }
    const entry = this.#entries.get(container.fullId);
    if (entry === undefined) return;
    const state = entry.compiled.policy === undefined ? 'refused' : 'in force';
    if (entry.told === state) return;
    if (container.initPid === 0 && ++entry.looks < MAX_LOOKS) return;
    entry.told = state;
    this.#options.tell(newsOf(container, entry.source, entry.compiled));
  }

  /** An app with a policy asked for more than it gets, and is told so once. */
  #tellOff(container: Container): void {
    const { fullId, initPid } = container;
    const looks = this.#withoutEffect.get(fullId) ?? 0;
    const source = looks === 'told' ? undefined : this.#options.textOf(container);
    if (looks === 'told' || source === undefined || source === 'none') return;
    const isReached = initPid !== 0 || looks + 1 >= MAX_LOOKS;
    this.#withoutEffect.set(fullId, isReached ? 'told' : looks + 1);
    if (isReached) this.#options.tell(offNews(container, source));
  }

  /** A pause continues across a reload, as long as there is a policy. */
  #renew(entry: Entry, operator: OperatorRules): void {
    const { policy } = entry.compiled;
    if (policy === undefined) this.#retire(entry);
    else if (entry.rules !== undefined)
      entry.rules.replace(policy, operator.budget ?? DEFAULT_BUDGET);
    else entry.rules = this.#rulesFor(entry.container, policy, operator);
  }

  #rulesFor(container: Container, policy: AppPolicy, operator: OperatorRules): OwnRules {
    const budget = this.#budgets.join(container);
    const { clocks } = this.#options;
    return new OwnRules(container, policy, operator.budget ?? DEFAULT_BUDGET, {
      budget,
      clock: new CpuClock(clocks),
      floodClock: new CpuClock(clocks),
    });
  }

  /** Stops running its rules; their costs remain counted. */
  #retire(entry: Entry): void {
    if (entry.rules === undefined) return;
    addCounters(this.#former, entry.rules.counters);
    this.#budgets.leave(entry.rules.budget);
    entry.rules = undefined;
  }

  #followOwnRules(container: Container): void {
    const entry = this.#entries.get(container.fullId);
    if (entry === undefined) return;
    entry.container = container;
    entry.rules?.follow(container);
    // There may be no log before the app was told about its policy.
    if (entry.told === undefined) return;
    for (const news of entry.rules?.takeNews() ?? []) this.#options.tellOwnRules?.(news);
  }

  #use(source: PolicyText, result: PolicyResult): PolicyResult {
    const key = keyOf(source);
    const shared = this.#compiled.get(key) ?? { users: 0, result };
    this.#compiled.set(key, shared);
    shared.result.policy?.shed(this.#shed);
    shared.users++;
    return shared.result;
  }

  #changed(): void {
    const sets = [...this.#compiled.values()].flatMap(({ result }) => result.policy?.ruleSet ?? []);
    this.#options.onChanged(sets.filter(({ rules }) => rules.length > 0));
  }
}

function noCounters(): OwnRulesCounters {
  return { events: 0, cpuMs: 0, pauses: 0, cutEvents: 0, failures: 0, untold: 0 };
}

function addCounters(to: OwnRulesCounters, more: Readonly<OwnRulesCounters>): void {
  to.events += more.events;
  to.cpuMs += more.cpuMs;
  to.pauses += more.pauses;
  to.cutEvents += more.cutEvents;
  to.failures += more.failures;
  to.untold += more.untold;
}
