import type { ContainerRegistry } from '../apps/container-registry.ts';
import { HeldQueue, type HeldQueueCounters } from './held-events.ts';
import type { Container } from '../apps/identity.ts';

/** What the stages around it do with what is admitted. Called synchronously; must not throw. */
export interface AdmissionTarget<E, D> {
  /** An event to evaluate: at once, or held and so detached. `container` is undefined while still pending. */
  evaluate(event: E, container: Container | undefined): void;
  /** A detection of an event that was evaluated before its container was known. */
  attributed(detection: D, container: Container): void;
  /** A detection whose container never became known: for the operator only. */
  unattributed(detection: D): void;
  /** Events and detections of the container for which there was no room while it was not known. */
  dropped(container: Container, drops: HeldDrops): void;
  /** Whether the rules for a known container are decided. Until `Admission.ready` its events wait. O(1); default true. */
  isReady?(container: Container): boolean;
  /** The container's events can wait no longer: its rules must be decided now. */
  finish?(container: Container): void;
}

/** What was dropped of one container: how many, and the Unix ns of the first and the last. */
export interface HeldDrops {
  readonly count: number;
  readonly firstNs: bigint;
  readonly lastNs: bigint;
}

/** Bounds; defaults in parentheses. */
export interface AdmissionOptions {
  /** How long an event waits for its container (5000). */
  readonly holdMs?: number | undefined;
  /** Held events of one container (4096, 8 MiB) and of all (65536, 24 MiB). */
  readonly maxEventsPerContainer?: number | undefined;
  readonly maxEvents?: number | undefined;
  /** How long a detection waits for its container (600000). */
  readonly detectionWaitMs?: number | undefined;
  /** Waiting detections of one container (1024, 2 MiB) and of all (16384, 16 MiB). */
  readonly maxDetectionsPerContainer?: number | undefined;
  readonly maxDetections?: number | undefined;
}

/** Monotonic counts. */
export interface AdmissionCounters {
  readonly events: HeldQueueCounters;
  readonly detections: HeldQueueCounters;
}

/** What can wait. */
interface Held {
  readonly cgroupId: number;
  readonly heldBytes: number;
  /** Unix ns. */
  readonly timeNs: bigint;
}

interface WaitingEvent<E> {
  readonly event: E;
  readonly cgroupId: number;
}

const TICK_MS = 100;
/** Containers whose drops are remembered until they are told. Of more only the counters know. */
const MAX_DROP_CONTAINERS = 4096;

/** A record may have 32 KiB, so counts alone would allow gigabytes. */
const EVENT_BYTES = { maxBytesPerKey: 8 << 20, maxBytesTotal: 24 << 20 };
const DETECTION_BYTES = { maxBytesPerKey: 2 << 20, maxBytesTotal: 16 << 20 };

/**
 * Stands between the ring and the rules. Events of a known container pass at once; events of an excluded one are discarded.
 * Events of a container with pending identity wait, in order, and are evaluated without it when the wait is over. Events of a
 * container whose rules are being compiled wait too; when that wait is over, the rest is compiled at once. Detections without
 * identity wait longer, in a bounded store of their own. `heldBytes` is the cost of an event or a detection while it is held.
 */
export class Admission<E extends Held & { detach(): E }, D extends Held> {
  readonly #registry: ContainerRegistry;
  readonly #target: AdmissionTarget<E, D>;
  readonly #nowMs: () => number;
  readonly #holdMs: number;
  readonly #detectionWaitMs: number;
  readonly #events: HeldQueue<WaitingEvent<E>>;
  readonly #detections: HeldQueue<D>;
  /** Cgroups without a report yet, with the time of their first event; at most 16,384. */
  readonly #unknownSince = new Map<number, number>();
  /** By root cgroup: what was dropped and is not told yet. */
  readonly #drops = new Map<number, HeldDrops>();
  /** By root cgroup: containers whose rules are awaited. */
  readonly #awaitsRules = new Map<number, Container>();
  #timer: NodeJS.Timeout | undefined;

