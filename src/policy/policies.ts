import type { Container } from '../apps/identity.ts';
import type { Priority } from '../rules/detection.ts';
import type { RuleSet } from '../rules/rule-set.ts';
import { atOnce, inTurns } from '../shared/turns.ts';
import { CpuClock, type Clocks } from '../evaluation/cpu-clock.ts';
import { AppBudgets } from './app-budgets.ts';
import type { PolicyText } from '../container-files/policy-text.ts';
import type { OperatorRules } from './app-policy.ts';
import { OwnRules } from './own-rules.ts';
import type { OwnRulesCounters, OwnRulesNews, OwnRulesStatus } from './own-rules.ts';
import { compileSteps, keyOf, PolicyCompiler } from './policy-compiler.ts';
import type { PolicyResult } from './policy-compiler.ts';
import { newsOf } from './policy-news.ts';
import type { PolicyNews } from './policy-news.ts';
import type { AppPolicy } from './policy-in-force.ts';
import { DEFAULT_BUDGET } from './rule-budget.ts';

/** Containers whose policies are remembered: as many as the scope has room for. Beyond, the operator's rules hold alone. */
const MAX_CONTAINERS = 16_384;
/** Containers whose own rules `varvel status` lists. */
const MAX_SHOWN = 1000;

/** A container whose first process is not known after so many looks is told all the same. */
const MAX_LOOKS = 5;

/** By trust and text: what it came to, and how many containers have it. */
type Compiled = Map<string, { users: number; readonly result: PolicyResult }>;

export interface PoliciesOptions {
  /** Undefined: no app has rules of its own. */
  readonly operator: OperatorRules | undefined;
  /** `none`: it has none, for good; undefined: not known yet. */
  readonly textOf: (container: Container) => PolicyText | 'none' | undefined;
  readonly tell: (news: PolicyNews) => void;
  /** Told of a container's own rules: a second later at most. */
  readonly tellOwnRules?: (news: OwnRulesNews) => void;
  /** The rules that apps have of their own are others now. */
  readonly onChanged: (ruleSets: readonly RuleSet[]) => void;
  /** `isReady` is true of the container from now on; it was not before. */
  readonly onReady?: (container: Container) => void;
  /** By which apps' own rules are measured. */
  readonly clocks?: Clocks;
}

/** What policies cost and how they fare, for metrics and `varvel status`. */
export interface PoliciesStatus {
  readonly inForce: number;
  readonly refused: number;
  readonly different: number;
  /** Containers whose own rules are paused now. */
  readonly paused: number;
  /** Of all containers, those that are gone included; monotonic. */
  readonly totals: Readonly<OwnRulesCounters>;
  /** Containers with own rules, at most MAX_SHOWN, the costliest first. */
  readonly containers: readonly OwnRulesStatus[];
}

interface Entry {
  readonly source: PolicyText;
  container: Container;
  compiled: PolicyResult;
  /** The policy as it runs for this container. */
  rules: OwnRules | undefined;
  /** What the app was told last. */
  told: PolicyNews['state'] | undefined;
  /** How often it was looked whether it can be told. */
  looks: number;
}

/**
 * The policies of the containers in scope. A policy is read once, when its container is first seen, and stays as it was; the
 * same text is compiled once for all its containers, in turns of 5 ms: a large one takes a quarter of a second.
 */
