import type { Detection } from '../rules/detection.ts';
import type { SpooledCounters } from './spool/spooled-stream.ts';

/** A detection on its way out: numbered, and named for the operator and the tenant alike. */
export interface Delivery {
  readonly detection: Detection;
  /** Unique per detection: sortable by time. */
  readonly id: string;
  /**
   * Running number from 1, per app instance on this host (per container if the runtime knows no instance). That is the unit of
   * one log, so a gap means a lost line. The next agent continues it (numbering.ts). 0: not numbered, the agent's own notices.
   */
  readonly seq: number;
  readonly hostname: string;
}

/** Counters of a stream without a spool, for metrics and `varvel status`. Monotonic. */
export interface StreamCounters {
  readonly delivered: number;
  readonly failed: number;
  readonly dropped: number;
}

/** In the order in which they are shown. */
export const RESULTS = ['delivered', 'spooled', 'sent', 'refused', 'failed', 'dropped'] as const;

/**
 * What became of a stream's lines since the agent's start. A stream without a spool has `delivered`; one with a spool has
 * `spooled`, `sent` and `refused` instead. These two also count lines that an earlier agent left, and the stream's own loss
 * notices, so they can be more than `spooled`.
 */
export interface StreamResults extends Readonly<Partial<Record<(typeof RESULTS)[number], number>>> {
  /** Taken by the spool. The receiver may not have it yet. */
  readonly spooled?: number;
  /** Taken by the receiver. */
  readonly sent?: number;
  /** The receiver will never take it. */
  readonly refused?: number;
  /** The stream could not take it, or its spool had no room. */
  readonly failed: number;
  /** Given up before the stream had it, as too many were waiting, or later in its spool. */
  readonly dropped: number;
  /** Of now: in the agent's memory, on their way to the stream. */
  readonly waiting: number;
}

/** Lines that are missing where the stream goes. */
export const missingOf = ({ refused = 0, failed, dropped }: StreamResults): number =>
  refused + failed + dropped;

/** One place where detections go. */
export interface LogStream {
  readonly name: string;
  /** Who reads it. What has no container yet never goes to a tenant. */
  readonly audience: 'tenant' | 'operator';
  /** Whether this detection belongs here at all (say, a Docker container's log for a Docker container). */
  accepts(delivery: Delivery): boolean;
  /**
   * How many deliveries it accepts before the first is done, of any containers; it writes them in order of arrival. Never 0
   * when none is under way. Undefined: one per container.
   */
  readonly maxUnderWay?: number;
  /**
   * Delivers one detection. Resolves true once the line is written (to the kernel, not to a disk). Resolves false if the stream
   * cannot take it now; the stream counts it. Never rejects for anything that a container can cause.
   */
  deliver(delivery: Delivery): Promise<boolean>;
  counters(): StreamCounters | SpooledCounters;
  /** Ends what is under way (each such delivery resolves) and releases everything. */
  close(): Promise<void>;
}
