import type { AppIdentity } from '../apps/identity.ts';
import type { Priority } from '../rules/detection.ts';
import type { Delivery } from './stream.ts';

/**
 * A line for a receiver elsewhere, complete in itself: it can wait on a disk, and outlive the agent that wrote it.
 */
export interface OutgoingLine {
  /** Unique per line. A receiver that gets a line twice, as after a crash, gets the same id twice. */
  readonly id: string;
  /** As of `Delivery`. */
  readonly seq: number;
  /** Unix ns of what happened. */
  readonly timeNs: bigint;
  readonly priority: Priority;
  readonly rule: string;
  readonly hostname: string;
  /** The whole line as `formatLine` made it: escaped, without a newline, at most MAX_LINE_BYTES bytes. */
  readonly text: string;
  /** Undefined for what has no app: operators' receivers only. */
  readonly app: AppIdentity | undefined;
}

/** What became of a batch: the first `taken` lines are the receiver's now. */
export interface SendResult {
  readonly taken: number;
  /**
   * Of the line after them: `later` if it can be sent again (the receiver is down, slow or asks to wait), `refused` if
   * this one never will be. Absent when all were taken.
   */
  readonly rest?: 'later' | 'refused';
  /** With `rest`: why, as the end of a sentence for the operator. */
  readonly reason?: string;
  /** With `later`: when the receiver said it may be tried again. */
  readonly retryAfterMs?: number;
}

/** Counters of a receiver's own, for metrics and `varvel status`. Monotonic. */
export interface ReceiverCounters {
  readonly connects: number;
  readonly connectFailures: number;
}

/**
 * Something elsewhere that takes lines: a forwarder, a syslog server, a webhook. It sends what it is given and says
 * what became of it; waiting, order, retries with back-off and the spool are `SpooledStream`'s.
 */
export interface Receiver {
  readonly name: string;
  readonly audience: 'tenant' | 'operator';
  /** Lines that it takes at once. */
  readonly maxBatch: number;
  accepts(delivery: Delivery): boolean;
  /**
   * Sends lines in order, connecting first where it has to. Called again only when the call before has resolved. Never
   * rejects; resolves within 30 s.
   */
  send(lines: readonly OutgoingLine[]): Promise<SendResult>;
  counters(): ReceiverCounters;
  /** Ends what is under way and releases everything. */
  close(): Promise<void>;
}
