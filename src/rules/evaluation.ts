import type { Resolution } from '../apps/container-registry.ts';
import { HeldQueue, type HeldQueueCounters } from '../apps/held-events.ts';
import type { Container } from '../apps/identity.ts';
import { pinProcess } from '../context/pinned-process.ts';
import type { Process, UserNames } from '../context/process.ts';
import type { KernelEvent } from '../events/event.ts';
import type { EventName } from '../events/table.gen.ts';
import type { Detection } from './detection.ts';
import type { Match, RuleEngine } from './engine.ts';
import { ruleNeeds } from './rule-set.ts';

/** Bounds of what waits. Items, not bytes: an open record is about 300 bytes, the largest 29 KiB. */
const MAX_HELD_PER_CONTAINER = 4096;
const MAX_HELD = 65536;
const MAX_UNATTRIBUTED_PER_CONTAINER = 1024;
const MAX_UNATTRIBUTED = 16384;
/** After this long, a detection whose container never got a name goes to the operator. */
const UNATTRIBUTED_MS = 600_000;

/** What the evaluation needs of its neighbours. */
export interface EvaluationOptions {
  readonly engine: RuleEngine;
  readonly hostname: string;
  /** How long an event waits for its container's identity before it is evaluated without. */
  readonly holdMs: number;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  readonly resolve: (cgroupId: number) => Resolution;
  /** The container's user names, by its root cgroup; sees to it that they are read. */
  readonly users: (rootCgroupId: number, process: Process) => UserNames;
  /** Takes a detection; must not throw. Without a container it is the operator's only. */
  readonly deliver: (detection: Detection) => void;
}

interface HeldEvent {
  readonly event: KernelEvent;
  readonly process: Process;
}

interface HeldMatch extends HeldEvent {
  readonly match: Match;
  readonly engine: RuleEngine;
}

/** Monotonic counts but for what is held now. */
export interface EvaluationCounters {
  readonly evaluated: number;
  readonly excluded: number;
  readonly heldEvents: HeldQueueCounters;
  readonly heldDetections: HeldQueueCounters;
}

/**
 * From an event and its process to a detection with its container: evaluates at once when the container is known,
 * holds when it is pending, forgets when it is excluded. Synchronous; allocates only to hold or to detect.
 */
export class Evaluation {
  readonly #options: EvaluationOptions;
  readonly #events: HeldQueue<HeldEvent>;
  readonly #matches: HeldQueue<HeldMatch>;
  #engine: RuleEngine;
  #needs: ReadonlySet<EventName>;
  #evaluated = 0;
  #excluded = 0;

  constructor(options: EvaluationOptions) {
    this.#options = options;
    this.#engine = options.engine;
    this.#needs = ruleNeeds(options.engine.ruleSet);
    this.#events = new HeldQueue({
      maxPerKey: MAX_HELD_PER_CONTAINER,
      maxTotal: MAX_HELD,
      onExpired: ({ event, process }, key) => this.#evaluate(event, process, undefined, key),
    });
    this.#matches = new HeldQueue({
      maxPerKey: MAX_UNATTRIBUTED_PER_CONTAINER,
      maxTotal: MAX_UNATTRIBUTED,
      onExpired: (held, key) => this.#deliver(held, undefined, key),
    });
  }

  get engine(): RuleEngine {
    return this.#engine;
  }

  /** Takes effect between two events; what is held is evaluated by the new rules. */
  swapEngine(engine: RuleEngine): void {
    this.#engine = engine;
    this.#needs = ruleNeeds(engine.ruleSet);
  }

  /** `event` may be reused by the caller as soon as this returns. */
  onEvent(event: KernelEvent, process: Process): void {
    const resolution = this.#options.resolve(event.cgroupId);
    switch (resolution.state) {
      case 'included':
        this.#evaluate(event, process, resolution.container, resolution.rootCgroupId);
        return;
      case 'excluded':
        this.#excluded++;
        return;
      case 'pending':
      case 'unknown':
        // No rule can ever match the others: they need not wait.
        if (!this.#needs.has(event.type) || process.setup) return;
        this.#events.hold(
          resolution.state === 'pending' ? resolution.rootCgroupId : event.cgroupId,
          { event: event.detach(), process: pinProcess(process) },
          this.#options.nowMs() + this.#options.holdMs,
        );
    }
  }

  /** A container's identity is known: what waited for it goes on, or was nobody's. */
  onResolved(rootCgroupId: number): void {
    const resolution = this.#options.resolve(rootCgroupId);
    if (resolution.state === 'excluded') {
      this.#events.discard(rootCgroupId);
      this.#matches.discard(rootCgroupId);
    } else if (resolution.state === 'included') {
      const { container } = resolution;
      this.#matches.release(rootCgroupId, (held) => this.#deliver(held, container, rootCgroupId));
      this.#events.release(rootCgroupId, ({ event, process }) =>
        this.#evaluate(event, process, container, rootCgroupId),
      );
    }
  }

  /** A cgroup turned out to belong to this container. */
  onKnown(cgroupId: number, rootCgroupId: number): void {
    this.#events.rekey(cgroupId, rootCgroupId);
    this.#matches.rekey(cgroupId, rootCgroupId);
  }

  /** The container's identity will not become known: the operator gets what is left. */
  onForgotten(rootCgroupId: number): void {
    this.#events.release(rootCgroupId, ({ event, process }) =>
      this.#evaluate(event, process, undefined, rootCgroupId),
    );
    this.#matches.release(rootCgroupId, (held) => this.#deliver(held, undefined, rootCgroupId));
  }

  /** To be called often (100 ms): ends the waiting of what has waited long enough. */
  tick(): void {
    const now = this.#options.nowMs();
    this.#events.expire(now);
    this.#matches.expire(now);
  }

  /** The end of the agent: everything that waits is evaluated and delivered as it is. */
  drain(): void {
    this.#events.drain();
    this.#matches.drain();
  }

  /** Items that waited for this container and found no room. */
  droppedOf(rootCgroupId: number): number {
    return this.#events.droppedOf(rootCgroupId) + this.#matches.droppedOf(rootCgroupId);
  }

  counters(): EvaluationCounters {
    return {
      evaluated: this.#evaluated,
      excluded: this.#excluded,
      heldEvents: this.#events.counters(),
      heldDetections: this.#matches.counters(),
    };
  }

  #evaluate(
    event: KernelEvent,
    process: Process,
    container: Container | undefined,
    rootCgroupId: number,
  ): void {
    if (!this.#needs.has(event.type)) return;
    this.#evaluated++;
    const users = this.#options.users(rootCgroupId, process);
    const subject = { event, process, container, users, hostname: this.#options.hostname };
    for (const match of this.#engine.evaluate(subject)) {
      if (container !== undefined) {
        this.#options.deliver(this.#engine.toDetection(match, subject));
        continue;
      }
      this.#matches.hold(
        rootCgroupId,
        { event: event.detach(), process: pinProcess(process), match, engine: this.#engine },
        this.#options.nowMs() + UNATTRIBUTED_MS,
      );
    }
  }

  #deliver(held: HeldMatch, container: Container | undefined, rootCgroupId: number): void {
    const users = this.#options.users(rootCgroupId, held.process);
    this.#options.deliver(
      held.engine.toDetection(held.match, {
        event: held.event,
        process: held.process,
        container,
        users,
        hostname: this.#options.hostname,
      }),
    );
  }
}
