import { createHash } from 'node:crypto';
import type { Priority } from '../rules/detection.ts';
import { domainNamesIn } from '../rules/domain-names.ts';
import { RuleEngine } from '../rules/engine.ts';
import type { Match, RuleObserver } from '../rules/engine.ts';
import type { ResponseName } from '../shared/response-names.ts';
import type { LoadedRule, RuleSet } from '../rules/rule-set.ts';
import type { Subject } from '../rules/subject.ts';
import type { ChangedRules } from './changed-rules.ts';
import type { PolicyCost } from './policy-bounds.ts';
import type { PolicyDocument } from './policy-document.ts';

/** Places in the order of definition, which `first` matching goes by. */
export type RuleOrder = ReadonlyMap<string, number>;

/** What the rules amount to for one app. */
export interface PolicySummary {
  /** Names; each in order of definition. */
  readonly own: readonly string[];
  readonly excepted: readonly string[];
  /** Of the operator's, on for all: what they report is another for the app's variables. */
  readonly adjusted: readonly string[];
  readonly enabled: readonly string[];
  /** Of the operator's: switched off, or below the app's minimum priority. */
  readonly muted: readonly string[];
  /** Rules whose detections end the process that they are about. */
  readonly killing: readonly string[];
  readonly minimumPriority: Priority;
  /** How many rules are on for the app, with its own. */
  readonly active: number;
  /** What the app's own rules and exceptions may cost for the worst event: an estimate. */
  readonly cost: PolicyCost;
}

/** Follows an app's own rules for one event: measures them, stops them, takes their failures. */
export interface OwnRun extends RuleObserver {
  /** Rules that were passed over or have failed: where one is the operator's, that one counts as it is. */
  readonly unanswered: readonly string[];
  onCompiling(): void;
  /** What came since `onCompiling` was compiling. */
  onCompiled(): void;
  onCompileFailure(rules: Iterable<string>, error: unknown): void;
}

/**
 * The policy of an app, in force: what an event of one of its containers comes to, from what the operator's rules say of it.
 * One for all containers with the same document.
 */
export class AppPolicy {
  /** SHA-256 of the document's text. */
  readonly digest: string;
  readonly summary: PolicySummary;
  /** What it adds, for what is to be asked of the kernel. */
  ruleSet: RuleSet;
  readonly #rules: readonly LoadedRule[];
  readonly #names: ReadonlySet<string>;
  #engine: RuleEngine | undefined;
  readonly #changed: ChangedRules;
  /** Rules of the operator's whose matches do not count. */
  readonly #dropped: ReadonlySet<string>;
  /** Of these: those that no rule of the app's stands for. */
  readonly #muted: ReadonlySet<string>;
  readonly #order: RuleOrder;
  /** Names of rules. */
  readonly #killing: ReadonlySet<string>;
  /** By a rule's name: the domain names that it compares addresses with, if any. */
  readonly #domains = new Map<string, ReadonlySet<string>>();

  /** @internal to compilePolicy */
  constructor(
    document: PolicyDocument,
    rules: readonly LoadedRule[],
    changed: ChangedRules,
    dropped: ReadonlySet<string>,
    summary: PolicySummary,
    order: RuleOrder,
  ) {
    this.digest = createHash('sha256').update(document.source.text).digest('hex');
    this.#rules = rules;
    this.#names = new Set(rules.map(({ name }) => name));
    this.ruleSet = { rules };
    this.#engine = rules.length === 0 ? undefined : new RuleEngine(this.ruleSet);
    this.#changed = changed;
    this.#dropped = dropped;
    this.#muted = new Set(summary.muted);
    this.summary = summary;
    this.#killing = new Set(summary.killing);
    this.#order = order;
    for (const rule of rules) {
      const names = domainNamesIn({ rules: [rule] });
      if (names.size > 0) this.#domains.set(rule.name, names);
    }
  }

  /** Switches its rules of these priorities off, and all others on. */
  shed(priorities: readonly Priority[]): void {
    this.#changed.shed(priorities);
    const rules = this.#rules.filter(({ priority }) => !priorities.includes(priority));
    if (rules.length === this.ruleSet.rules.length) return;
    this.ruleSet = { rules };
    this.#engine = rules.length === 0 ? undefined : new RuleEngine(this.ruleSet);
  }

