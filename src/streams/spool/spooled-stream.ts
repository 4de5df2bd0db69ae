import { setTimeout as delay } from 'node:timers/promises';
import type { Priority } from '../../rules/detection.ts';
import { Backoff } from '../../shared/backoff.ts';
import type { Logger } from '../../shared/logger.ts';
import { formatLine, type LineFormat } from '../format.ts';
import type { OutgoingLine, Receiver, ReceiverCounters, SendResult } from '../receiver.ts';
import { LOST_RULE } from '../notice-rules.ts';
import type { Delivery, LogStream } from '../stream.ts';
import { MAX_PAYLOAD_BYTES } from './record.ts';
import { decodeLine, encodeLine } from './outgoing.ts';
import { RefusedLines } from './refused-lines.ts';
import { Spool } from './spool.ts';
import type { SpoolCounters, SpoolOptions } from './spool-types.ts';

const RETRY_WAITS = { firstMs: 250, maxMs: 30_000 };
/** At its end the stream tries for so long; what is left waits on the disk. */
const LAST_TRY_MS = 2_000;
const TELL_LOSSES_MS = 10_000;
const WARN_EVERY_MS = 60_000;
/** They go before others. */
const URGENT: readonly Priority[] = ['Emergency', 'Alert', 'Critical'];

export interface SpooledStreamOptions {
  /** The stream's from now on: it closes it. */
  readonly receiver: Receiver;
  /** Of the spool, which the stream opens and closes. */
  readonly spool: Omit<SpoolOptions, 'destination' | 'onDropped'>;
  readonly format: LineFormat;
  readonly logger: Logger;
  /** Lines a second; what is more waits in the spool. Default: as many as the receiver takes. */
  readonly linesPerSecond?: number;
  /** The receiver has this line now. */
  readonly onTaken?: ((line: OutgoingLine) => void) | undefined;
  /** How often what the receiver refused is told. Default 10 s. */
  readonly tellLossesMs?: number;
}

/** Counters of a spooled stream. Monotonic, but for what `spool` says of now. */
export interface SpooledCounters {
  /** Lines that the receiver has taken, also those of an earlier agent and loss notices. */
  readonly sent: number;
  /** Lines that it will never take, including loss notices, which are not repeated. */
  readonly refused: number;
  readonly spool: SpoolCounters & {
    /** Unix ms of what happened that the longest waiting line tells of. */
    readonly oldestMs?: number;
  };
  readonly receiver: ReceiverCounters;
  readonly retries: number;
  /** The receiver takes nothing: since when (Unix ms), and why at the last try; absent while it takes all. */
  readonly down?: { readonly sinceMs: number; readonly reason: string };
}

/**
 * A remote receiver as a log stream. A line is written to the spool before it is sent, and stays there until the receiver has
 * it. If the receiver is down, it is retried with backoff (250 ms to 30 s, with jitter). `deliver` is true once the line is in
 * the spool. Lines that the receiver refuses, that a full spool drops for other apps, or that are dropped since they waited for
 * another url, are missing there. A notice reports them to their app, by the next agent if necessary; only a kill within 10 s
 * leaves them to this agent's counters.
 */
export class SpooledStream implements LogStream {
  readonly name: string;
  readonly audience: 'tenant' | 'operator';
  readonly #options: SpooledStreamOptions;
  readonly #spool: Spool;
  readonly #sending: Promise<void>;
  readonly #closed = new AbortController();
  #wake: (() => void) | undefined;
  #sent = 0;
  #refused = 0;
  #retries = 0;
  readonly #backoff = new Backoff(RETRY_WAITS);
  #down: SpooledCounters['down'];
  #warnedAtMs = -Infinity;
  readonly #missing = new RefusedLines();
  #tellTimer: NodeJS.Timeout | undefined;

  /** Throws UserError for a spool that cannot be used: the receiver stays the caller's then. */
  constructor(options: SpooledStreamOptions) {
    this.#options = options;
    const { name, audience, destination } = options.receiver;
    this.name = name;
    this.audience = audience;
    const onDropped = (payload: Buffer): void => this.#noteDropped(payload);
    this.#spool = Spool.open({ ...options.spool, destination, onDropped });
    this.#sending = this.#send();
  }

  accepts(delivery: Delivery): boolean {
    return this.#options.receiver.accepts(delivery);
  }

