import { SILENT_LOGGER, type Logger } from '../shared/logger.ts';
import type { Container } from '../apps/identity.ts';
import type { Detection, DetectionBrief, Priority } from '../rules/detection.ts';
import { deliverySize } from './delivery-size.ts';
import { DetectionIds } from './detection-id.ts';
import { HOST, instanceKey } from './instance-key.ts';
import { DetectionLimiter, type LimitOptions } from './limiter.ts';
import { Lane } from './lane.ts';
import { Losses } from './losses.ts';
import { gapNotice, lostNotice, suppressedNotice, unseenNotice } from './notices.ts';
import { Numbering, type Numbered } from './numbering/numbering.ts';
import { RecentMap } from '../shared/recent-map.ts';
import type { Delivery, LogStream } from './stream.ts';
import { UnseenEvents, type Unseen } from './unseen.ts';

/**
 * What waits for one stream, all containers together: a slow stream takes no room from the others. What the rings hold all
 * comes at once: this is some 40,000 deliveries of ordinary size. One container may take as much as it leaves free, alone
 * half of it, so one that comes late always finds room.
 */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/**
 * Beyond these bounds, for Critical and above: of one container, and of all together. A flood of others takes none of it. What the
 * agent says of itself has as much again, for all together.
 */
const RESERVED_BYTES = 2 * 1024 * 1024;
const RESERVED_FOR_ALL_BYTES = 8 * 1024 * 1024;
const URGENT: readonly Priority[] = ['Emergency', 'Alert', 'Critical'];
/**
 * How long lines may be handed over before the event loop, with the rings, has its turn again: as long as everything else
 * took since the last time, within these bounds. Neither events nor lines wait for the other then.
 */
const MIN_TURN_MS = 10;
const MAX_TURN_MS = 250;
/** Containers to which one stream delivers at the same time: so many with full logs take no turn from the next. */
const MAX_ACTIVE_LANES = 128;
/** App instances whose suppressed lines, and apps whose drops, are remembered; the oldest are forgotten. */
const MAX_REMEMBERED = 10_000;

const TELL_LOSSES_MS = 10_000;

/** Options of `FanOut`. */
export interface FanOutOptions {
  readonly hostname: string;
  readonly logger?: Logger;
  /** Without them every detection becomes a line. */
  readonly limits?: LimitOptions | undefined;
  /** Stays the caller's to close, after the fan-out. Default: one that ends with it. */
  readonly numbering?: Numbering;
  /** Monotonic ms; default performance.now. */
  readonly nowMs?: () => number;
  /** Called when a stream has taken a delivery: the caller knows the time that went by since the event. */
  readonly onDelivered?: (delivery: Delivery, stream: LogStream) => void;
}

/** What became of the deliveries to one stream. */
export interface StreamTotals {
  readonly delivered: number;
  /** The stream could not take it. */
  readonly failed: number;
  /** It never came to the stream: too many were waiting. */
  readonly dropped: number;
  readonly waiting: number;
}

/** Counters of the fan-out; monotonic but for `waiting`. */
export interface FanOutCounters {
  readonly detections: number;
  /** Of `detections`: counted, and told in a line of its own, instead of written. */
  readonly suppressed: number;
  readonly streams: Readonly<Record<string, StreamTotals>>;
  /** Drops by app name, for the 10,000 apps that last had one. */
  readonly droppedPerApp: readonly (readonly [app: string, dropped: number])[];
}

/** A delivery and its number, which is to know what becomes of it. */
interface Waiting {
  readonly delivery: Delivery;
  readonly bytes: number;
  readonly isUrgent: boolean;
  readonly number: Numbered | undefined;
}

/** One stream's part: its lanes, and those that have something to deliver and wait for their turn. */
interface Outlet {
  readonly stream: LogStream;
  readonly lanes: Map<string, Lane<Waiting>>;
  readonly ready: Lane<Waiting>[];
  readonly losses: Losses;
  active: number;
  /** Until when it may be handed lines: the rest of the turn is the other streams'. */
  turnEndsMs: number;
  delivered: number;
  failed: number;
  dropped: number;
  waiting: number;
  waitingBytes: number;
}

