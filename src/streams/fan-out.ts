import { SILENT_LOGGER, type Logger } from '../shared/logger.ts';
import type { Detection } from '../rules/detection.ts';
import { DetectionIds } from './detection-id.ts';
import { RecentMap } from './recent-map.ts';
import type { Delivery, LogStream } from './stream.ts';

/** Deliveries that wait for one stream, per container. */
const MAX_LANE = 256;
/** Deliveries that wait, all streams and containers together. */
const MAX_WAITING = 16_384;
/** Containers to which one stream delivers at the same time. */
const MAX_ACTIVE_LANES = 32;
/** App instances whose numbering, and apps whose drops, are remembered; the oldest are forgotten. */
const MAX_REMEMBERED = 10_000;

/** Lane and app of detections whose container is not known. */
const HOST = '';

/** Options of `FanOut`. */
export interface FanOutOptions {
  readonly hostname: string;
  readonly logger?: Logger;
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
  readonly streams: Readonly<Record<string, StreamTotals>>;
  /** Drops by app name, for the 10,000 apps that last had one. */
  readonly droppedPerApp: readonly (readonly [app: string, dropped: number])[];
}

interface Lane {
  readonly key: string;
  readonly queue: Delivery[];
}

/** One stream's part: its lanes, and those that have something to deliver and wait for their turn. */
interface Outlet {
  readonly stream: LogStream;
  readonly lanes: Map<string, Lane>;
  readonly ready: Lane[];
  active: number;
  delivered: number;
  failed: number;
  dropped: number;
  waiting: number;
}

/**
 * Numbers detections and hands each to every stream that accepts it. For one stream and container, order is
 * kept: the next is handed over when the one before is done. Streams and containers do not wait for each
 * other, but for a bound on how many are served at once. What comes beyond the bounds is dropped, newest
 * first, and counted per app. A detection without a container goes to operators' streams only.
 */
export class FanOut {
  readonly #outlets: readonly Outlet[];
  readonly #options: FanOutOptions;
  readonly #logger: Logger;
  readonly #ids = new DetectionIds();
  readonly #numbers = new RecentMap<string, number>(MAX_REMEMBERED);
  readonly #droppedPerApp = new RecentMap<string, number>(MAX_REMEMBERED);
  readonly #idleWaiters = new Set<() => void>();
  #detections = 0;
  #waiting = 0;
  #pumpScheduled = false;
  #closed = false;

  /** The streams stay the fan-out's: `close` closes them. Their names must differ. */
  constructor(streams: readonly LogStream[], options: FanOutOptions) {
    this.#options = options;
    this.#logger = options.logger ?? SILENT_LOGGER;
    this.#outlets = streams.map((stream) => ({
      stream,
      lanes: new Map<string, Lane>(),
      ready: [],
      active: 0,
      delivered: 0,
      failed: 0,
      dropped: 0,
      waiting: 0,
    }));
    if (new Set(streams.map(({ name }) => name)).size !== streams.length) {
      throw new Error('two log streams have the same name');
    }
  }

  /** Takes a detection and returns at once: nothing is formatted or written before the caller is done. */
  deliver(detection: Detection): void {
    this.#detections++;
    const delivery: Delivery = {
      detection,
      id: this.#ids.next(detection.timeNs),
      seq: this.#nextNumber(detection),
      hostname: this.#options.hostname,
    };
    for (const outlet of this.#outlets) this.#enqueue(outlet, delivery);
    this.#schedulePump();
  }

  /**
   * Resolves when everything taken so far is delivered or lost, at the latest after `timeoutMs`. Counts
   * deliveries (one per stream) since the call; those that still wait at the end count as lost.
   */
  async flush(timeoutMs: number): Promise<{ readonly delivered: number; readonly lost: number }> {
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
      streams: Object.fromEntries(totals),
      droppedPerApp: [...this.#droppedPerApp.entries()],
    };
  }

  /** Closes every stream. Call `flush` first: what still waits is lost, and so is what comes later. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const outlet of this.#outlets) {
      for (const lane of outlet.lanes.values()) lane.queue.length = 0;
      outlet.ready.length = 0;
      outlet.dropped += outlet.waiting;
      this.#waiting -= outlet.waiting;
      outlet.waiting = 0;
    }
    await Promise.all(this.#outlets.map(({ stream }) => stream.close()));
  }

  #nextNumber(detection: Detection): number {
    const key = instanceKey(detection);
    const number = (this.#numbers.get(key) ?? 0) + 1;
    this.#numbers.set(key, number);
    return number;
  }

  #enqueue(outlet: Outlet, delivery: Delivery): void {
    const { container } = delivery.detection;
    if (container === undefined && outlet.stream.audience === 'tenant') return;
    if (!outlet.stream.accepts(delivery)) return;
    const key = container?.fullId ?? HOST;
    let lane = outlet.lanes.get(key);
    if (this.#closed || this.#waiting >= MAX_WAITING || (lane?.queue.length ?? 0) >= MAX_LANE) {
      this.#drop(outlet, container?.app.name ?? HOST);
      return;
    }
    if (lane === undefined) {
      lane = { key, queue: [] };
      outlet.lanes.set(key, lane);
      outlet.ready.push(lane);
    }
    lane.queue.push(delivery);
    outlet.waiting++;
    this.#waiting++;
  }

  #drop(outlet: Outlet, app: string): void {
    outlet.dropped++;
    this.#droppedPerApp.set(app, (this.#droppedPerApp.get(app) ?? 0) + 1);
  }

  /** One round per turn of the event loop, so that a burst of lines never keeps the ring waiting. */
  #schedulePump(): void {
    if (this.#pumpScheduled || this.#waiting === 0) return;
    this.#pumpScheduled = true;
    setImmediate(() => {
      this.#pumpScheduled = false;
      for (const outlet of this.#outlets) this.#pump(outlet);
    });
  }

  #pump(outlet: Outlet): void {
    while (outlet.active < MAX_ACTIVE_LANES) {
      const lane = outlet.ready.shift();
      const delivery = lane?.queue.shift();
      if (lane === undefined || delivery === undefined) break;
      outlet.waiting--;
      this.#waiting--;
      outlet.active++;
      void this.#hand(outlet, lane, delivery);
    }
  }

  /** A lane is in `ready` or here, never in both: that keeps its order. */
  async #hand(outlet: Outlet, lane: Lane, delivery: Delivery): Promise<void> {
    let taken = false;
    try {
      taken = await outlet.stream.deliver(delivery);
      if (taken) this.#options.onDelivered?.(delivery, outlet.stream);
    } catch (error) {
      this.#logger.error(
        { stream: outlet.stream.name, error },
        `The ${outlet.stream.name} stream failed in a way it should not; the detection ${delivery.id} may be missing there.`,
      );
    }
    if (taken) outlet.delivered++;
    else outlet.failed++;
    outlet.active--;
    if (lane.queue.length > 0) outlet.ready.push(lane);
    else outlet.lanes.delete(lane.key);
    this.#schedulePump();
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

/** What a tenant's log holds the lines of: an instance of an app, or the container where none is known. */
function instanceKey({ container }: Detection): string {
  if (container === undefined) return HOST;
  const { guid, name, space, org, processType, instance } = container.app;
  return JSON.stringify(
    instance === undefined
      ? [container.fullId]
      : [guid ?? name, guid === undefined ? [org, space] : [], processType, instance],
  );
}