  deliver(delivery: Delivery): Promise<boolean> {
    const taken = !this.#closed.signal.aborted && this.#append(delivery);
    // The fan-out counts and reports lines that are refused here, but not refused loss notices.
    if (!taken && tellsOfLosses(delivery)) {
      this.#missing.again(delivery);
      this.#tellSoon();
    }
    return Promise.resolve(taken);
  }

  #append(delivery: Delivery): boolean {
    const { detection, id, seq, hostname } = delivery;
    const { container, incident, priority, rule, timeNs } = detection;
    const line: OutgoingLine = {
      id,
      seq,
      timeNs,
      priority,
      rule,
      incident,
      hostname,
      app: container?.app,
      facts: this.#options.receiver.factsOf?.(delivery),
      text: formatLine(delivery, { format: this.#options.format }),
    };
    // Loss notices go first, may use the reserved space, and are never dropped.
    const kept = tellsOfLosses(delivery);
    const label = { lane: laneOf(delivery), urgent: kept || URGENT.includes(priority), kept };
    const taken = this.#spool.append(label, payloadOf(line));
    if (taken) this.#wake?.();
    return taken;
  }

  counters(): SpooledCounters {
    const payload = this.#spool.oldest();
    const oldest = payload === undefined ? undefined : decodeLine(payload);
    return {
      sent: this.#sent,
      refused: this.#refused,
      retries: this.#retries,
      ...(this.#down === undefined ? {} : { down: this.#down }),
      spool: {
        ...this.#spool.counters(),
        ...(oldest === undefined ? {} : { oldestMs: Number(oldest.timeNs / 1_000_000n) }),
      },
      receiver: this.#options.receiver.counters(),
    };
  }

  async close(): Promise<void> {
    this.#tellMissing();
    this.#closed.abort();
    this.#wake?.();
    // A receiver that does not answer is disconnected.
    await Promise.race([this.#sending, delay(LAST_TRY_MS, undefined, { ref: false })]);
    await this.#options.receiver.close();
    await this.#sending;
    this.#tellMissing();
    clearTimeout(this.#tellTimer);
    this.#spool.close();
  }

  async #send(): Promise<void> {
    const { receiver } = this.#options;
    const spool = this.#spool;
    let lastTryUntilMs: number | undefined;
    for (;;) {
      if (this.#closed.signal.aborted) {
        lastTryUntilMs ??= performance.now() + LAST_TRY_MS;
        if (performance.now() >= lastTryUntilMs) return;
      }
      const items = spool.peek(receiver.maxBatch);
      if (items.length === 0) {
        if (this.#closed.signal.aborted) return;
        await new Promise<void>((resolve) => (this.#wake = resolve));
        this.#wake = undefined;
        continue;
      }
      const lines = items.map(({ payload }) => decodeLine(payload));
      const unreadable = lines.findIndex((line) => line === undefined);
      if (unreadable === 0) {
        this.#settleRefused('another version of the agent wrote it');
        continue;
      }
      const batch = unreadable < 0 ? lines : lines.slice(0, unreadable);
      const startedMs = performance.now();
      const result = await receiver.send(batch.filter((line) => line !== undefined));
      const refused = result.rest === 'refused' ? batch[result.taken] : undefined;
      if (refused !== undefined) this.#noteMissing(refused);
      const sure = this.#settleRejected(result, batch);
      if (this.#options.onTaken !== undefined) {
        for (const line of batch.slice(0, sure)) if (line) this.#options.onTaken(line);
      }
      await this.#settle(result);
      if (result.rest === 'later' && this.#closed.signal.aborted) return;
      await this.#pace(result.taken, performance.now() - startedMs);
    }
  }

  async #settle(result: SendResult): Promise<void> {
    const { taken, rest, reason = '', retryAfterMs } = result;
    if (taken > 0) {
      this.#spool.settle(taken);
      this.#sent += taken - (result.rejected?.count ?? 0);
      this.#backoff.reset();
      // It is slow, not down.
      if (this.#down !== undefined) this.#down = { ...this.#down, sinceMs: Date.now() };
    }
    if (rest === undefined) this.#noteUp();
    if (rest === 'refused') {
      this.#noteUp();
      this.#settleRefused(reason);
    }
    if (rest !== 'later') return;
    this.#noteDown(reason);
    this.#retries++;
    const ownMs = this.#backoff.nextMs();
    await this.#rest(Math.min(retryAfterMs ?? ownMs, RETRY_WAITS.maxMs));
  }

  /** Counts and notes what was rejected of a batch. Returns how many of its lines the receiver has for sure. */
  #settleRejected(
    { taken, rejected }: SendResult,
    batch: readonly (OutgoingLine | undefined)[],
  ): number {
    if (rejected === undefined) return taken;
    const { count, of, reason } = rejected;
    const sure = taken - of;
    this.#refused += count;
    this.#missing.noteSome(
      batch.slice(sure, taken).filter((line) => line !== undefined),
      count,
    );
    this.#tellSoon();
    this.#warn(
      { refused: this.#refused },
      `The ${this.name} stream's receiver rejected ${count} of ${of} lines, which are lost there: ${reason}.`,
    );
    return sure;
  }

  #settleRefused(reason: string): void {
    this.#spool.settle(1);
    this.#refused++;
    this.#warn(
      { refused: this.#refused },
      `The ${this.name} stream's receiver refused a line, which is lost there: ${reason}.`,
    );
  }

  #noteMissing(line: OutgoingLine): void {
    this.#missing.note(line);
    this.#tellSoon();
  }

  /** The spool has given the line up: it is lost, and a notice tells its app. */
  #noteDropped(payload: Buffer): void {
    const line = decodeLine(payload);
    if (line !== undefined) this.#noteMissing(line);
  }

  #tellSoon(): void {
    if (this.#closed.signal.aborted) return;
    this.#tellTimer ??= setTimeout(
      () => this.#tellMissing(),
      this.#options.tellLossesMs ?? TELL_LOSSES_MS,
    );
  }

  /** Notices that do not fit into the spool now are retried later. */
  #tellMissing(): void {
    clearTimeout(this.#tellTimer);
    this.#tellTimer = undefined;
    const all = this.#missing.tell(this.name, (notice) => this.#append(notice));
    if (!all) this.#tellSoon();
  }

  /** Not faster than asked for. */
  async #pace(lines: number, tookMs: number): Promise<void> {
    const { linesPerSecond } = this.#options;
    if (linesPerSecond === undefined) return;
    await this.#rest((lines * 1000) / linesPerSecond - tookMs);
  }

  /** Waits; not at all once the stream is being closed. */
  async #rest(ms: number): Promise<void> {
    const { signal } = this.#closed;
    if (ms < 1 || signal.aborted) return;
    await delay(ms, undefined, { signal }).catch(() => undefined);
  }