/**
 * Numbers detections and hands each to every stream that accepts it. For one stream and container, order is
 * kept: the next is handed over when the one before is done. Streams and containers do not wait for each
 * other, but for a bound on how many are served at once. What comes beyond the bounds is dropped, newest
 * first, and counted per app. A detection without a container, or in one whose app is not known for certain, goes to
 * operators' streams only.
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
  #waiting = 0;
  #pumpScheduled = false;
  #lastTurnMs = 0;
  #closed = false;

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
    this.#outlets = streams.map((stream) => ({
      stream,
      lanes: new Map<string, Lane<Waiting>>(),
      ready: [],
      losses: new Losses(),
      active: 0,
      turnEndsMs: 0,
      delivered: 0,
      failed: 0,
      dropped: 0,
      waiting: 0,
      waitingBytes: 0,
    }));
    if (new Set(streams.map(({ name }) => name)).size !== streams.length) {
      throw new Error('two log streams have the same name');
    }
  }

  /** Takes a detection and returns at once: nothing is formatted or written before the caller is done. */
  deliver(detection: Detection): void {
    if (this.#limiter?.take(detection) === false) {
      this.#noteCounted(detection);
      return;
    }
    this.#detections++;
    const number = this.#numbering.next(instanceKey(detection.container));
    this.#tellGap(detection.container, detection.timeNs);
    this.#send(this.#deliveryOf(detection, number.seq), number);
  }

  /**
   * True when the detection is counted instead of written: it has been taken, and need not be written out, which costs more
   * than all else of it. A container that makes thousands a second delays those of others by as much.
   */
  isCounted(detection: DetectionBrief): boolean {
    if (this.#limiter?.isCounted(detection) !== true) return false;
    this.#noteCounted(detection);
    return true;
  }

  #noteCounted({ container }: DetectionBrief): void {
    this.#detections++;
    this.#suppressed++;
    const key = instanceKey(container);
    this.#suppressedOf.set(key, (this.#suppressedOf.get(key) ?? 0) + 1);
  }

  /** To be called every second or so: tells what was suppressed and what was lost, each where it is missing. */
  onTick(): void {
    this.#tellSuppressed(false);
    if (this.#nowMs() - this.#toldLossesMs >= TELL_LOSSES_MS) this.tellLosses();
  }

  /** Tells what was lost so far, each where it is missing; at the end, before `flush`. */
  tellLosses(): void {
    this.#toldLossesMs = this.#nowMs();
    for (const unseen of this.#unseen.take()) this.say(unseenNotice(unseen));
    for (const outlet of this.#outlets) {
      for (const lost of outlet.losses.take()) {
        const delivery = this.#deliveryOf(lostNotice(outlet.stream.name, lost), 0);
        // Where there is no room for that either, it is told the next time, with what is lost meanwhile.
        if (!this.#enqueue(outlet, waitingOf(delivery, undefined))) outlet.losses.add(lost);
      }
    }
    this.#numbering.lossesTold();
    this.#schedulePump();
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

  /** Events of the container were lost before any rule saw them: told in its streams, and the operator's. */
  noteUnseen(unseen: Unseen): void {
    this.#unseen.add(unseen);
  }

  /** A line of the agent's own, in every stream that the container has: not limited, not numbered. */
  say(line: Detection): void {
    this.#send(this.#deliveryOf(line, 0));
  }

  /** Detections of the app's instance that were counted instead of written, of the 10,000 that last had one. */
  suppressedOf(container: Container): number {
    return this.#suppressedOf.get(instanceKey(container)) ?? 0;
  }

  #tellGap(container: Container | undefined, timeNs: bigint): void {
    const found = this.#numbering.takeGap(instanceKey(container));
    if (found === undefined) return;
    this.#send(this.#deliveryOf(gapNotice(found.gap, container, timeNs), 0), found.line);
  }

  #send(delivery: Delivery, number?: Numbered): void {
    const waiting = waitingOf(delivery, number);
    for (const outlet of this.#outlets) this.#enqueue(outlet, waiting);
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
    const totals = this.#outlets.map(
      ({ stream, delivered, failed, dropped, waiting, active }) =>
        [stream.name, { delivered, failed, dropped, waiting: waiting + active }] as const,
    );
    return {
      detections: this.#detections,
      suppressed: this.#suppressed,
      streams: Object.fromEntries(totals),
      droppedPerApp: [...this.#droppedPerApp.entries()],
    };
  }

  /**
   * Gives up the lines of these priorities that wait for a stream, to free memory: they count as dropped, and are told like all
   * that is lost. What the agent says of itself stays. Returns how many.
   */
  dropWaiting(priorities: readonly Priority[]): number {
    let dropped = 0;
    for (const outlet of this.#outlets) {
      for (const lane of outlet.lanes.values()) {
        const given = lane.takeWhere(
          ({ delivery: { detection, seq } }) => seq > 0 && priorities.includes(detection.priority),
        );
        for (const waiting of given) {
          this.#drop(outlet, waiting.delivery.detection.container?.app?.name ?? HOST);
          noteLine(outlet, waiting);
          this.#leave(outlet, waiting);
        }
        dropped += given.length;
      }
    }
    return dropped;
  }

  /** Closes every stream. Call `flush` first: what still waits is lost, and so is what comes later. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const outlet of this.#outlets) {
      for (const lane of outlet.lanes.values()) lane.takeWhere(() => true);
      outlet.ready.length = 0;
      outlet.dropped += outlet.waiting;
      this.#waiting -= outlet.waiting;
      outlet.waiting = 0;
      outlet.waitingBytes = 0;
    }
    await Promise.all(this.#outlets.map(({ stream }) => stream.close()));
  }

  /** False when there is no room: it was dropped, and is counted. */
  #enqueue(outlet: Outlet, waiting: Waiting): boolean {
    const { delivery } = waiting;
    const { container } = delivery.detection;
    if (container?.app === undefined && outlet.stream.audience === 'tenant') return true;
    if (!outlet.stream.accepts(delivery)) return true;
    waiting.number?.enqueued();
    const key = container?.fullId ?? HOST;
    let lane = outlet.lanes.get(key);
    if (this.#closed || isFull(outlet, lane, waiting)) {
      this.#drop(outlet, container?.app?.name ?? HOST);
      noteLine(outlet, waiting);
      return false;
    }
    if (lane === undefined) {
      lane = new Lane(key);
      outlet.lanes.set(key, lane);
      outlet.ready.push(lane);
    }
    lane.push(waiting);
    outlet.waiting++;
    outlet.waitingBytes += waiting.bytes;
    this.#waiting++;
    return true;
  }

  #leave(outlet: Outlet, { bytes }: Waiting): void {
    outlet.waiting--;
    outlet.waitingBytes -= bytes;
    this.#waiting--;
  }

  #drop(outlet: Outlet, app: string): void {
    outlet.dropped++;
    this.#droppedPerApp.set(app, (this.#droppedPerApp.get(app) ?? 0) + 1);
  }

  /** For a bounded time per turn of the event loop, so that a burst of lines never keeps the ring waiting. */
  #schedulePump(): void {
    if (this.#pumpScheduled || this.#waiting === 0) return;
    this.#pumpScheduled = true;
    setImmediate(() => {
      this.#pumpScheduled = false;
      const nowMs = this.#nowMs();
      const othersMs = nowMs - this.#lastTurnMs;
      const turnMs = Math.min(Math.max(othersMs, MIN_TURN_MS), MAX_TURN_MS);
      // One whose lines were all given up has lanes to put away.
      const waiting = this.#outlets.filter((outlet) => outlet.ready.length > 0);
      for (const outlet of waiting) {
        outlet.turnEndsMs = this.#nowMs() + turnMs / waiting.length;
        this.#pump(outlet);
      }
    });
  }

  #pump(outlet: Outlet): void {
    while (outlet.active < (outlet.stream.maxUnderWay ?? MAX_ACTIVE_LANES)) {
      // Beyond so many the turn's end counts: the first of them is done in a later one.
      if (outlet.active >= MAX_ACTIVE_LANES && this.#nowMs() >= outlet.turnEndsMs) break;
      const lane = outlet.ready.shift();
      if (lane === undefined) break;
      const waiting = lane.shift();
      if (waiting === undefined) {
        // Its lines were given up.
        outlet.lanes.delete(lane.key);
        continue;
      }
      this.#leave(outlet, waiting);
      outlet.active++;
      void this.#hand(outlet, lane, waiting);
    }
  }

  /** A lane is in `ready` or here, never in both, unless the stream keeps the order itself. */
  async #hand(outlet: Outlet, lane: Lane<Waiting>, waiting: Waiting): Promise<void> {
    const { delivery, number } = waiting;
    const takesMore = outlet.stream.maxUnderWay !== undefined;
    let taken = false;
    try {
      const taking = outlet.stream.deliver(delivery);
      if (takesMore) makeReady(outlet, lane);
      taken = await taking;
      if (taken) this.#options.onDelivered?.(delivery, outlet.stream);
    } catch (error) {
      this.#logger.error(
        { stream: outlet.stream.name, error },
        `The ${outlet.stream.name} stream failed in a way it should not; the detection ${delivery.id} may be missing there.`,
      );
    }
    if (taken) {
      outlet.delivered++;
      number?.written();
    } else {
      outlet.failed++;
      noteLine(outlet, waiting);
    }
    outlet.active--;
    if (!takesMore) makeReady(outlet, lane);
    // A stream that takes a line at once gets the next one in the same turn.
    this.#lastTurnMs = this.#nowMs();
    if (this.#lastTurnMs < outlet.turnEndsMs) this.#pump(outlet);
    else this.#schedulePump();
    if (!this.#busy()) for (const done of [...this.#idleWaiters]) done();
  }

  #busy(): boolean {
    return this.#waiting > 0 || this.#outlets.some(({ active }) => active > 0);
  }

  #sums(): { readonly delivered: number; readonly lost: number; readonly pending: number } {
    let delivered = 0;
    let lost = 0;
    let pending = 0;
    for (const outlet of this.#outlets) {
      delivered += outlet.delivered;
      lost += outlet.failed + outlet.dropped;
      pending += outlet.waiting + outlet.active;
    }
    return { delivered, lost, pending };
  }
}

