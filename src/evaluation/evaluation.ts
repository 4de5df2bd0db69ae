import type { AppRules, OwnRulesAsked } from './app-rules.ts';
import { Admission, type AdmissionCounters, type HeldDrops } from './admission.ts';
import type { ContainerRegistry } from '../apps/container-registry.ts';
import type { Container } from '../apps/identity.ts';
import type { AddressNames, Process, UserNames } from '../context/process.ts';
import type { ProcessUsage } from '../context/process-usage.ts';
import type { KernelEvent } from '../events/event.ts';
import type { EventName } from '../events/table.gen.ts';
import type { Detection, DetectionBrief } from '../rules/detection.ts';
import { ContainerTurns, type LaterWork } from './container-turns.ts';
import { CpuClock, type Clocks } from './cpu-clock.ts';
import { EngineTotals } from './engine-totals.ts';
import { Incidents } from './incidents.ts';
import type { Match, Matching, RuleEngine, RuleEngineCounters } from '../rules/engine.ts';
import { deniedOf, isComparable } from './denied.ts';
import { withResponses } from './with-response.ts';
import type { Observer } from './observer.ts';
import { OccurrencePins, Passing, type Occurrence } from './occurrence.ts';
import type { DoneResponse, Respondable } from '../responses/responder.ts';
import { ruleNeeds } from '../rules/rule-set.ts';
import type { LoadedRule, RuleSet } from '../rules/rule-set.ts';
import { RuleWatch } from './rule-watch.ts';
import type { RuleFailure, Unwritten } from './rule-watch.ts';
import type { Subject } from '../rules/subject.ts';

/**
 * Decision before a detection is written. `counted`: it is not delivered. `admitted`: it is delivered, and its token is taken.
 * `open`: it is passed on, and may still be counted then.
 */
export type DetectionAdmission = 'counted' | 'admitted' | 'open';

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
  readonly usage: ProcessUsage;
  /** The container as detections in the process show it: says which sidecar that is of. */
  readonly containerOf?: (container: Container, process: Process) => Container;
  /** The rules that the container's app has of its own; undefined for none. O(1). */
  readonly appRulesOf?: (container: Container) => AppRules | undefined;
  /** Whether it is decided what `appRulesOf` says; until `ready` its events wait. O(1). */
  readonly areRulesReady?: (container: Container) => boolean;
  /** Whether it is known what its app has of its own, or that it has nothing; default true. O(1). */
  readonly isPolicyKnown?: (container: Container) => boolean;
  /** Decides it at once: events can wait no longer. */
  readonly finishRules?: (container: Container) => void;
  /** Told of an operator's rule that threw, and of an event that was given up: at growing intervals each. */
  readonly onFailure?: (failure: RuleFailure) => void;
  /** Told of an event of which the kernel was certain that an operator's rule matches, and whether one did; must not throw. */
  readonly onCertain?: (event: KernelEvent, isMatched: boolean) => void;
  /** Told of a program that was denied, although no rule matches it; must not throw. */
  readonly onDeniedInVain?: (event: KernelEvent, own: OwnRulesAsked, isComparable: boolean) => void;
  /** Whether the programs of a former agent deny beside this one's; default false. */
  readonly formerDenies?: () => boolean;
  /** Does what is to be done about a detection in a container; must not throw. */
  readonly respond?: (detection: Respondable) => readonly DoneResponse[];
  /** What is to become of a detection, asked before it is written out; must not throw. Default `open`. */
  readonly admit?: (detection: DetectionBrief) => DetectionAdmission;
  /** Takes a detection, with what `admit` said of it; must not throw. Without a container it is the operator's only. */
  readonly deliver: (detection: Detection, admission: DetectionAdmission) => void;
  readonly observer?: Observer;
  /** By which rules are measured. */
  readonly clocks?: Clocks;
  /** Shares the time of apps' own rules and of writing detections. */
  readonly turns?: ContainerTurns;
  /** Events and detections of the container were dropped while it was not known whose it is. */
  readonly onDropped?: (container: Container, drops: HeldDrops) => void;
}

/** A match whose container is not known yet. It may outlive its rule set, and holds nothing of it but the rule. */
interface WaitingMatch {
  readonly cgroupId: number;
  readonly heldBytes: number;
  readonly timeNs: bigint;
  readonly occurrence: Occurrence;
  readonly match: Match;
}

/**
 * From an event and its process to a detection with its container: evaluates at once when the container is known,
 * after the wait when it is pending, never when it is excluded. Synchronous; allocates one small object for each event that is
 * evaluated, and to hold or to detect.
 */
export class Evaluation {
  /** What the operator's rules cost, over all reloads. */
  readonly watch: RuleWatch;
  readonly #options: Omit<EvaluationOptions, 'engine'>;
  readonly #admission: Admission<Occurrence, WaitingMatch>;
  readonly #passing = new Passing();
  readonly #former = new EngineTotals();
  readonly #turns: ContainerTurns;
  readonly #pins = new OccurrencePins();
  readonly #incidents: Incidents;
  #engine: RuleEngine;
  #needs: ReadonlySet<EventName>;
  #appNeeds: readonly RuleSet[] = [];

