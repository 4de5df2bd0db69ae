import type { Detection } from '../rules/detection.ts';

/** A detection on its way out: numbered, and named for the operator and the tenant alike. */
export interface Delivery {
  readonly detection: Detection;
  /** Unique per detection: ULID-like, sortable by time. */
  readonly id: string;
  /** Running number per app (from 1): a gap means a lost line. */
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
  /**
   * Delivers one detection. Resolves true once the line is written (to the kernel, not to a disk), false
   * when this stream cannot take it now (counted inside). Never rejects for what a container can cause.
   */
  deliver(delivery: Delivery): Promise<boolean>;
  counters(): StreamCounters;
  close(): Promise<void>;
}