function waitingOf(delivery: Delivery, number: Numbered | undefined): Waiting {
  const isUrgent = delivery.seq === 0 || URGENT.includes(delivery.detection.priority);
  return { delivery, bytes: deliverySize(delivery), isUrgent, number };
}

/** The lane's next line may be handed over. */
function makeReady(outlet: Outlet, lane: Lane<Waiting>): void {
  if (lane.length > 0) outlet.ready.push(lane);
  else outlet.lanes.delete(lane.key);
}

/** A container that has nothing waiting may have one of any size. */
function isFull(
  { waitingBytes }: Outlet,
  lane: Lane<Waiting> | undefined,
  { bytes, delivery, isUrgent }: Waiting,
): boolean {
  const laneBytes = lane?.bytes ?? 0;
  if (laneBytes + bytes <= MAX_WAITING_BYTES - waitingBytes) return false;
  if (!isUrgent) return true;
  const beyond = waitingBytes + bytes - MAX_WAITING_BYTES;
  if (delivery.seq === 0) return beyond > RESERVED_FOR_ALL_BYTES + RESERVED_BYTES;
  return beyond > RESERVED_FOR_ALL_BYTES || (lane?.urgentBytes ?? 0) + bytes > RESERVED_BYTES;
}

/** A line that the stream will not have. What the agent says of itself does not count. */
function noteLine({ losses }: Outlet, { delivery, number }: Waiting): void {
  const { container, timeNs } = delivery.detection;
  if (delivery.seq > 0) losses.note(container, timeNs, delivery.seq);
  number?.lost();
}
