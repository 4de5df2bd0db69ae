import type { Priority } from '../rules/detection.ts';
import type { Logger } from '../shared/logger.ts';
import { deliverySize } from './delivery-size.ts';
import { HOST } from './instance-key.ts';
import { Lane } from './lane.ts';
import { Losses } from './losses.ts';
import type { Lost } from './notices.ts';
import type { Numbered } from './numbering/numbered.ts';
import type { Delivery, LogStream, StreamResults } from './stream.ts';

/**
 * Queue limit of one stream, for all containers together, so that a slow stream takes no room from the others. The rings' full
 * content can arrive at once: this is some 40,000 deliveries of ordinary size. One container may use as much as it leaves free:
 * alone, half of it. Each flooding container leaves room for the next, but less the more of them there are.
 */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** Reserve for Critical and above: per container, and for all together. A flood of other lines cannot use it. */
const URGENT_BYTES = 2 * 1024 * 1024;
const URGENT_BYTES_OF_ALL = 8 * 1024 * 1024;
/** Reserve beyond both, for the agent's own notices. */
const NOTICE_BYTES = 2 * 1024 * 1024;
const URGENT: readonly Priority[] = ['Emergency', 'Alert', 'Critical'];
/** Concurrent deliveries of one stream, one per container: so many blocked logs do not delay the next container. */
const MAX_ACTIVE_LANES = 128;

/** A delivery, and who is to know what becomes of it. */
export interface Waiting {
  readonly delivery: Delivery;
  readonly bytes: number;
  readonly isUrgent: boolean;
  readonly number: Numbered | undefined;
  /** The losses that this notice reports: cleared when the stream has taken it, else reported again. */
  readonly lost: Lost | undefined;
}

/** Of a delivery that waits: its size and its rank. */
export function waitingOf(
  delivery: Delivery,
  { number, lost }: { readonly number?: Numbered | undefined; readonly lost?: Lost } = {},
): Waiting {
  const isUrgent = delivery.seq === 0 || URGENT.includes(delivery.detection.priority);
  return { delivery, bytes: deliverySize(delivery), isUrgent, number, lost };
}

/** What became of the deliveries to one stream, as far as the stream. */
export interface StreamTotals {
  /** The stream has taken it, a spool too. */
  readonly delivered: number;
  /** The stream could not take it. */
  readonly failed: number;
  /** It never came to the stream: too many were waiting. */
  readonly dropped: number;
  readonly waiting: number;
}

export interface OutletOptions {
  readonly logger: Logger;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  /** The stream has taken a delivery. */
  readonly onDelivered: (delivery: Delivery, stream: LogStream) => void;
  /** A delivery never came to the stream, or was given up. */
  readonly onDropped: (app: string) => void;
  /** The stream is done with a delivery, and the outlet has used its turn to start more. */
  readonly onHanded: () => void;
}

/**
 * The queue of one stream in the fan-out, by container. For one container, order is kept: the next line is delivered when the
 * previous one is done, unless the stream keeps the order itself. Beyond the limits the newest lines are dropped.
 */
export class Outlet {
  readonly stream: LogStream;
  readonly losses = new Losses();
  readonly #options: OutletOptions;
  readonly #lanes = new Map<string, Lane<Waiting>>();
  /** Lanes that have something to deliver and wait for their turn. */
  readonly #ready: Lane<Waiting>[] = [];
  #active = 0;
  /** End of the current turn; the rest of the time belongs to the other streams. */
  #turnEndsMs = 0;
  #delivered = 0;
  #failed = 0;
  #dropped = 0;
  #waiting = 0;
  #waitingBytes = 0;
  #lossNotices = 0;
  #closed = false;

  constructor(stream: LogStream, options: OutletOptions) {
    this.stream = stream;
    this.#options = options;
  }

