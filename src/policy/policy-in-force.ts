import { createHash } from 'node:crypto';
import type { Priority } from '../rules/detection.ts';
import { domainNamesIn } from '../rules/domain-names.ts';
import { RuleEngine } from '../rules/engine.ts';
import { APP_ENGINE } from './app-engine.ts';
import type { Match, RuleObserver } from '../rules/engine.ts';
import type { ResponseName } from '../shared/response-names.ts';
import type { LoadedRule, RuleSet } from '../rules/rule-set.ts';
import type { Subject } from '../rules/subject.ts';
import type { ChangedRules } from './changed-rules.ts';
import type { PolicyCost } from './policy-bounds.ts';
import type { PolicyDocument } from './policy-document.ts';

/** Places in definition order, which `first` matching uses. */
export type RuleOrder = ReadonlyMap<string, number>;

/** The effect of the policy on one app's rules. */
export interface PolicySummary {
  /** Names, in definition order. */
  readonly own: readonly string[];
  readonly excepted: readonly string[];
  /** Operator rules that are on for all, but report something else because of the app's variables. */
  readonly adjusted: readonly string[];
  readonly enabled: readonly string[];
  /** Operator rules that are switched off, or below the app's minimum priority. */
  readonly muted: readonly string[];
  /** Rules whose detections end the process that they are about. */
  readonly killing: readonly string[];
  /** Rules by which programs, connections and opens are denied, or killed where the kernel is not certain. */
  readonly denying: readonly string[];
  readonly minimumPriority: Priority;
  /** Number of rules that are on for the app, its own included. */
  readonly active: number;
  /** An estimate of the cost of the app's own rules and exceptions for the worst event. */
  readonly cost: PolicyCost;
}

/** Observes an app's own rules for one event: measures them, stops them, and handles their failures. */
export interface OwnRun extends RuleObserver {
  /** Rules that were skipped or have failed: the operator's rule of that name then applies unchanged. */
  readonly unanswered: readonly string[];
  onCompiling(): void;
  /** The time since `onCompiling` was spent on compiling. */
  onCompiled(): void;
  onCompileFailure(rules: Iterable<string>, error: unknown): void;
}

/**
 * An app's policy in force: refines the matches of the operator's rules for an event of one of its containers. Shared by all
 * containers with the same document.
 */