  constructor({ engine, ...options }: EvaluationOptions) {
    this.#options = options;
    this.watch = new RuleWatch({
      onFailure: options.onFailure ?? (() => undefined),
      clock: new CpuClock(options.clocks),
    });
    this.#turns = options.turns ?? new ContainerTurns();
    this.#incidents = new Incidents(options.hostname);
    this.#engine = engine;
    this.#needs = ruleNeeds(engine.ruleSet);
    this.#admission = new Admission<Occurrence, WaitingMatch>(
      options.registry,
      {
        evaluate: (occurrence, container) => this.#admit(occurrence, container),
        attributed: (waiting, container) => this.#deliver(waiting, container),
        unattributed: (waiting) => this.#deliver(waiting, undefined),
        dropped: (container, drops) => options.onDropped?.(container, drops),
        isReady: (container) => options.areRulesReady?.(container) !== false,
        finish: (container) => options.finishRules?.(container),
      },
      options.nowMs,
      { holdMs: options.holdMs },
    );
  }

  get engine(): RuleEngine {
    return this.#engine;
  }

  /** No others are evaluated. */
  get needs(): ReadonlySet<EventName> {
    return this.#needs;
  }

  /**
   * Switches engines between two events; held events are evaluated with the new rules alone. The previous engine's counts are
   * kept.
   */
  swapEngine(engine: RuleEngine): void {
    // These did not wait for missing data, so the rules of their time apply.
    this.#turns.finishAllEvents();
    this.#former.add(this.#engine.counters());
    this.#engine = engine;
    this.#needs = this.#allNeeds();
  }

  /** Evaluates what waits for its turn, by the rules of now. */
  finishEvents(): void {
    this.#turns.finishAllEvents();
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
    this.#turns.drain();
  }

  /** `event` may be reused by the caller as soon as this returns. */
  onEvent(event: KernelEvent, process: Process): void {
    // No rule can ever match the others: they need not wait either.
    if (!this.#needs.has(event.type)) return;
    this.#passing.event = event;
    this.#passing.process = process;
    this.#admission.event(this.#passing);
  }

  /** The container's rules are ready: what has waited for them is evaluated. */
  ready(container: Container): void {
    this.#admission.ready(container);
  }

  /** Those of all engines so far: monotonic. */
  engineCounters(): RuleEngineCounters {
    return this.#former.with(this.#engine.counters());
  }

  counters(): AdmissionCounters {
    return this.#admission.counters();
  }

  /** Events and detections of a container that were dropped while it was not known. */
  droppedOf(rootCgroupId: number): number {
    return this.#admission.droppedOf(rootCgroupId);
  }

  /** Shares the time of apps' own rules among the containers. Events of a container without such rules have no limit and never wait. */
  #admit(occurrence: Occurrence, container: Container | undefined): void {
    const appRules = container === undefined ? undefined : this.#options.appRulesOf?.(container);
    if (container === undefined || appRules === undefined) {
      this.#evaluate(occurrence, container, undefined);
      return;
    }
    const isReleased = occurrence !== this.#passing;
    this.#turns.event(container.fullId, {
      now: () => this.#evaluate(occurrence, container, appRules),
      later: () => {
        const kept = this.#pins.pin(occurrence);
        // Whose rules they are is decided: the container may be gone by then.
        const run = (): void => this.#evaluate(kept, container, appRules);
        return { bytes: kept.heldBytes, isReleased, run };
      },
      isReleased,
      isCheap: appRules.isPaused,
      flood: (work) => appRules.inFull(work),
    });
  }

  #evaluate(
    occurrence: Occurrence,
    container: Container | undefined,
    appRules: AppRules | undefined,
  ): void {
    try {
      const subject = this.#subjectOf(occurrence, container);
      const matches = this.#matches(subject, appRules);
      const { event } = subject;
      if (event.ruleMatches && isComparable(subject) && appRules === undefined)
        this.#options.onCertain?.(event, matches.length > 0);
      if (event.denied && matches.length === 0)
        this.#options.onDeniedInVain?.(event, askedOf(appRules), isComparable(subject));
      for (const match of matches) {
        if (container !== undefined) this.#detect(match, occurrence, subject, appRules);
        else {
          const kept = occurrence.detach();
          const { cgroupId, heldBytes, timeNs } = kept;
          this.#admission.detection({ cgroupId, heldBytes, timeNs, occurrence: kept, match });
        }
      }
      if (container !== undefined)
        this.#options.observer?.evaluated(event, subject.process, container);
    } catch (error) {
      // Losing one event is better than losing the agent.
      this.watch.onEventFailure(error);
    }
  }

  #deliver({ occurrence, match }: WaitingMatch, container: Container | undefined): void {
    try {
      const subject = this.#subjectOf(occurrence, container);
      const appRules = container === undefined ? undefined : this.#options.appRulesOf?.(container);
      if (appRules?.counts(match, subject) === false) return;
      this.#detect(match, occurrence, subject, appRules);
    } catch (error) {
      this.watch.onEventFailure(error);
    }
  }

  #subjectOf(
    { event, process }: Pick<Occurrence, 'event' | 'process'>,
    container: Container | undefined,
  ): Subject {
    const users = this.#options.users(event.cgroupId, process);
    const { hostname, domains, usage, containerOf } = this.#options;
    const shown = container && containerOf ? containerOf(container, process) : container;
    return { event, process, container: shown, users, domains, usage, hostname };
  }

  #matches(subject: Subject, appRules: AppRules | undefined): readonly Match[] {
    // Of what was denied the rule that denies it must be among them.
    const matching = subject.event.denied ? 'all' : this.#engine.matching;
    if (appRules === undefined) return this.#operators(subject, matching);
    // The app may reject the first match, so all are needed.
    const matches = appRules.refine(this.#operators(subject, 'all'), subject);
    if (matching !== 'first' || matches.length < 2) return matches;
    // What the app wants to have answered is not hidden by another rule.
    return matches.filter(
      ({ rule }, at) => at === 0 || appRules.responseTo(rule.name) !== undefined,
    );
  }

  /** The operator's rules that the event meets. */
  #operators(subject: Subject, matching: Matching): readonly Match[] {
    const { watch } = this;
    const engine = this.#engine;
    try {
      if (!watch.isDue()) return engine.evaluate(subject, matching);
      return watch.sample(
        () => engine.evaluate(subject, matching),
        () => engine.evaluateEach(subject, watch, matching),
      );
    } catch {
      // Evaluated again rule by rule, so that only the throwing rule fails.
      return engine.evaluateEach(subject, watch, matching);
    }
  }

  #detect(
    match: Match,
    occurrence: Occurrence,
    subject: Subject,
    appRules: AppRules | undefined,
  ): void {
    const { admit } = this.#options;
    const { name: rule, priority } = match.rule;
    // First, since every microsecond counts for a response.
    const done = this.#respond(match.rule, subject, appRules);
    this.#options.observer?.matched(rule, subject);
    const { event, container, process } = subject;
    const admission = admit?.({ rule, priority, timeNs: event.timeNs, container }) ?? 'open';
    if (admission === 'counted') return;
    const { bootNs, cgroupId } = event;
    const incident = this.#incidents.of({ rule, bootNs, cgroupId, process, container });
    const owner = appRules?.isOwn(match.rule) === true ? appRules : undefined;
    const send = (of: Subject, written: Detection | Unwritten): void => {
      const detection =
        'unwritten' in written
          ? this.#engine.toBareDetection(match, of, written.unwritten)
          : written;
      this.#options.deliver({ ...withResponses(detection, done), incident }, admission);
    };
    const toDetection = (of: Subject) => (): Detection => this.#engine.toDetection(match, of);
    const { rule: loaded } = match;
    this.#turns.detection(
      // Not its cgroup: Garden moves a container between two, and its lines are one log.
      container?.fullId ?? event.cgroupId,
      () => send(subject, (owner ?? this.watch).written(loaded, toDetection(subject))),
      () =>
        this.#later(occurrence, container, (of) =>
          send(
            of,
            owner === undefined
              ? this.watch.written(loaded, toDetection(of))
              : owner.writtenLater(loaded, toDetection(of)),
          ),
        ),
    );
  }

  #respond(
    matched: LoadedRule,
    { container, event, process }: Subject,
    appRules: AppRules | undefined,
  ): readonly DoneResponse[] {
    if (container === undefined) return [];
    const { name } = matched;
    const asked = appRules?.responseTo(name);
    const { respond, isPolicyKnown } = this.#options;
    // A policy that is not read yet may have an exception.
    const isAnswered = (): boolean =>
      appRules?.isAnswered(name) ?? isPolicyKnown?.(container) !== false;
    // The current rule: the match may have waited since before a reload.
    const rule = this.#engine.ruleOf(name);
    const { cgroupId } = event;
    const denied = deniedOf(event, this.#options.formerDenies?.() === true);
    const target = { rule, container, cgroupId, process, denied };
    const of = { eventNum: event.num, timeNs: event.timeNs, file: event.open?.file };
    return respond?.({ ...target, ...of, matched, asked, isAnswered }) ?? [];
  }

  /** The same of the event and the processes as they are now, at another time. */
  #later(
    occurrence: Occurrence,
    container: Container | undefined,
    write: (subject: Subject) => void,
  ): LaterWork {
    const pinned = this.#pins.pin(occurrence);
    const run = (): void => {
      try {
        write(this.#subjectOf(pinned, container));
      } catch (error) {
        this.watch.onEventFailure(error);
      }
    };
    return { bytes: pinned.heldBytes, run };
  }

  #allNeeds(): ReadonlySet<EventName> {
    const sets = [this.#engine.ruleSet, ...this.#appNeeds];
    return new Set(sets.flatMap((set) => [...ruleNeeds(set)]));
  }
}

const askedOf = (appRules: AppRules | undefined): OwnRulesAsked =>
  appRules === undefined ? 'none' : appRules.hasSkipped ? 'skipped' : 'asked';
