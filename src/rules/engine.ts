import { isPathDependent } from './compile/checked.ts';
import { generate } from './compile/generate.ts';
import type { Evaluator, GenerateOptions, RuleRunner } from './compile/generate.ts';
import type { Detection } from './detection.ts';
import { isRaced } from './fields/descriptor.ts';
import type { View } from './fields/field.ts';
import { formatOutput } from './output/format.ts';
import { lineageOf } from './lineage.ts';
import type { LoadedRule, RuleSet } from './rule-set.ts';
import type { Subject } from './subject.ts';

/** Which of the rules that an event meets are reported: the first in order of definition, or all. */
export type Matching = 'first' | 'all';

/** A rule whose condition an event met. */
export interface Match {
  readonly rule: LoadedRule;
  /** It was met by the path that was passed, not by that of the kernel's file (`fd.raced`). */
  readonly claimedPath: boolean;
}

/** Observes the evaluation of an event rule by rule: measures rules, skips some, and handles their failures. */
export interface RuleObserver {
  /** The rules are about to run: what came before was no rule's. */
  begin(): void;
  /** False: the rule is passed over. */
  isOn(rule: LoadedRule): boolean;
  onRun(rule: LoadedRule): void;
  /** The rule threw, so it is not met; the others go on. */
  onFailure(rule: LoadedRule, error: unknown): void;
}

/** Monotonic. */
export interface RuleEngineCounters {
  /** Events that rules were run for. */
  readonly evaluated: number;
  /** Events of the container runtime's own set-up, which rules are never run for. */
  readonly skippedSetup: number;
  /** Matches by rule, for every enabled rule. */
  readonly detections: ReadonlyMap<string, number>;
}

const NO_MATCH: readonly Match[] = Object.freeze([]);

const isPathRule = ({ condition }: LoadedRule): boolean => isPathDependent(condition);

/** The view that fields read, of one event after the other: set before anything reads it. @internal to rules */
export class EventView implements View {
  event!: Subject['event'];
  process!: Subject['process'];
  container: Subject['container'];
  users!: Subject['users'];
  domains!: Subject['domains'];
  usage!: Subject['usage'];
  hostname = '';
  claimedPath = false;

  /** By default the event as rules judge it. */
  show(
    subject: Subject,
    claimedPath: boolean,
    event = subject.event.judged ?? subject.event,
  ): void {
    this.event = event;
    this.process = subject.process;
    this.container = subject.container;
    this.users = subject.users;
    this.domains = subject.domains;
    this.usage = subject.usage;
    this.hostname = subject.hostname;
    this.claimedPath = claimedPath;
  }
}

/**
 * Runs rules over events: synchronous, allocating only for matches. One rule set for its life; a reload makes
 * another engine and swaps it in between two events.
 */
export class RuleEngine {
  readonly ruleSet: RuleSet;
  readonly matching: Matching;
  readonly #rules: readonly LoadedRule[];
  #byName: ReadonlyMap<string, LoadedRule> | undefined;
  readonly #evaluator: Evaluator;
  readonly #view = new EventView();
  readonly #found: Int32Array;
  readonly #foundClaimed: Int32Array;
  readonly #possible: Int32Array;
  readonly #detections: Float64Array;
  /** Of the event type that was evaluated last: most events have the type of the one before. */
  #type = '';
  #run: RuleRunner | undefined;
  #runMatching: Matching | undefined;
  #evaluated = 0;
  #skippedSetup = 0;

  constructor(ruleSet: RuleSet, options: { readonly matching?: Matching } & GenerateOptions = {}) {
    this.ruleSet = ruleSet;
    this.matching = options.matching ?? 'all';
    this.#rules = ruleSet.rules.filter((rule) => rule.enabled);
    this.#evaluator = generate(this.#rules, options);
    this.#found = new Int32Array(this.#rules.length);
    this.#foundClaimed = new Int32Array(this.#rules.length);
    this.#possible = new Int32Array(this.#rules.length);
    this.#detections = new Float64Array(this.#rules.length);
  }

  /** Its rule of this name, enabled or not. */
  ruleOf(name: string): LoadedRule | undefined {
    // Created on first use: each app with rules of its own has an engine, where this is never used.
    this.#byName ??= new Map(this.ruleSet.rules.map((rule) => [rule.name, rule]));
    return this.#byName.get(name);
  }