export class AppPolicy {
  /** SHA-256 of the document's text. */
  readonly digest: string;
  readonly summary: PolicySummary;
  /** The rules that it adds, for the kernel plan. */
  ruleSet: RuleSet;
  readonly #rules: readonly LoadedRule[];
  readonly #names: ReadonlySet<string>;
  #engine: RuleEngine | undefined;
  readonly #changed: ChangedRules;
  /** Operator rules whose matches do not count. */
  readonly #dropped: ReadonlySet<string>;
  /** Those of `#dropped` that no rule of the app's replaces. */
  readonly #muted: ReadonlySet<string>;
  readonly #order: RuleOrder;
  #unchanged:
    { readonly of: readonly LoadedRule[]; readonly among: readonly LoadedRule[] } | undefined;
  /** By the name of the rule. */
  readonly #responses: ReadonlyMap<string, ResponseName>;
  /** The domain names that a rule compares addresses with, by the rule's name. */
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
    this.#engine = rules.length === 0 ? undefined : new RuleEngine(this.ruleSet, APP_ENGINE);
    this.#changed = changed;
    this.#dropped = dropped;
    this.#muted = new Set(summary.muted);
    this.summary = summary;
    this.#responses = new Map<string, ResponseName>([
      ...summary.killing.map((name) => [name, 'kill'] as const),
      ...summary.denying.map((name) => [name, 'deny'] as const),
    ]);
    this.#order = order;
    for (const rule of rules) {
      const names = domainNamesIn({ rules: [rule] });
      if (names.size > 0) this.#domains.set(rule.name, names);
    }
  }

  /** The domain names that its rules compare addresses with, such as its outbound_hosts. */
  get domainNames(): ReadonlySet<string> {
    return new Set([...this.#domains.values()].flatMap((names) => [...names]));
  }

  /** Switches its rules of these priorities off, and all others on. */
  shed(priorities: readonly Priority[]): void {
    this.#changed.shed(priorities);
    const rules = this.#rules.filter(({ priority }) => !priorities.includes(priority));
    if (rules.length === this.ruleSet.rules.length) return;
    this.ruleSet = { rules };
    this.#engine = rules.length === 0 ? undefined : new RuleEngine(this.ruleSet, APP_ENGINE);
  }

  /**
   * Given the operator's `rules`, yields rules of which one must match whenever anything is reported for its app, paused or
   * not.
   */
  *possibleAmong(rules: readonly LoadedRule[]): Generator<LoadedRule> {
    for (const rule of rules) if (rule.enabled && !this.#muted.has(rule.name)) yield rule;
    yield* this.ruleSet.rules;
    // An operator rule changed by the app matches only where the original or the trigger matches.
    if (this.#changed.trigger !== undefined) yield this.#changed.trigger;
  }

  /** Given the operator's `rules`, those that are on and that it does not change. */
  unchangedAmong(rules: readonly LoadedRule[]): readonly LoadedRule[] {
    // Asked each second, of the same rules.
    if (this.#unchanged?.of !== rules) {
      const among = rules.filter(({ enabled, name }) => enabled && !this.#dropped.has(name));
      this.#unchanged = { of: rules, among };
    }
    return this.#unchanged.among;
  }

  /** Number of rules that watch its app, given the operator's `rules`. */
  activeAmong(rules: readonly LoadedRule[]): number {
    const kept = this.unchangedAmong(rules).length;
    return kept + this.#changed.count(rules) + this.ruleSet.rules.length;
  }

  /** Number of its rules that are run for events. */
  get runs(): number {
    return this.#changed.size + this.ruleSet.rules.length;
  }

  /** Whether anything is run: some policies do nothing but switch rules off. */
  get runsRules(): boolean {
    return this.runs > 0;
  }

  /** Whether the rule is the operator's and changed for this app. */
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

  /** The matches that count if none of the app's rules are run. */
  withoutMuted(matches: readonly Match[]): readonly Match[] {
    return this.#muted.size === 0 ? matches : matches.filter((match) => !this.isMuted(match));
  }

  /** Number of rules that then watch its app, given the operator's `rules`. */
  unmutedAmong(rules: readonly LoadedRule[]): number {
    return rules.filter(({ enabled, name }) => enabled && !this.#muted.has(name)).length;
  }

  /**
   * Filters the operator's `matches` of the event, and adds those of the app's own rules. Without `run` nothing is measured,
   * and errors of rules are thrown.
   */
  refine(matches: readonly Match[], subject: Subject, run?: OwnRun): readonly Match[] {
    const own = this.#own(matches, subject, run);
    const kept =
      this.#dropped.size === 0 ? matches : matches.filter((match) => this.#isKept(match, run));
    if (own.length === 0) return kept;
    // Operator rules keep their order; the app's own come last.
    const at = ({ rule }: Match): number => this.#order.get(rule.name) ?? Infinity;
    return [...kept, ...own].sort((a, b) => (at(a) === at(b) ? 0 : at(a) - at(b)));
  }

  counts(match: Match, subject: Subject, run?: OwnRun): boolean {
    const { name } = match.rule;
    if (!this.#dropped.has(name)) return true;
    // It may still count if it has exceptions of its own.
    const counts = this.#own([match], subject, run).some(({ rule }) => rule.name === name);
    return counts || this.#isKept(match, run);
  }

  responseTo(rule: string): ResponseName | undefined {
    return this.#responses.get(rule);
  }

  /** Whether programs are to be denied by this rule of `unchangedAmong` or of its own. Nobody is, while a name is looked up. */
  denies(rule: string): boolean {
    return this.#responses.get(rule) === 'deny' && !this.#domains.has(rule);
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
    // Before the lookup it is unknown whether an address belongs to these names.
    const known = own.filter(({ rule: { name } }) =>
      subject.domains.areKnown(this.#domains.get(name) ?? []),
    );
    return [...changed, ...known];
  }
}