  #noteDown(reason: string): void {
    this.#down = { sinceMs: this.#down?.sinceMs ?? Date.now(), reason };
    const { waiting, bytes } = this.#spool.counters();
    this.#warn(
      { waiting, bytes },
      `The ${this.name} stream's receiver takes nothing now: ${reason}. Lines wait in the spool and are sent in order once it takes them again.`,
    );
  }

  #noteUp(): void {
    if (this.#down === undefined) return;
    this.#down = undefined;
    this.#warnedAtMs = -Infinity;
    this.#options.logger.info({}, `The ${this.name} stream's receiver takes lines again.`);
  }

  #warn(facts: object, sentence: string): void {
    const nowMs = performance.now();
    if (nowMs - this.#warnedAtMs < WARN_EVERY_MS) return;
    this.#warnedAtMs = nowMs;
    this.#options.logger.warn(facts, sentence);
  }
}

/** What the platform says of the app is bounded where it is read; a line comes before it. */
function payloadOf(line: OutgoingLine): Buffer {
  const payload = encodeLine(line);
  if (payload.length <= MAX_PAYLOAD_BYTES || line.app === undefined) return payload;
  return encodeLine({ ...line, app: { ...line.app, tags: {} } });
}

/** A policy may have a rule of that name, but not the source. */
const tellsOfLosses = ({ detection: { rule, source } }: Delivery): boolean =>
  rule === LOST_RULE && source === 'varvel';

/** An app's instances share a turn; what has no app has one per container, what has no container one of its own. */
function laneOf({ detection: { container } }: Delivery): string {
  if (container === undefined) return '';
  if (container.app === undefined) return container.fullId.slice(0, 256);
  const { guid, org, space, name } = container.app;
  return (guid ?? JSON.stringify([org, space, name])).slice(0, 256);
}
