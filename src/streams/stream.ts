import type { Detection } from '../rules/detection.ts';
import type { SpooledCounters } from './spool/spooled-stream.ts';

/** A detection on its way out: numbered, and named for the operator and the tenant alike. */
export interface Delivery {
  readonly detection: Detection;
  /** Unique per detection: ULID-like, sortable by time. */
  readonly id: string;
  /**
   * Running number from 1, per app instance on this host (per container where the runtime knows no instance),
   * which is what one log holds: a gap in a log means a lost line. It goes on with the next agent (numbering.ts). 0: not numbered, what the agent says of itself.
   */
  readonly seq: number;
  readonly hostname: string;
}

/** Counters of a stream, for metrics and `varvel status`. Monotonic. */
export interface StreamCounters {
  readonly delivered: number;
  readonly failed: number;
  readonly dropped: number;
}

/** One place where detections go. */
export interface LogStream {
  readonly name: string;
  /** Who reads it. What has no container yet never goes to a tenant. */
  readonly audience: 'tenant' | 'operator';
  /** Whether this detection belongs here at all (say, a Docker container's log for a Docker container). */
  accepts(delivery: Delivery): boolean;
  /**
   * How many deliveries it takes now before the first is done, of one container or several; it writes them in the order in
   * which they came. Never 0 when none is under way. Undefined: one of each container.
   */
  readonly maxUnderWay?: number;
  /**
   * Delivers one detection. Resolves true once the line is written (to the kernel, not to a disk), false
   * when this stream cannot take it now (counted inside). Never rejects for what a container can cause.
   */
  deliver(delivery: Delivery): Promise<boolean>;
  counters(): StreamCounters | SpooledCounters;
  /** Ends what is under way (each such delivery resolves) and releases everything. */
  close(): Promise<void>;
}
