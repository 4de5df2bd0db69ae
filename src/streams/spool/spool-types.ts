import type { Logger } from '../../shared/logger.ts';
import type { Destination } from '../receiver.ts';

export interface SpoolOptions {
  /** Made if it is not there, with mode 0700; its parent must exist or be makeable. */
  readonly folder: string;
  /** Bound on the files together, settled records that are not removed yet included. */
  readonly maxBytes: number;
  /** Of one file; at most a 32nd of `maxBytes`. Default 4 MiB. */
  readonly segmentBytes?: number;
  /** Bound on what waits in memory while the disk takes nothing; at most `maxBytes`. Default 8 MiB. */
  readonly memoryBytes?: number;
  /** For whom records wait. Undefined: for whoever takes them. */
  readonly destination?: Destination | undefined;
  /** What becomes of records that wait for another destination than this one. Default: `keep`, they go to this one. */
  readonly onUrlChange?: 'keep' | 'drop' | undefined;
  /** Told of each record that is dropped. One that cannot be read is counted only. */
  readonly onDropped?: (payload: Buffer) => void;
  readonly logger?: Logger;
  /** The disk does not take records any more, or (without an error) takes them again. */
  readonly onTrouble?: (error: unknown) => void;
  /** Monotonic ms; default performance.now. */
  readonly nowMs?: () => number;
}

/** A record that waits. */
export interface SpoolItem {
  readonly lane: string;
  readonly payload: Buffer;
}

/** Counters of a spool; `waiting`, `bytes` and `inMemory` of now, the others monotonic. */
export interface SpoolCounters {
  readonly waiting: number;
  /** Of the files. */
  readonly bytes: number;
  /** The bound on `bytes`. */
  readonly maxBytes: number;
  /** Left by an earlier process. */
  readonly recovered: number;
  /** Could not be read back: a write that was cut off, or a damaged file. Bytes. */
  readonly unreadBytes: number;
  /** Records that did not fit: into the spool or, when the disk took nothing, into memory. */
  readonly refused: number;
  /** Records that were taken and made room for another lane's later. */
  readonly dropped: number;
  /** Records that waited for another destination and were dropped for that. */
  readonly givenUp: number;
  /** What waited for another destination when this process began; absent when nothing did. */
  readonly former?: {
    /** Where, for people. */
    readonly where: string;
    readonly records: number;
    /** They go to the destination of now. */
    readonly kept: boolean;
  };
  /** Of `waiting`: in memory, because the disk takes nothing. They are lost when the agent ends. */
  readonly inMemory: number;
  /** Files that could not be read and were set aside, as `NAME.damaged`. */
  readonly setAside: number;
}