  /**
   * The rules that the event meets, in order of definition; `matching` for this event alone. Never any for the runtime's own
   * set-up. The subject is only read during the call. Throws what a field throws.
   */
  evaluate(subject: Subject, matching = this.matching): readonly Match[] {
    const run = this.#runnerOf(subject.event.type, matching);
    if (!this.#isEvaluated(subject) || run === undefined) return NO_MATCH;
    this.#evaluated += 1;
    this.#view.show(subject, false);
    this.#evaluator.begin(this.#view);
    const count = run(this.#found);
    // The kernel's path and the passed one differ: a rule matches if it names either. Another thread may have changed one of
    // them, which an intruder does to evade detection.
    const claimed = isRaced(this.#view) ? this.#runClaimed(subject, count) : 0;
    if (count + claimed === 0) return NO_MATCH;
    return this.#matches(count, claimed, matching);
  }

  /** Like `evaluate`, but slower, rule by rule: a rule that throws does not match, and `observer` is told. */
  evaluateEach(
    subject: Subject,
    observer: RuleObserver,
    matching = this.matching,
  ): readonly Match[] {
    const { type } = subject.event;
    if (!this.#isEvaluated(subject) || !this.#evaluator.all.has(type)) return NO_MATCH;
    this.#evaluated += 1;
    this.#view.show(subject, false);
    this.#evaluator.begin(this.#view);
    const left = this.#leave(type);
    const count = this.#runEach(left, this.#found, observer, matching);
    let claimed = 0;
    if (isRaced(this.#view)) {
      this.#view.show(subject, true);
      this.#evaluator.begin(this.#view);
      const ofPath = this.#select(type, isPathRule);
      claimed = this.#withoutFound(
        this.#runEach(ofPath, this.#foundClaimed, observer, 'all'),
        count,
      );
    }
    return count + claimed === 0 ? NO_MATCH : this.#matches(count, claimed, matching);
  }

  /**
   * Writes a match out. `subject` must be the one that was evaluated, or that with its container by now known. Throws what a
   * field throws.
   */
  toDetection(match: Match, subject: Subject): Detection {
    const { rule } = match;
    this.#view.show(subject, match.claimedPath, subject.event);
    const { text, fields, truncated } = formatOutput(rule.output, this.#view, rule.extraFields);
    const output = { output: text, outputFields: fields };
    return { ...factsOf(rule, subject), ...output, ...(truncated ? { truncated } : {}) };
  }

  /** The detection without its rule's output, where that could not be written. */
  toBareDetection({ rule }: Match, subject: Subject, why: string): Detection {
    return {
      ...factsOf(rule, subject),
      output: `The output of this rule is missing: ${why}`,
      outputFields: { 'evt.time': subject.event.timeNs },
    };
  }

  counters(): RuleEngineCounters {
    return {
      evaluated: this.#evaluated,
      skippedSetup: this.#skippedSetup,
      detections: new Map(
        this.#rules.map((rule, index) => [rule.name, this.#detections[index] ?? 0]),
      ),
    };
  }

  #runnerOf(type: string, matching: Matching): RuleRunner | undefined {
    if (type !== this.#type || matching !== this.#runMatching) {
      const runners = matching === 'first' ? this.#evaluator.first : this.#evaluator.all;
      this.#type = type;
      this.#runMatching = matching;
      this.#run = runners.get(type);
    }
    return this.#run;
  }

  /** Rules that match the claimed path and did not match before. Returns their number. */
  #runClaimed(subject: Subject, count: number): number {
    const run = this.#evaluator.pathRules.get(subject.event.type);
    if (run === undefined) return 0;
    this.#view.show(subject, true);
    this.#evaluator.begin(this.#view);
    return this.#withoutFound(run(this.#foundClaimed), count);
  }

  #isEvaluated({ process }: Subject): boolean {
    if (process.setup) this.#skippedSetup += 1;
    return !process.setup;
  }

  /** Writes the rules that can match the event, and returns how many there are. */
  #leave(type: string): number {
    try {
      return this.#evaluator.possible.get(type)?.(this.#possible) ?? 0;
    } catch {
      // A field that several rules read throws: each rule is run to find out whether it fails.
      return this.#select(type, () => true);
    }
  }

  #select(type: string, isWanted: (rule: LoadedRule) => boolean): number {
    let count = 0;
    for (const [index, rule] of this.#rules.entries())
      if (rule.events.has(type) && isWanted(rule)) this.#possible[count++] = index;
    return count;
  }

  #runEach(left: number, out: Int32Array, observer: RuleObserver, matching: Matching): number {
    let count = 0;
    observer.begin();
    for (let at = 0; at < left; at++) {
      const index = this.#possible[at] ?? 0;
      const rule = this.#rules[index];
      if (rule === undefined || !observer.isOn(rule)) continue;
      let isMet = false;
      try {
        isMet = this.#evaluator.rules[index]?.() === true;
      } catch (error) {
        observer.onFailure(rule, error);
      }
      observer.onRun(rule);
      if (!isMet) continue;
      out[count++] = index;
      if (matching === 'first') break;
    }
    return count;
  }

  #withoutFound(claimed: number, count: number): number {
    let kept = 0;
    for (let i = 0; i < claimed; i++) {
      const rule = this.#foundClaimed[i] ?? 0;
      if (!this.#isFound(rule, count)) this.#foundClaimed[kept++] = rule;
    }
    return kept;
  }

  #isFound(rule: number, count: number): boolean {
    for (let i = 0; i < count; i++) if (this.#found[i] === rule) return true;
    return false;
  }

  #matches(count: number, claimed: number, matching: Matching): readonly Match[] {
    const found: { index: number; claimedPath: boolean }[] = [];
    for (let i = 0; i < count; i++) {
      found.push({ index: this.#found[i] ?? 0, claimedPath: false });
    }
    for (let i = 0; i < claimed; i++) {
      found.push({ index: this.#foundClaimed[i] ?? 0, claimedPath: true });
    }
    found.sort((left, right) => left.index - right.index);
    const reported = matching === 'first' ? found.slice(0, 1) : found;
    const matches: Match[] = [];
    for (const { index, claimedPath } of reported) {
      const rule = this.#rules[index];
      if (rule === undefined) continue;
      this.#detections[index] = (this.#detections[index] ?? 0) + 1;
      matches.push({ rule, claimedPath });
    }
    return matches;
  }
}

/** Everything about a detection but its rule's output. */
function factsOf(rule: LoadedRule, subject: Subject): Omit<Detection, 'output' | 'outputFields'> {
  const { event, process, container } = subject;
  return {
    rule: rule.name,
    priority: rule.priority,
    source: 'syscall',
    tags: rule.tags,
    timeNs: event.timeNs,
    bootNs: event.bootNs,
    eventNum: event.num,
    cgroupId: event.cgroupId,
    container,
    lineage: lineageOf(process, container),
  };
}
