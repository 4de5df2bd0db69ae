import { SILENT_LOGGER, type Logger } from '../shared/logger.ts';
import type { Container } from '../apps/identity.ts';
import type { Detection, DetectionBrief, Priority } from '../rules/detection.ts';
import { DetectionIds } from './detection-id.ts';
import { instanceKey } from './instance-key.ts';
import { DetectionLimiter, type LimitOptions } from './limiter.ts';
import { gapNotice, lostNotice, suppressedNotice, unseenNotice } from './notices.ts';
import type { Numbered } from './numbering/numbered.ts';
import { Numbering } from './numbering/numbering.ts';
import { Outlet, waitingOf, type OutletOptions, type StreamTotals } from './outlet.ts';
import { RecentMap } from '../shared/recent-map.ts';
import type { Delivery, LogStream, StreamResults } from './stream.ts';
import { UnseenEvents, type Unseen } from './unseen.ts';

/**
 * Time for writing lines before the event loop, with the rings, gets its turn again. It equals the time that everything else
 * took since the last turn, within these limits. So events and lines do not starve each other.
 */
const MIN_TURN_MS = 5;
const MAX_TURN_MS = 20;
/** App instances whose suppressed lines, and apps whose drops, are remembered; the oldest are forgotten. */
const MAX_REMEMBERED = 10_000;

const TELL_LOSSES_MS = 10_000;

export interface FanOutOptions {
  readonly hostname: string;
  readonly logger?: Logger;
  /** Without them every detection becomes a line. */
  readonly limits?: LimitOptions | undefined;
  /** Stays the caller's to close, after the fan-out. Default: one that ends with it. */
  readonly numbering?: Numbering;
  /** Monotonic ms; default performance.now. */
  readonly nowMs?: () => number;
  /** Called with each detection once it has its number and id. */
  readonly onNumbered?: (delivery: Delivery) => void;
  /** Called when a stream has taken a delivery: the caller knows the time that went by since the event. */
  readonly onDelivered?: (delivery: Delivery, stream: LogStream) => void;
}

/** Counters of the fan-out; monotonic but for `waiting`. */
export interface FanOutCounters {
  readonly detections: number;
  /** Of `detections`: counted and reported in a summary line instead of written. */
  readonly suppressed: number;
  readonly streams: Readonly<Record<string, StreamResults>>;
  /** Drops by app name, for the 10,000 apps that last had one. */
  readonly droppedPerApp: readonly (readonly [app: string, dropped: number])[];
}

/**
 * Numbers detections and passes each to every stream that accepts it. Within one stream and container, order is kept: the next
 * delivery starts when the previous one is done. Streams and containers do not wait for each other, except for a limit on
 * concurrent deliveries. Beyond the limits the newest are dropped, and counted per app. Detections without a container, or with
 * an uncertain app, go to operators' streams only.
 */
export class FanOut {
  #outlets: readonly Outlet[] = [];
  readonly #options: FanOutOptions;
  readonly #logger: Logger;
  readonly #ids = new DetectionIds();
  #numbering: Numbering;
  readonly #droppedPerApp = new RecentMap<string, number>(MAX_REMEMBERED);
  readonly #idleWaiters = new Set<() => void>();
  readonly #limiter: DetectionLimiter | undefined;
  readonly #nowMs: () => number;
  readonly #suppressedOf = new RecentMap<string, number>(MAX_REMEMBERED);
  readonly #unseen = new UnseenEvents();
  #toldLossesMs = 0;
  #detections = 0;
  #suppressed = 0;
  #pumpScheduled = false;
  #lastTurnMs = 0;

