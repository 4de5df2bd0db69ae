import type { Container } from '../apps/identity.ts';
import type { Detection } from '../rules/detection.ts';
import type { Match } from '../rules/engine.ts';
import type { AppRules } from '../evaluation/app-rules.ts';
import { GrowingPeriods } from '../evaluation/growing-periods.ts';
import type { ResponseName } from '../shared/response-names.ts';
import type { LoadedRule, RuleSet } from '../rules/rule-set.ts';
import { reasonOf } from '../evaluation/rule-watch.ts';
import type { Unwritten } from '../evaluation/rule-watch.ts';
import type { Subject } from '../rules/subject.ts';
import { CpuClock } from '../evaluation/cpu-clock.ts';
import { failedText, pausedText, resumedText } from './own-rules-texts.ts';
import type { AppPolicy, OwnRun } from './policy-in-force.ts';
import { RuleBudget } from './rule-budget.ts';
import type { BudgetLimits } from './rule-budget.ts';

/** Number of failures after which a rule is off for a period. */
const FAILURES_MAX = 3;
/** Limit on queued news; further news are only counted. */
const NEWS_MAX = 16;
/** Costs by rule are reset after this time, so that a notice names the recently costliest rule. */
const COSTS_MS = 60_000;
/** Stands for the policy itself, if no rule is to blame. */
const NO_RULE = '';

/** A change of one container's own rules. */
export interface OwnRulesNews {
  readonly container: Container;
  readonly state: 'paused' | 'resumed' | 'rule failed';
  /** The rule that cost most, or that failed. */
  readonly rule: string | undefined;
  /** CPU ms spent, which exceed the limit. */
  readonly spentMs?: number;
  /** One line, safe to print. */
  readonly text: string;
}

/** Counters of own rules; monotonic. */
export interface OwnRulesCounters {
  /** Events for which own rules, or operator rules changed by the app, were run. */
  events: number;
  cpuMs: number;
  pauses: number;
  /** Events whose last own rules, or outputs, were skipped because the event had used up its time. */
  cutEvents: number;
  failures: number;
  /** Changes that were not reported for lack of room. */
  untold: number;
}

/** A container's own rules, for `varvel status`. */
export interface OwnRulesStatus extends Readonly<OwnRulesCounters> {
  readonly container: string;
  readonly app: string | undefined;
  readonly rules: number;
  readonly paused: boolean;
  /** The recently costliest rule, and its CPU ms. */
  readonly costliest: { readonly rule: string; readonly cpuMs: number } | undefined;
}

interface Failing {
  failures: number;
  readonly off: GrowingPeriods;
}

/**
 * A policy as it runs for one container: measured, within its app's budget; exceptions never escape. The budget belongs to the
 * app, not the policy: two apps may have the same text, and neither may switch off the other's rules. While its rules are
 * paused, the operator's rules apply unchanged. Exceptions and variables, which would need evaluation, then have no effect;
 * rules that the app has switched off stay off.
 */
export class OwnRules implements AppRules, OwnRun {
  readonly counters: OwnRulesCounters = {
    events: 0,
    cpuMs: 0,
    pauses: 0,
    cutEvents: 0,
    failures: 0,
    untold: 0,
  };
  readonly unanswered: string[] = [];
  readonly #clock: CpuClock;
  readonly #floodClock: CpuClock;
  readonly #budget: RuleBudget;
  readonly #failing = new Map<string, Failing>();
  readonly #costs = new Map<string, { ms: number; runs: number }>();
  #policy: AppPolicy;
  #limits: BudgetLimits;
  #container: Container;
  readonly #news: OwnRulesNews[] = [];
  #costsSinceMs = 0;
  #compileMs = 0;
  /** CPU time of this event's rules and outputs so far. */
  #eventMs = 0;
  #isCut = false;
  /** Whether this container's log has a notice of the pause. */
  #isToldPaused = false;
  /** Whether the app's rules were run for this event: they may be paused. */
  #hasRun = false;

  constructor(
    container: Container,
    policy: AppPolicy,
    limits: BudgetLimits,
    { budget = new RuleBudget(), clock = new CpuClock(), floodClock = new CpuClock() } = {},
  ) {
    this.#container = container;
    this.#policy = policy;
    this.#limits = limits;
    this.#budget = budget;
    this.#clock = clock;
    this.#floodClock = floodClock;
  }

  get budget(): RuleBudget {
    return this.#budget;
  }

  /** Sets other rules or another budget after a reload: time spent, and a pause, remain. */
  replace(policy: AppPolicy, limits: BudgetLimits): void {
    this.#policy = policy;
    this.#limits = limits;
    this.#failing.clear();
    this.#costs.clear();
  }