  /** Something waits, or is with the stream. */
  get isBusy(): boolean {
    return this.#waiting > 0 || this.#active > 0;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Lanes wait for a turn: also such whose lines were all given up, which are put away then. */
  get wantsTurn(): boolean {
    return this.#ready.length > 0;
  }

  /** All losses so far were reported, or are no longer remembered. */
  get hasTold(): boolean {
    return this.losses.size === 0 && this.#lossNotices === 0;
  }

  totals(): StreamTotals {
    return {
      delivered: this.#delivered,
      failed: this.#failed,
      dropped: this.#dropped,
      waiting: this.#waiting + this.#active,
    };
  }

  /** The same, and what became of it behind a spool. */
  results(): StreamResults {
    const totals = this.totals();
    const counters = this.stream.counters();
    if (!('spool' in counters)) return totals;
    const { delivered: spooled, failed, dropped, waiting } = totals;
    const { sent, refused, spool } = counters;
    const lost = dropped + spool.dropped + spool.givenUp;
    return { spooled, sent, refused, failed, dropped: lost, waiting };
  }

  /** Takes a delivery that this stream is to have; drops and counts it where there is no room. */
  enqueue(waiting: Waiting): void {
    const { delivery, lost } = waiting;
    const { container } = delivery.detection;
    if (container?.app === undefined && this.stream.audience === 'tenant') return;
    if (!this.stream.accepts(delivery)) return;
    waiting.number?.enqueued();
    const key = container?.fullId ?? HOST;
    let lane = this.#lanes.get(key);
    if (this.#closed || this.#isFull(lane, waiting)) {
      // A loss notice is sent again later, so it does not count as dropped here.
      if (lost === undefined) this.#drop(waiting);
      this.#noteLost(waiting);
      return;
    }
    if (lane === undefined) {
      lane = new Lane(key);
      this.#lanes.set(key, lane);
      this.#ready.push(lane);
    }
    lane.push(waiting);
    if (lost !== undefined) this.#lossNotices++;
    this.#waiting++;
    this.#waitingBytes += waiting.bytes;
  }

  /** Delivers lines until `endsMs`; up to MAX_ACTIVE_LANES are started in any case. */
  turn(endsMs: number): void {
    this.#turnEndsMs = endsMs;
    this.#pump();
  }

  /** Drops the queued deliveries that `fits` accepts, and records them as lost. Returns how many. */
  giveUp(fits: (delivery: Delivery) => boolean): number {
    let count = 0;
    for (const lane of this.#lanes.values()) {
      const given = lane.takeWhere(({ delivery }) => fits(delivery));
      for (const waiting of given) {
        this.#leave(waiting);
        this.#drop(waiting);
        this.#noteLost(waiting);
      }
      count += given.length;
    }
    return count;
  }

  /** Takes nothing from now on, and closes the stream. What still waits counts as dropped. */
  close(): Promise<void> {
    this.#closed = true;
    for (const lane of this.#lanes.values()) lane.takeWhere(() => true);
    this.#ready.length = 0;
    this.#dropped += this.#waiting;
    this.#waiting = 0;
    this.#waitingBytes = 0;
    return this.stream.close();
  }

  #pump(): void {
    while (this.#active < (this.stream.maxUnderWay ?? MAX_ACTIVE_LANES)) {
      // Beyond this many, the turn's end applies: deliveries under way finish in a later turn.
      if (this.#active >= MAX_ACTIVE_LANES && this.#options.nowMs() >= this.#turnEndsMs) break;
      const lane = this.#ready.shift();
      if (lane === undefined) break;
      const waiting = lane.shift();
      if (waiting === undefined) {
        // Its lines were given up.
        this.#lanes.delete(lane.key);
        continue;
      }
      this.#leave(waiting);
      this.#active++;
      void this.#hand(lane, waiting);
    }
  }

  /** A lane is in `ready` or here, never in both, unless the stream keeps the order itself. */
  async #hand(lane: Lane<Waiting>, waiting: Waiting): Promise<void> {
    const { delivery, number } = waiting;
    const { stream } = this;
    const takesMore = stream.maxUnderWay !== undefined;
    let taken = false;
    try {
      const taking = stream.deliver(delivery);
      if (takesMore) this.#makeReady(lane);
      taken = await taking;
      if (taken) this.#options.onDelivered(delivery, stream);
    } catch (error) {
      this.#options.logger.error(
        { stream: stream.name, error },
        `The ${stream.name} stream failed unexpectedly; the detection ${delivery.id} may be missing there. This is a defect of varvel, please report it.`,
      );
    }
    if (waiting.lost !== undefined) this.#lossNotices--;
    if (taken) {
      this.#delivered++;
      number?.written();
    } else {
      this.#failed++;
      this.#noteLost(waiting);
    }
    this.#active--;
    if (!takesMore) this.#makeReady(lane);
    // A stream that takes a line at once gets the next one in the same turn.
    if (this.#options.nowMs() < this.#turnEndsMs) this.#pump();
    this.#options.onHanded();
  }

  /** The lane's next line may be handed over. */
  #makeReady(lane: Lane<Waiting>): void {
    if (lane.length > 0) this.#ready.push(lane);
    else this.#lanes.delete(lane.key);
  }

  #leave({ bytes }: Waiting): void {
    this.#waiting--;
    this.#waitingBytes -= bytes;
  }

  #drop({ delivery: { detection } }: Waiting): void {
    this.#dropped++;
    this.#options.onDropped(detection.container?.app?.name ?? HOST);
  }

  /** Records a line as lost. Notices do not count, but the losses that a notice was to report are kept for the next one. */
  #noteLost({ delivery, number, lost }: Waiting): void {
    const { container, timeNs } = delivery.detection;
    if (delivery.seq > 0) this.losses.note(container, timeNs, delivery.seq);
    if (lost !== undefined) this.losses.add(lost);
    number?.lost();
  }

  #isFull(lane: Lane<Waiting> | undefined, { bytes, delivery, isUrgent }: Waiting): boolean {
    const laneBytes = lane?.bytes ?? 0;
    if (laneBytes + bytes <= MAX_WAITING_BYTES - this.#waitingBytes) return false;
    if (!isUrgent) return true;
    const beyond = this.#waitingBytes + bytes - MAX_WAITING_BYTES;
    if (delivery.seq === 0) return beyond > URGENT_BYTES_OF_ALL + NOTICE_BYTES;
    return beyond > URGENT_BYTES_OF_ALL || (lane?.urgentBytes ?? 0) + bytes > URGENT_BYTES;
  }
}
