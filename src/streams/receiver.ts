import type { AppIdentity } from '../apps/identity.ts';
import type { Priority } from '../rules/detection.ts';
import type { Delivery } from './stream.ts';

/** A self-contained line for a remote receiver: it can wait on disk and outlive the agent that wrote it. */
export interface OutgoingLine {
  /** Unique per line. A receiver that gets a line twice, as after a crash, gets the same id twice. */
  readonly id: string;
  /** As of `Delivery`. */
  readonly seq: number;
  /** Unix ns of what happened. */
  readonly timeNs: bigint;
  readonly priority: Priority;
  readonly rule: string;
  /** Of its incident; absent in what the agent says of itself. */
  readonly incident?: string | undefined;
  readonly hostname: string;
  /** The whole line as `formatLine` made it: escaped, without a newline, at most MAX_LINE_BYTES bytes. */
  readonly text: string;
  /** Undefined for what has no app: operators' receivers only. */
  readonly app: AppIdentity | undefined;
  /** What `factsOf` of its receiver told. */
  readonly facts?: Readonly<Record<string, string>> | undefined;
}

/** Where a receiver's lines go. */
export interface Destination {
  /** For people: without the path of a URL, in which webhooks have their secret. */
  readonly where: string;
  /** All of it. */
  readonly address: string;
}

/** Result of a batch: the receiver has taken the first `taken` lines. */
export interface SendResult {
  readonly taken: number;
  /**
   * What to do with the next line. `later`: retry, as the receiver is down, slow or asks to wait. `refused`: it will never be
   * taken. Absent if all were taken.
   */
  readonly rest?: 'later' | 'refused';
  /** With `rest`: why, as the end of a sentence for the operator. */
  readonly reason?: string;
  /**
   * Of the last `of` lines taken, the receiver has rejected `count`, which are lost there. It does not say which. `reason` is
   * the end of a sentence.
   */
  readonly rejected?: { readonly count: number; readonly of: number; readonly reason: string };
  /** With `later`: the delay that the receiver asked for. */
  readonly retryAfterMs?: number;
}

/** Counters of a receiver's own, for metrics and `varvel status`. Monotonic. */
export interface ReceiverCounters {
  readonly connects: number;
  readonly connectFailures: number;
}

/**
 * A remote destination of lines: a forwarder, a syslog server, a webhook. It sends what it is given and reports the result.
 * Queueing, order, retries with backoff and the spool are done by `SpooledStream`.
 */
export interface Receiver {
  readonly name: string;
  readonly audience: 'tenant' | 'operator';
  /** Undefined where the lines' readers do not depend on an address, as with the platform's own agent on this host. */
  readonly destination?: Destination;
  /** Lines that it takes at once. */
  readonly maxBatch: number;
  accepts(delivery: Delivery): boolean;
  /** What a line is to keep for it of its container, besides the app: 4 KiB at most. Absent: nothing. */
  factsOf?(delivery: Delivery): Readonly<Record<string, string>>;
  /**
   * Sends lines in order, connecting first where it has to. Called again only when the call before has resolved. Never
   * rejects; resolves within 30 s.
   */
  send(lines: readonly OutgoingLine[]): Promise<SendResult>;
  counters(): ReceiverCounters;
  /** Ends what is under way and releases everything. */
  close(): Promise<void>;
}