export class Policies {
  readonly #options: PoliciesOptions;
  /** By the container's full id. */
  readonly #entries = new Map<string, Entry>();
  /** Asked for, without one: this comes with each event. */
  readonly #without = new WeakSet<Container>();
  /** While a container has it. */
  #compiled: Compiled = new Map();
  readonly #compiler = new PolicyCompiler((source, containers, result) => {
    this.#onCompiled(source, containers, result);
  });
  #operator: OperatorRules | undefined;
  #shed: readonly Priority[] = [];
  readonly #budgets = new AppBudgets();
  /** Of containers that are gone. */
  readonly #former = noCounters();

  constructor(options: PoliciesOptions) {
    this.#options = options;
    this.#operator = options.operator;
  }

  /** The rules of the container's app; undefined when there are the operator's alone. */
  of(container: Container): AppPolicy | undefined {
    this.take(container);
    return this.#entries.get(container.fullId)?.compiled.policy;
  }

  /** The same as it runs for this container, once it `isReady`: what an event is refined by. Never throws. */
  rulesOf(container: Container): OwnRules | undefined {
    return this.#entries.get(container.fullId)?.rules;
  }

  /** A container has come into scope, or is described anew. */
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
    // Its rules are in force already, for others.
    else this.#enter(container, source, shared.result, this.#operator);
  }

  /** Whether it is decided which rules hold for the container: false while its policy is being compiled. O(1). */
  isReady(container: Container): boolean {
    this.take(container);
    return !this.#compiler.waiting.has(container.fullId);
  }

  /** Compiles what is left of the container's policy in one go: there is no more time. */
  finish(container: Container): void {
    this.take(container);
    this.#compiler.finish(container.fullId);
  }

  /** Switches apps' own rules of these priorities off, and all others on: the agent is over a ceiling, or no more. */
  shed(priorities: readonly Priority[]): void {
    this.#shed = priorities;
    for (const { result } of this.#compiled.values()) result.policy?.shed(priorities);
    this.#changed();
  }

  /**
   * The containers in scope, all of them, with those that have ended a moment ago, of which something may still be told. To be
   * called every second or so: apps are told what became of their policies here, once there is a log to tell it in.
   */
  follow(containers: readonly Container[]): void {
    for (const container of containers) {
      this.take(container);
      this.#tell(container);
      this.#followOwnRules(container);
    }
    const here = new Set(containers.map(({ fullId }) => fullId));
    for (const fullId of [...this.#entries.keys(), ...this.#compiler.waiting.keys()])
      if (!here.has(fullId)) this.forget(fullId);
  }

  /** The container is gone. */
  forget(fullId: string): void {
    // What it did meanwhile waits for its rules.
    this.#compiler.finish(fullId);
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
   * Compiles all against other rules of the operator's, in turns of a few ms. What it resolves to puts them into force, at
   * once: to be called when those rules are. Who is refused then, or no more, is told by `follow`.
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

  /** Whether a policy of the container's is in force or was refused; undefined when it has none. */
  stateOf({ fullId }: Container): PolicyNews['state'] | undefined {
    const entry = this.#entries.get(fullId);
    if (entry === undefined) return undefined;
    return entry.compiled.policy === undefined ? 'refused' : 'in force';
  }

  /** What the container's app has in force, `none` where only the operator's rules hold for good; undefined while that is not known. */
  inForceFor(container: Container): AppPolicy | 'none' | undefined {
    this.take(container);
    if (this.#operator === undefined || this.#without.has(container)) return 'none';
    const entry = this.#entries.get(container.fullId);
    // One that was refused has no say.
    return entry && (entry.compiled.policy ?? 'none');
  }

  /** Whether the container's own rules are paused; undefined when it has none. */
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

  /** Containers with a policy in force, with one that was refused, and how many different ones there are. */
  counts(): { readonly inForce: number; readonly refused: number; readonly different: number } {
    let inForce = 0;
    for (const { compiled } of this.#entries.values()) if (compiled.policy !== undefined) inForce++;
    const refused = this.#entries.size - inForce;
    return { inForce, refused, different: this.#compiled.size };
  }

  /** Puts what a document came to into force for containers that have it. */
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
    this.#compiled = fresh;
    for (const entry of this.#entries.values()) {
      const { source } = entry;
      const known = fresh.get(keyOf(source))?.result;
      // One that has come meanwhile: it was compiled against the rules of before.
      entry.compiled = this.#use(source, known ?? atOnce(compileSteps(source, operator)));
      this.#renew(entry, operator);
    }
    this.#compiler.restart(operator, (source) => fresh.get(keyOf(source))?.result);
    // Those of containers that have gone meanwhile.
    for (const [key, { users }] of fresh) if (users === 0) fresh.delete(key);
    this.#changed();
  }

  #tell(container: Container): void {
    const entry = this.#entries.get(container.fullId);
    if (entry === undefined) return;
    const state = entry.compiled.policy === undefined ? 'refused' : 'in force';
    if (entry.told === state) return;
    if (container.initPid === 0 && ++entry.looks < MAX_LOOKS) return;
    entry.told = state;
    this.#options.tell(newsOf(container, entry.source, entry.compiled));
  }

  /** A pause goes on over a reload, as long as there is a policy. */
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

  /** Nothing of it is run any more: what it has cost remains counted. */
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
    // Before the app was told of its policy there may be no log yet.
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
