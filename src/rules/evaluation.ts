import { Admission, type AdmissionCounters } from '../apps/admission.ts';
import type { ContainerRegistry } from '../apps/container-registry.ts';
import type { Container } from '../apps/identity.ts';
import { pinProcess } from '../context/pinned-process.ts';
import type { AddressNames, Process, UserNames } from '../context/process.ts';
import type { KernelEvent } from '../events/event.ts';
import type { EventName } from '../events/table.gen.ts';
import type { Detection } from './detection.ts';
import { EngineTotals } from './engine-totals.ts';
import type { Match, RuleEngine, RuleEngineCounters } from './engine.ts';
import { withResponse } from './response.ts';
import type { ResponseName, ResponseOutcome } from './response.ts';
import { ruleNeeds } from './rule-set.ts';
import type { RuleSet } from './rule-set.ts';
import type { Subject } from './subject.ts';

/** What one app changes of the rules. */
export interface AppRules {
  /** What counts of all rules' matches of the event, and what the app's own rules add. */
  refine(matches: readonly Match[], subject: Subject): readonly Match[];
  /** A match of before the app was known: whether it counts. */
  counts(match: Match, subject: Subject): boolean;
  /** What is to be done about a detection of this rule; undefined: it is told. */
  responseTo(rule: string): ResponseName | undefined;
  /** Its own. */
  readonly ruleSet: RuleSet;
}

/** What the evaluation needs of its neighbours. */
export interface EvaluationOptions {
  readonly engine: RuleEngine;
  readonly registry: ContainerRegistry;
  readonly hostname: string;
  /** How long an event waits for its container's identity before it is evaluated without. */
  readonly holdMs: number;
  /** The registry's clock, monotonic ms. */
  readonly nowMs: () => number;
  /** The names of the users of the process's container; sees to it that they are read. */
  readonly users: (cgroupId: number, process: Process) => UserNames;
  readonly domains: AddressNames;
  /** The rules that the container's app has of its own; undefined for none. O(1). */
  readonly appRulesOf?: (container: Container) => AppRules | undefined;
  /** Does it to the process; must not throw. */
  readonly respond?: (response: ResponseName, process: Process) => ResponseOutcome;
  /** Takes a detection; must not throw. Without a container it is the operator's only. */
  readonly deliver: (detection: Detection) => void;
}

/** An event with the process it happened in; as it passes, or detached and pinned to wait. */
interface Occurrence {
  readonly cgroupId: number;
  readonly event: KernelEvent;
  readonly process: Process;
  detach(): Occurrence;
}

/** A match whose container is not known yet. It may outlive its rule set, and holds nothing of it but the rule. */
interface WaitingMatch {
  readonly cgroupId: number;
  readonly occurrence: Occurrence;
  readonly match: Match;
}

/** The occurrence that passes: one object for all, so that passing allocates nothing. */
class Passing implements Occurrence {
  event!: KernelEvent;
  process!: Process;

  get cgroupId(): number {
    return this.event.cgroupId;
  }

  detach(): Occurrence {
    const { cgroupId } = this.event;
    const kept = { cgroupId, event: this.event.detach(), process: pinProcess(this.process) };
    const occurrence: Occurrence = { ...kept, detach: () => occurrence };
    return occurrence;
  }
}

/**
 * From an event and its process to a detection with its container: evaluates at once when the container is known,
 * after the wait when it is pending, never when it is excluded. Synchronous; allocates only to hold or to detect.
 */
export class Evaluation {
  readonly #options: Omit<EvaluationOptions, 'engine'>;
  readonly #admission: Admission<Occurrence, WaitingMatch>;
  readonly #passing = new Passing();
  readonly #former = new EngineTotals();
  #engine: RuleEngine;
  #needs: ReadonlySet<EventName>;
  #appNeeds: readonly RuleSet[] = [];

