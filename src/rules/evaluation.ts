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
import { ruleNeeds } from './rule-set.ts';

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
    this.#needs = ruleNeeds(engine.ruleSet);
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
    const engine = this.#engine;
    const users = this.#options.users(event.cgroupId, process);
    const { hostname, domains } = this.#options;
    const subject = { event, process, container, users, domains, hostname };
    for (const match of engine.evaluate(subject)) {
      if (container !== undefined) this.#options.deliver(engine.toDetection(match, subject));
      else {
        const { cgroupId } = event;
        this.#admission.detection({ cgroupId, occurrence: occurrence.detach(), match });
      }
    }
  }

  #deliver({ occurrence, match }: WaitingMatch, container: Container | undefined): void {
    const { event, process } = occurrence;
    const users = this.#options.users(event.cgroupId, process);
    const { hostname, domains } = this.#options;
    this.#options.deliver(
      this.#engine.toDetection(match, { event, process, container, users, domains, hostname }),
    );
  }
}
