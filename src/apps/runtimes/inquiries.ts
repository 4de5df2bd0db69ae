import { waitAfter } from '../../shared/backoff.ts';
import PQueue from 'p-queue';

/** Handles that are asked for with one question. */
export const MAX_BATCH = 64;
/** Limit on containers that wait for an answer; the next rescan asks for others. */
export const MAX_INQUIRIES = 4096;
/** Containers come in bursts: those within this time share a request. */
const COLLECT_MS = 5;
const CONCURRENCY = 4;
const RETRY_WAITS = { firstMs: 50, maxMs: 2_000 };

interface Inquiry {
  readonly handle: string;
  sinceMs: number;
  /** When it is to be asked next; undefined while it is being asked. */
  dueMs: number | undefined;
  attempts: number;
  /** Another container reuses the handle: the answer in flight is void. */
  renewed: boolean;
  /** Ask for it alone: a batch with it had no usable answer, and one handle may be the cause. */
  alone: boolean;
}

export interface InquiryOptions<Answer> {
  /** Asks for these; rejects when there is no answer. */
  readonly ask: (handles: readonly string[]) => Promise<Answer>;
  /** Called with the answer for each handle. True: done. False: ask again. */
  readonly onAnswer: (handle: string, answer: Answer, sinceMs: number) => boolean;
  /** A request failed. True: one of its handles may be the cause. */
  readonly onFailure: (error: unknown) => boolean;
  /** Whether it is worth asking once more. */
  readonly isWanted: (handle: string) => boolean;
  /** Monotonic ms. */
  readonly nowMs: () => number;
}

/** Counts since the start. */
export interface InquiryCounters {
  readonly questions: number;
  readonly failures: number;
  /** Dropped because MAX_INQUIRIES waited already. */
  readonly refused: number;
}

/**
 * Batches lookups: handles of the same few ms share a request. Those without an answer are retried with backoff as long
 * as they are wanted. At most 4 requests are in flight.
 */
export class Inquiries<Answer> {
  readonly #options: InquiryOptions<Answer>;
  readonly #queue = new PQueue({ concurrency: CONCURRENCY });
  readonly #inquiries = new Map<string, Inquiry>();
  readonly #counts = { questions: 0, failures: 0, refused: 0 };
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Infinity;
  #stopped = false;

  constructor(options: InquiryOptions<Answer>) {
    this.#options = options;
  }

  counters(): InquiryCounters {
    return { ...this.#counts };
  }

  /** Asks soon, also before a scheduled retry. Does nothing while a request is in flight. */
  ask(handle: string): void {
    if (this.#stopped) return;
    const known = this.#inquiries.get(handle);
    if (known !== undefined) {
      if (known.dueMs !== undefined) this.#schedule(known, COLLECT_MS);
      return;
    }
    if (this.#inquiries.size >= MAX_INQUIRIES) {
      this.#counts.refused++;
      return;
    }
    const sinceMs = this.#options.nowMs();
    const inquiry = { handle, sinceMs, dueMs: sinceMs, attempts: 0, renewed: false, alone: false };
    this.#inquiries.set(handle, inquiry);
    this.#schedule(inquiry, COLLECT_MS);
  }

  /** Another container reuses the handle: answers to earlier requests are void. */
  renew(handle: string): void {
    const known = this.#inquiries.get(handle);
    if (known?.dueMs === undefined) {
      if (known !== undefined) known.renewed = true;
      return;
    }
    this.#inquiries.delete(handle);
  }

  /** Cancels the next attempt: the answer came otherwise. */
  settle(handle: string): void {
    if (this.#inquiries.get(handle)?.dueMs !== undefined) this.#inquiries.delete(handle);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#queue.clear();
    await this.#queue.onIdle();
    this.#inquiries.clear();
  }

  #schedule(inquiry: Inquiry, inMs: number): void {
    const dueMs = this.#options.nowMs() + inMs;
    inquiry.dueMs = dueMs;
    if (this.#stopped || dueMs >= this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = dueMs;
    this.#timer = setTimeout(() => this.#flush(), Math.ceil(inMs)).unref();
  }

  #flush(): void {
    const nowMs = this.#options.nowMs();
    this.#timerAtMs = Infinity;
    let nextMs = Infinity;
    let batch: Inquiry[] = [];
    for (const inquiry of this.#inquiries.values()) {
      if (inquiry.dueMs === undefined) continue;
      // Takes along those that are due within COLLECT_MS.
      if (inquiry.dueMs > nowMs + COLLECT_MS) {
        nextMs = Math.min(nextMs, inquiry.dueMs);
        continue;
      }
      inquiry.dueMs = undefined;
      if (inquiry.alone) {
        this.#send([inquiry]);
        continue;
      }
      batch.push(inquiry);
      if (batch.length < MAX_BATCH) continue;
      this.#send(batch);
      batch = [];
    }
    if (batch.length > 0) this.#send(batch);
    if (nextMs === Infinity) return;
    this.#timerAtMs = nextMs;
    this.#timer = setTimeout(() => this.#flush(), Math.ceil(nextMs - nowMs)).unref();
  }

  #send(batch: readonly Inquiry[]): void {
    void this.#queue.add(() => this.#question(batch));
  }

  async #question(batch: readonly Inquiry[]): Promise<void> {
    this.#counts.questions++;
    let answer: Answer | undefined;
    let suspicious = false;
    // Renewed while it was queued: this request is about the new container.
    for (const inquiry of batch) inquiry.renewed = false;
    try {
      answer = await this.#options.ask(batch.map(({ handle }) => handle));
    } catch (error) {
      if (this.#stopped) return;
      this.#counts.failures++;
      suspicious = this.#options.onFailure(error);
    }
    for (const inquiry of batch) {
      if (inquiry.renewed) {
        inquiry.renewed = false;
        inquiry.attempts = 0;
        inquiry.sinceMs = this.#options.nowMs();
        this.#schedule(inquiry, COLLECT_MS);
        continue;
      }
      inquiry.alone ||= suspicious;
      const { handle, sinceMs } = inquiry;
      if (answer !== undefined && this.#options.onAnswer(handle, answer, sinceMs))
        this.#inquiries.delete(handle);
      else this.#again(inquiry);
    }
  }

  #again(inquiry: Inquiry): void {
    if (this.#stopped || !this.#options.isWanted(inquiry.handle)) {
      this.#inquiries.delete(inquiry.handle);
      return;
    }
    const waitMs = waitAfter(inquiry.attempts++, RETRY_WAITS);
    this.#schedule(inquiry, waitMs);
  }
}