  get ruleSet(): RuleSet {
    return this.#policy.ruleSet;
  }

  get isPaused(): boolean {
    return this.#budget.isPaused;
  }

  get hasSkipped(): boolean {
    return this.#policy.runsRules && (!this.#hasRun || this.unanswered.length > 0);
  }

  /** Number of rules that watch the container, given the operator's `rules`. */
  activeAmong(rules: readonly LoadedRule[]): number {
    return this.isPaused ? this.#policy.unmutedAmong(rules) : this.#policy.activeAmong(rules);
  }

  refine(matches: readonly Match[], subject: Subject): readonly Match[] {
    if (!this.#starts()) return this.#policy.withoutMuted(matches);
    try {
      return this.#policy.refine(matches, subject, this);
    } catch (error) {
      this.#hasRun = false;
      this.#note(NO_RULE, error);
      return this.#policy.withoutMuted(matches);
    } finally {
      this.#endEvent();
    }
  }

  counts(match: Match, subject: Subject): boolean {
    if (!this.#starts()) return !this.#policy.isMuted(match);
    try {
      return this.#policy.counts(match, subject, this);
    } catch (error) {
      this.#hasRun = false;
      this.#note(NO_RULE, error);
      return !this.#policy.isMuted(match);
    } finally {
      this.#endEvent();
    }
  }

  responseTo(rule: string): ResponseName | undefined {
    // If the app's exceptions were not evaluated, an exempted process might be killed.
    return this.isAnswered(rule) ? this.#policy.responseTo(rule) : undefined;
  }

  isAnswered(rule: string): boolean {
    const isAsked = this.#hasRun && !this.unanswered.includes(rule);
    return isAsked || !this.#policy.changes(rule);
  }

  isOwn({ name }: LoadedRule): boolean {
    return this.#hasRun && this.#policy.isOwn(name) && !this.unanswered.includes(name);
  }

  written(rule: LoadedRule, write: () => Detection): Detection | Unwritten {
    if (this.#eventMs > this.#limits.atOnceMs) {
      this.#cut();
      return {
        unwritten: `the app’s own rules have used up the ${this.#limits.atOnceMs} ms of this event`,
      };
    }
    return this.#measured(rule, write, (ms) => (this.#eventMs += ms));
  }

  writtenLater(rule: LoadedRule, write: () => Detection): Detection | Unwritten {
    // The last measured event may be another one by now. The output is bounded, and its time is charged to the budget.
    return this.#measured(rule, write, () => undefined);
  }

  #measured(
    rule: LoadedRule,
    write: () => Detection,
    onMs: (ms: number) => void,
  ): Detection | Unwritten {
    this.#clock.start();
    try {
      return write();
    } catch (error) {
      this.#note(rule.name, error);
      return { unwritten: reasonOf(error) };
    } finally {
      const ms = this.#clock.lap();
      this.#charge(rule.name, ms);
      onMs(ms);
      this.#spend(ms, this.#limits);
    }
  }

  inFull(work: () => void): void {
    const chargedMs = this.counters.cpuMs;
    this.#floodClock.start();
    work();
    const restMs = this.#floodClock.lap() - (this.counters.cpuMs - chargedMs);
    if (restMs <= 0 || !this.#policy.runsRules || this.isPaused) return;
    // It may cover many events.
    this.#spend(restMs, this.#limits, { atOnceMs: Infinity, nowMs: this.#floodClock.nowMs });
  }

  begin(): void {
    // Earlier time is charged to the first rule: this saves one clock read.
  }

  isOn({ name }: LoadedRule): boolean {
    if (!this.#isCut && !this.#isOff(name)) return true;
    this.unanswered.push(name);
    return false;
  }

  onRun({ name }: LoadedRule): void {
    const ms = this.#clock.lap();
    this.#charge(name, ms);
    this.#eventMs += ms;
    if (this.#eventMs > this.#limits.atOnceMs) this.#cut();
  }

  onFailure({ name }: LoadedRule, error: unknown): void {
    this.unanswered.push(name);
    this.#note(name, error);
  }

  onCompiling(): void {
    this.#eventMs += this.#clock.lap();
  }

  onCompiled(): void {
    // Not charged to this event: on a slow host, compiling would pause the rules.
    this.#compileMs += this.#clock.lap();
  }

  onCompileFailure(names: Iterable<string>, error: unknown): void {
    this.unanswered.push(...names);
    this.#note(NO_RULE, error);
  }

  /** Call every second: ends a pause that has expired, and reports one that another container has caused. */
  follow(container: Container): void {
    this.#container = container;
    const nowMs = this.#clock.now();
    this.#budget.resume(nowMs);
    if (this.isPaused && !this.#isToldPaused) this.#tellPaused();
    else if (!this.isPaused && this.#isToldPaused) {
      this.#isToldPaused = false;
      this.#costs.clear();
      this.#add({ state: 'resumed', rule: undefined, text: resumedText() });
    }
    if (nowMs - this.#costsSinceMs > COSTS_MS && !this.isPaused) {
      this.#costs.clear();
      this.#costsSinceMs = nowMs;
    }
  }

  /** Returns queued news and clears the queue. */
  takeNews(): readonly OwnRulesNews[] {
    return this.#news.splice(0);
  }

  /** Undefined if there is nothing to run. */
  status(): OwnRulesStatus | undefined {
    if (!this.#policy.runsRules) return undefined;
    const { id, app } = this.#container;
    const costliest = this.#costliest();
    return {
      container: id,
      app: app?.name,
      rules: this.#policy.runs,
      paused: this.isPaused,
      ...this.counters,
      costliest: costliest && { rule: costliest.rule, cpuMs: costliest.ms },
    };
  }

  /** Starts to measure an event; false if nothing must be run. */
  #starts(): boolean {
    if (this.unanswered.length > 0) this.unanswered.length = 0;
    this.#hasRun = this.#policy.runsRules && !this.isPaused;
    if (!this.#hasRun) return false;
    this.#isCut = false;
    this.#eventMs = 0;
    this.#compileMs = 0;
    this.counters.events++;
    this.#clock.start();
    return true;
  }

  #endEvent(): void {
    this.#eventMs += this.#clock.lap();
    this.#spend(this.#eventMs, this.#limits);
    if (this.#compileMs > 0) this.#spend(this.#compileMs, { ...this.#limits, atOnceMs: Infinity });
  }

  #spend(
    ms: number,
    limits: BudgetLimits,
    { atOnceMs = limits.atOnceMs, nowMs = this.#clock.nowMs } = {},
  ): void {
    this.counters.cpuMs += ms;
    if (this.#budget.spend(ms, nowMs, limits, atOnceMs) === undefined) return;
    this.counters.pauses++;
    this.#tellPaused();
  }

  #tellPaused(): void {
    const { overrun, containers } = this.#budget;
    if (overrun === undefined) return;
    this.#isToldPaused = true;
    const costliest = this.#costliest();
    const { spentMs } = overrun;
    const text = pausedText({ ...overrun, containers }, this.#limits, costliest);
    this.#add({ state: 'paused', rule: costliest?.rule, spentMs, text });
  }

  #cut(): void {
    if (!this.#isCut) this.counters.cutEvents++;
    this.#isCut = true;
  }

  #charge(rule: string, ms: number): void {
    const cost = this.#costs.get(rule);
    if (cost === undefined) this.#costs.set(rule, { ms, runs: 1 });
    else {
      cost.ms += ms;
      cost.runs++;
    }
  }

  #costliest(): { rule: string; ms: number; runs: number } | undefined {
    let found: { rule: string; ms: number; runs: number } | undefined;
    for (const [rule, { ms, runs }] of this.#costs)
      if (found === undefined || ms > found.ms) found = { rule, ms, runs };
    return found;
  }

  #isOff(rule: string): boolean {
    if (this.#failing.size === 0) return false;
    return this.#failing.get(rule)?.off.isRunning(this.#clock.nowMs) === true;
  }

  /** Records a failure of a rule, or of the policy if no rule is to blame. */
  #note(rule: string, error: unknown): void {
    this.counters.failures++;
    let failing = this.#failing.get(rule);
    if (failing === undefined) {
      failing = { failures: 0, off: new GrowingPeriods() };
      this.#failing.set(rule, failing);
    }
    const count = ++failing.failures;
    const { nowMs } = this.#clock;
    const isOften = count % FAILURES_MAX === 0;
    if (failing.off.isRunning(nowMs) || !(count === 1 || isOften)) return;
    const offMs = isOften ? failing.off.begin(nowMs) : undefined;
    const named = rule === NO_RULE ? undefined : rule;
    this.#add({
      state: 'rule failed',
      rule: named,
      text: failedText(named, reasonOf(error), named === undefined ? undefined : offMs),
    });
  }

  #add(news: Omit<OwnRulesNews, 'container'>): void {
    if (this.#news.length < NEWS_MAX) this.#news.push({ container: this.#container, ...news });
    else this.counters.untold++;
  }
}