  constructor({ engine, ...options }: EvaluationOptions) {
    this.#options = options;
    this.#engine = engine;
    this.#needs = ruleNeeds(engine.ruleSet);
    this.#admission = new Admission<Occurrence, WaitingMatch>(
      options.registry,
      {
        evaluate: (occurrence, container) => this.#evaluate(occurrence, container),
        attributed: (waiting, container) => this.#deliver(waiting, container),
        unattributed: (waiting) => this.#deliver(waiting, undefined),
      },
      options.nowMs,
      { holdMs: options.holdMs },
    );
  }

  get engine(): RuleEngine {
    return this.#engine;
  }

  /**
   * Takes effect between two events; what is held was not evaluated yet and is by the new rules alone. What the
   * engine before has counted stays counted.
   */
  swapEngine(engine: RuleEngine): void {
    this.#former.add(this.#engine.counters());
    this.#engine = engine;
    this.#needs = this.#allNeeds();
  }

  /** The rules that apps have of their own, of all apps: what they look at comes to be evaluated from now on. */
  setAppRules(ruleSets: readonly RuleSet[]): void {
    this.#appNeeds = ruleSets;
    this.#needs = this.#allNeeds();
  }

  /** Begins to end the waiting of what has waited long enough. */
  start(): void {
    this.#admission.start();
  }

  /** Evaluates and delivers everything that waits, as it is. */
  stop(): void {
    this.#admission.stop();
  }

  /** `event` may be reused by the caller as soon as this returns. */
  onEvent(event: KernelEvent, process: Process): void {
    // No rule can ever match the others: they need not wait either.
    if (!this.#needs.has(event.type)) return;
    this.#passing.event = event;
    this.#passing.process = process;
    this.#admission.event(this.#passing);
  }

  /** Those of all engines so far: monotonic. */
  engineCounters(): RuleEngineCounters {
    return this.#former.with(this.#engine.counters());
  }

  counters(): AdmissionCounters {
    return this.#admission.counters();
  }

  #evaluate(occurrence: Occurrence, container: Container | undefined): void {
    const { event, process } = occurrence;
    const users = this.#options.users(event.cgroupId, process);
    const { hostname, domains } = this.#options;
    const subject = { event, process, container, users, domains, hostname };
    const appRules = container === undefined ? undefined : this.#options.appRulesOf?.(container);
    for (const match of this.#matches(subject, appRules)) {
      if (container !== undefined) this.#detect(match, subject, appRules);
      else {
        const { cgroupId } = event;
        this.#admission.detection({ cgroupId, occurrence: occurrence.detach(), match });
      }
    }
  }

  #matches(subject: Subject, appRules: AppRules | undefined): readonly Match[] {
    const engine = this.#engine;
    if (appRules === undefined) return engine.evaluate(subject);
    // The first that counts may come after one that the app does not want.
    const matches = appRules.refine(engine.evaluate(subject, 'all'), subject);
    return engine.matching === 'first' && matches.length > 1 ? matches.slice(0, 1) : matches;
  }

  #deliver({ occurrence, match }: WaitingMatch, container: Container | undefined): void {
    const { event, process } = occurrence;
    const users = this.#options.users(event.cgroupId, process);
    const { hostname, domains } = this.#options;
    const subject = { event, process, container, users, domains, hostname };
    const appRules = container === undefined ? undefined : this.#options.appRulesOf?.(container);
    if (appRules?.counts(match, subject) === false) return;
    this.#detect(match, subject, appRules);
  }

  #detect(match: Match, subject: Subject, appRules: AppRules | undefined): void {
    const { respond, deliver } = this.#options;
    const response = appRules?.responseTo(match.rule.name);
    if (response === undefined || respond === undefined) {
      deliver(this.#engine.toDetection(match, subject));
      return;
    }
    // First: each microsecond counts for what comes next.
    const outcome = respond(response, subject.process);
    deliver(withResponse(this.#engine.toDetection(match, subject), response, outcome));
  }

  #allNeeds(): ReadonlySet<EventName> {
    const sets = [this.#engine.ruleSet, ...this.#appNeeds];
    return new Set(sets.flatMap((set) => [...ruleNeeds(set)]));
  }
}