  /** `nowMs` is the registry's clock. */
  constructor(
    registry: ContainerRegistry,
    target: AdmissionTarget<E, D>,
    nowMs: () => number,
    options: AdmissionOptions = {},
  ) {
    this.#registry = registry;
    this.#target = target;
    this.#nowMs = nowMs;
    this.#holdMs = options.holdMs ?? 5000;
    this.#detectionWaitMs = options.detectionWaitMs ?? 600_000;
    this.#events = new HeldQueue({
      maxPerKey: options.maxEventsPerContainer ?? 4096,
      maxTotal: options.maxEvents ?? 65536,
      ...EVENT_BYTES,
      bytesOf: ({ event }) => event.heldBytes,
      onExpired: (waiting) => this.#evaluateLate(waiting),
    });
    this.#detections = new HeldQueue({
      maxPerKey: options.maxDetectionsPerContainer ?? 1024,
      maxTotal: options.maxDetections ?? 16384,
      ...DETECTION_BYTES,
      bytesOf: ({ heldBytes }) => heldBytes,
      onExpired: (detection) => target.unattributed(detection),
    });
    registry.listen({
      onResolved: (rootCgroupId) => this.#onResolved(rootCgroupId),
      onKnown: (rootCgroupId) => this.#onKnown(rootCgroupId),
      onForgotten: (rootCgroupId) => this.#onForgotten(rootCgroupId),
    });
  }

  /** Begins to expire what waits; without it `tick` is the caller's. */
  start(): void {
    this.#timer ??= setInterval(() => this.tick(), TICK_MS).unref();
  }

  /** Ends the timer; everything still held is evaluated and everything waiting is handed over. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    for (const container of [...this.#awaitsRules.values()]) this.#target.finish?.(container);
    this.#events.drain();
    this.#detections.drain();
  }

  tick(): void {
    const nowMs = this.#nowMs();
    this.#expire(nowMs);
    this.#detections.expire(nowMs);
    for (const [cgroupId, sinceMs] of this.#unknownSince) {
      if (nowMs - sinceMs >= 2 * this.#holdMs) this.#unknownSince.delete(cgroupId);
    }
  }

  /** Takes the next event, in the ring's order. */
  event(event: E): void {
    const resolution = this.#registry.resolve(event.cgroupId);
    switch (resolution.state) {
      case 'included':
        if (this.#isReady(event.cgroupId, resolution.container))
          this.#target.evaluate(event, resolution.container);
        else this.#waitForRules(event, resolution.container);
        return;
      case 'excluded':
        return;
      case 'pending':
        this.#wait(event, resolution.sinceMs);
        return;
      case 'unknown':
        this.#wait(event, this.#unknownSinceMs(event.cgroupId));
        return;
    }
  }

  /** Takes a detection that has no container yet: hands it on once, now or later. */
  detection(detection: D): void {
    const resolution = this.#registry.resolve(detection.cgroupId);
    switch (resolution.state) {
      case 'included':
        // It has waited long enough.
        this.#target.finish?.(resolution.container);
        this.#target.attributed(detection, resolution.container);
        return;
      case 'excluded':
        return;
      case 'pending':
      case 'unknown': {
        const key = detection.cgroupId;
        const deadlineMs = this.#nowMs() + this.#detectionWaitMs;
        if (!this.#detections.hold(key, detection, deadlineMs)) this.#noteDrop(key, detection);
        return;
      }
    }
  }

  /** It is decided which rules hold for the container: what waits for that goes on. */
  ready({ fullId }: Container): void {
    for (const [cgroupId, container] of [...this.#awaitsRules]) {
      if (container.fullId !== fullId) continue;
      this.#awaitsRules.delete(cgroupId);
      this.#onResolved(cgroupId);
    }
  }

  /** Events and detections of a container that were dropped while it was not known. */
  droppedOf(rootCgroupId: number): number {
    return this.#events.droppedOf(rootCgroupId) + this.#detections.droppedOf(rootCgroupId);
  }

  counters(): AdmissionCounters {
    return { events: this.#events.counters(), detections: this.#detections.counters() };
  }

  #wait(event: E, sinceMs: number): void {
    const key = event.cgroupId;
    const nowMs = this.#nowMs();
    const deadlineMs = sinceMs + this.#holdMs;
    if (deadlineMs > nowMs) {
      const kept = event.detach();
      const isHeld = this.#events.hold(key, { event: kept, cgroupId: kept.cgroupId }, deadlineMs);
      if (!isHeld) this.#noteDrop(key, kept);
      return;
    }
    // Older events wait and must be evaluated first.
    this.#expire(nowMs);
    this.#target.evaluate(event, undefined);
  }

  /** Ends expired waits: if only the rules are missing, they are compiled now. */
  #expire(nowMs: number): void {
    for (const [cgroupId, container] of [...this.#awaitsRules])
      if (this.#events.isDue(cgroupId, nowMs)) this.#target.finish?.(container);
    this.#events.expire(nowMs);
  }

  #isReady(rootCgroupId: number, container: Container): boolean {
    if (this.#target.isReady?.(container) !== false) return true;
    this.#awaitsRules.set(rootCgroupId, container);
    return false;
  }

  #waitForRules(event: E, container: Container): void {
    const kept = event.detach();
    const waiting = { event: kept, cgroupId: kept.cgroupId };
    const deadlineMs = this.#nowMs() + this.#holdMs;
    if (this.#events.holdIfRoom(kept.cgroupId, waiting, deadlineMs)) return;
    // What waits is older, and is evaluated first.
    this.#target.finish?.(container);
    this.#target.evaluate(kept, container);
  }

  #noteDrop(key: number, { timeNs }: Held): void {
    const before = this.#drops.get(key);
    if (before === undefined && this.#drops.size >= MAX_DROP_CONTAINERS) return;
    const { count, firstNs, lastNs } = before ?? { count: 0, firstNs: timeNs, lastNs: timeNs };
    this.#drops.set(key, {
      count: count + 1,
      firstNs: timeNs < firstNs ? timeNs : firstNs,
      lastNs: timeNs > lastNs ? timeNs : lastNs,
    });
  }

  #unknownSinceMs(cgroupId: number): number {
    const known = this.#unknownSince.get(cgroupId);
    if (known !== undefined) return known;
    const nowMs = this.#nowMs();
    if (this.#unknownSince.size < 16384) this.#unknownSince.set(cgroupId, nowMs);
    return nowMs;
  }

  #evaluateLate({ event, cgroupId }: WaitingEvent<E>): void {
    const resolution = this.#registry.resolve(cgroupId);
    if (resolution.state === 'excluded') return;
    this.#target.evaluate(
      event,
      resolution.state === 'included' ? resolution.container : undefined,
    );
  }

  #onKnown(rootCgroupId: number): void {
    this.#unknownSince.delete(rootCgroupId);
  }

  #onResolved(rootCgroupId: number): void {
    const resolution = this.#registry.resolve(rootCgroupId);
    if (resolution.state === 'excluded') {
      this.#events.discard(rootCgroupId);
      this.#detections.discard(rootCgroupId);
      this.#drops.delete(rootCgroupId);
      return;
    }
    if (resolution.state !== 'included') return;
    const { container } = resolution;
    if (!this.#isReady(rootCgroupId, container)) return;
    this.#detections.release(rootCgroupId, (detection) =>
      this.#target.attributed(detection, container),
    );
    this.#events.release(rootCgroupId, ({ event }) => this.#target.evaluate(event, container));
    const drops = this.#drops.get(rootCgroupId);
    this.#drops.delete(rootCgroupId);
    if (drops !== undefined) this.#target.dropped(container, drops);
  }

  #onForgotten(rootCgroupId: number): void {
    // The cgroup number may be reused: nothing of this cgroup may wait under it.
    this.#events.release(rootCgroupId, ({ event }) => this.#target.evaluate(event, undefined));
    this.#detections.release(rootCgroupId, (detection) => this.#target.unattributed(detection));
    this.#drops.delete(rootCgroupId);
    this.#awaitsRules.delete(rootCgroupId);
  }
}