  /** The streams stay the fan-out's: `close` closes them. Their names must differ. */
  constructor(streams: readonly LogStream[], options: FanOutOptions) {
    this.#options = options;
    this.#logger = options.logger ?? SILENT_LOGGER;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    const { limits } = options;
    this.#numbering = options.numbering ?? new Numbering();
    this.#limiter =
      limits === undefined ? undefined : new DetectionLimiter(limits, () => this.#nowMs());
    this.#open(streams);
  }

  /** For one that was made without streams, before it is given anything. As of the constructor. */
  open(streams: readonly LogStream[], numbering: Numbering): void {
    this.#numbering = numbering;
    this.#open(streams);
  }

  #open(streams: readonly LogStream[]): void {
    const options: OutletOptions = {
      logger: this.#logger,
      nowMs: this.#nowMs,
      onDelivered: (delivery, stream) => this.#options.onDelivered?.(delivery, stream),
      onDropped: (app) => this.#droppedPerApp.set(app, (this.#droppedPerApp.get(app) ?? 0) + 1),
      onHanded: () => this.#onHanded(),
    };
    this.#outlets = streams.map((stream) => new Outlet(stream, options));
    if (new Set(streams.map(({ name }) => name)).size !== streams.length) {
      throw new Error('two log streams have the same name');
    }
  }

  /**
   * Queues a detection and returns at once: formatting and writing happen later. `isAdmitted`: `admit` was already called for
   * it.
   */
  deliver(detection: Detection, isAdmitted = false): void {
    if (!isAdmitted && !this.admit(detection)) return;
    this.#limiter?.settle(detection);
    this.#detections++;
    const number = this.#numbering.next(instanceKey(detection.container));
    this.#tellGap(detection.container, detection.timeNs);
    const delivery = this.#deliveryOf(detection, number.seq);
    this.#send(delivery, number);
    this.#options.onNumbered?.(delivery);
  }