  /** All rules of which one has to match where anything is reported to its app, paused or not, when these are the operator's. */
  *possibleAmong(rules: readonly LoadedRule[]): Generator<LoadedRule> {
    for (const rule of rules) if (rule.enabled && !this.#muted.has(rule.name)) yield rule;
    yield* this.ruleSet.rules;
    // A rule of the operator's that the app has changed matches only where the operator's does, or this.
    if (this.#changed.trigger !== undefined) yield this.#changed.trigger;
  }

  /** How many rules watch its app, when these are the operator's. */
  activeAmong(rules: readonly LoadedRule[]): number {
    const kept = rules.filter(({ enabled, name }) => enabled && !this.#dropped.has(name));
    return kept.length + this.#changed.count(rules) + this.ruleSet.rules.length;
  }

  /** How many of its rules are run for events. */
  get runs(): number {
    return this.#changed.size + this.ruleSet.rules.length;
  }

  /** Whether anything is run: a policy may also only switch rules off. */
  get runsRules(): boolean {
    return this.runs > 0;
  }

  /** Whether the rule is the operator's, and another one for this app. */
  changes(rule: string): boolean {
    return this.#dropped.has(rule) && !this.#muted.has(rule);
  }

  /** Whether a rule of this name is run for the app alone. */
  isOwn(rule: string): boolean {
    return this.#names.has(rule) || this.#changed.has(rule);
  }

  isMuted({ rule }: Match): boolean {
    return this.#muted.has(rule.name);
  }

  /** What counts when nothing of the app's is run. */
  withoutMuted(matches: readonly Match[]): readonly Match[] {
    return this.#muted.size === 0 ? matches : matches.filter((match) => !this.isMuted(match));
  }

  /** How many rules watch its app then, when these are the operator's. */
  unmutedAmong(rules: readonly LoadedRule[]): number {
    return rules.filter(({ enabled, name }) => enabled && !this.#muted.has(name)).length;
  }

  /**
   * What counts of the operator's `matches` of the event, and what the app's own rules add. Without `run` nothing is measured,
   * and what a rule throws is thrown.
   */
  refine(matches: readonly Match[], subject: Subject, run?: OwnRun): readonly Match[] {
    const own = this.#own(matches, subject, run);
    const kept =
      this.#dropped.size === 0 ? matches : matches.filter((match) => this.#isKept(match, run));
    if (own.length === 0) return kept;
    // A rule of the operator's stays where it was among them; the app's own come last.
    const at = ({ rule }: Match): number => this.#order.get(rule.name) ?? Infinity;
    return [...kept, ...own].sort((a, b) => (at(a) === at(b) ? 0 : at(a) - at(b)));
  }

  counts(match: Match, subject: Subject, run?: OwnRun): boolean {
    const { name } = match.rule;
    if (!this.#dropped.has(name)) return true;
    // With exceptions of its own it may count all the same.
    const counts = this.#own([match], subject, run).some(({ rule }) => rule.name === name);
    return counts || this.#isKept(match, run);
  }

  responseTo(rule: string): ResponseName | undefined {
    return this.#killing.has(rule) ? 'kill' : undefined;
  }

  #isKept(match: Match, run: OwnRun | undefined): boolean {
    const { name } = match.rule;
    if (!this.#dropped.has(name)) return true;
    return run?.unanswered.includes(name) === true && !this.isMuted(match);
  }

  #own(matches: readonly Match[], subject: Subject, run: OwnRun | undefined): readonly Match[] {
    const changed = this.#changed.evaluate(matches, subject, run);
    const engine = this.#engine;
    const own =
      (run === undefined ? engine?.evaluate(subject) : engine?.evaluateEach(subject, run)) ?? [];
    if (own.length === 0) return changed;
    // That an address is none of these names' is not known before they are looked up.
    const known = own.filter(({ rule: { name } }) =>
      subject.domains.areKnown(this.#domains.get(name) ?? []),
    );
    return [...changed, ...known];
  }
}