  /**
   * Whether the detection is to be written and delivered. Otherwise it is counted only, which costs much less. This keeps a
   * container with thousands of detections a second from delaying the others.
   */
  admit(detection: DetectionBrief): boolean {
    if (this.#limiter?.admit(detection) !== false) return true;
    this.#detections++;
    this.#suppressed++;
    const key = instanceKey(detection.container);
    this.#suppressedOf.set(key, (this.#suppressedOf.get(key) ?? 0) + 1);
    return false;
  }

  /** Call about once a second: reports suppressed and lost lines in the streams where they are missing. */
  onTick(): void {
    this.#tellSuppressed(false);
    if (this.#nowMs() - this.#toldLossesMs >= TELL_LOSSES_MS) this.tellLosses();
  }

  /** Reports the lines lost so far in the streams where they are missing; at the end, call it before `flush`. */
  tellLosses(): void {
    this.#toldLossesMs = this.#nowMs();
    for (const unseen of this.#unseen.take()) this.say(unseenNotice(unseen));
    for (const outlet of this.#outlets) {
      for (const lost of outlet.losses.take()) {
        const notice = this.#deliveryOf(lostNotice(outlet.stream.name, lost), 0);
        outlet.enqueue(waitingOf(notice, { lost }));
      }
    }
    this.#settleLosses();
    this.#schedulePump();
  }

  /** Lost numbers are settled once all loss notices were delivered; otherwise the next agent reports them. */
  #settleLosses(): void {
    if (this.#outlets.every(({ hasTold }) => hasTold)) this.#numbering.lossesTold();
  }

  /** Tells each of these containers which of its numbers may be missing, where there are any. */
  tellGaps(containers: Iterable<Container>): void {
    if (this.#numbering.gaps === 0) return;
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    this.#tellGap(undefined, nowNs);
    for (const container of containers) this.#tellGap(container, nowNs);
  }

  /** The number of the last line of the container's app instance: 0 before the first, undefined where it is not known. */
  lastLineOf(container: Container): number | undefined {
    return this.#numbering.lastLineOf(instanceKey(container));
  }

  /**
   * Records events that were lost before any rule saw them. They are reported in the container's and the operator's streams.
   */
  noteUnseen(unseen: Unseen): void {
    this.#unseen.add(unseen);
  }

  /** A line of the agent's own, in every stream that the container has: not limited, not numbered. */
  say(line: Detection): void {
    this.#send(this.#deliveryOf(line, 0));
  }

  /** Suppressed detections of the container's app instance; kept for the 10,000 instances that had one last. */
  suppressedOf(container: Container): number {
    return this.#suppressedOf.get(instanceKey(container)) ?? 0;
  }

  #tellGap(container: Container | undefined, timeNs: bigint): void {
    const found = this.#numbering.takeGap(instanceKey(container));
    if (found === undefined) return;
    this.#send(this.#deliveryOf(gapNotice(found.gap, container, timeNs), 0), found.line);
  }

  #send(delivery: Delivery, number?: Numbered): void {
    const waiting = waitingOf(delivery, { number });
    for (const outlet of this.#outlets) outlet.enqueue(waiting);
    number?.complete();
    this.#schedulePump();
  }

  #tellSuppressed(all: boolean): void {
    const { limits } = this.#options;
    if (limits === undefined) return;
    for (const suppressed of this.#limiter?.due(all) ?? []) {
      this.say(suppressedNotice(suppressed, limits));
    }
  }

  #deliveryOf(detection: Detection, seq: number): Delivery {
    const id = this.#ids.next(detection.timeNs);
    return { detection, id, seq, hostname: this.#options.hostname };
  }

  /**
   * Resolves when everything taken so far is delivered or lost, at the latest after `timeoutMs`. Counts
   * deliveries (one per stream) since the call; those that still wait at the end count as lost.
   */
  async flush(timeoutMs: number): Promise<{ readonly delivered: number; readonly lost: number }> {
    this.#tellSuppressed(true);
    const before = this.#sums();
    if (this.#busy()) {
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          this.#idleWaiters.delete(done);
          resolve();
        };
        const timer = setTimeout(done, timeoutMs);
        this.#idleWaiters.add(done);
      });
    }
    const after = this.#sums();
    return {
      delivered: after.delivered - before.delivered,
      lost: after.lost - before.lost + after.pending,
    };
  }

  counters(): FanOutCounters {
    const results = this.#outlets.map((outlet) => [outlet.stream.name, outlet.results()] as const);
    return {
      detections: this.#detections,
      suppressed: this.#suppressed,
      streams: Object.fromEntries(results),
      droppedPerApp: [...this.#droppedPerApp.entries()],
    };
  }

  /**
   * Drops the queued lines of these priorities to free memory: they count as dropped and are reported as lost. The agent's own
   * notices stay. Returns how many.
   */
  dropWaiting(priorities: readonly Priority[]): number {
    const fits = ({ detection, seq }: Delivery): boolean =>
      seq > 0 && priorities.includes(detection.priority);
    return this.#outlets.reduce((sum, outlet) => sum + outlet.giveUp(fits), 0);
  }

  /** Closes every stream. Call `flush` first: what still waits is lost, and so is what comes later. */
  async close(): Promise<void> {
    await Promise.all(this.#outlets.map((outlet) => outlet.close()));
  }

  /** Runs for a bounded time per event loop turn, so that a burst of lines does not delay reading the ring. */
  #schedulePump(): void {
    if (this.#pumpScheduled || !this.#outlets.some(({ waiting }) => waiting > 0)) return;
    this.#pumpScheduled = true;
    setImmediate(() => {
      this.#pumpScheduled = false;
      const nowMs = this.#nowMs();
      const othersMs = nowMs - this.#lastTurnMs;
      const turnMs = Math.min(Math.max(othersMs, MIN_TURN_MS), MAX_TURN_MS);
      const waiting = this.#outlets.filter(({ wantsTurn }) => wantsTurn);
      for (const outlet of waiting) outlet.turn(this.#nowMs() + turnMs / waiting.length);
    });
  }

  #onHanded(): void {
    this.#lastTurnMs = this.#nowMs();
    this.#schedulePump();
    this.#settleLosses();
    if (!this.#busy()) for (const done of [...this.#idleWaiters]) done();
  }

  #busy(): boolean {
    return this.#outlets.some(({ isBusy }) => isBusy);
  }

  #sums(): { readonly delivered: number; readonly lost: number; readonly pending: number } {
    const all = this.#outlets.map((outlet) => outlet.totals());
    const sum = (of: (one: StreamTotals) => number): number =>
      all.reduce((total, one) => total + of(one), 0);
    return {
      delivered: sum(({ delivered }) => delivered),
      lost: sum(({ failed, dropped }) => failed + dropped),
      pending: sum(({ waiting }) => waiting),
    };
  }
}
