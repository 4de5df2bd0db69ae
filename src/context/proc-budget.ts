import { startTicksOf, type ProcReader, type ProcSnapshot, type ProcStat } from './proc-reader.ts';

/** Reads of /proc between two ticks; past it, a process is known by what its event says. */
const READS_PER_TICK = 500;

/** Counts since the start. */
export interface ProcBudgetCounters {
  /** Reads of /proc, and those not made because of the bound per tick. */
  readonly procReads: number;
  readonly procReadsRefused: number;
}

/** /proc, for what has to be read while events wait: at most 500 reads between two ticks. */
export class ProcBudget {
  readonly reader: ProcReader;
  #left = READS_PER_TICK;
  #reads = 0;
  #refused = 0;

  constructor(reader: ProcReader) {
    this.reader = reader;
  }

  counters(): ProcBudgetCounters {
    return { procReads: this.#reads, procReadsRefused: this.#refused };
  }

  /** To be called about once a second. */
  renew(): void {
    this.#left = READS_PER_TICK;
  }

  /** Takes one read; false when there is none left. */
  take(): boolean {
    if (this.#left === 0) {
      this.#refused++;
      return false;
    }
    this.#left--;
    this.#reads++;
    return true;
  }

  /** The process with this pid and start, if it is still there and may be read. */
  read(pid: number, startBootNs: bigint): ProcSnapshot | undefined {
    return this.take() ? this.reader.read(pid, startTicksOf(startBootNs)) : undefined;
  }

  stat(pid: number): ProcStat | undefined {
    return this.take() ? this.reader.stat(pid) : undefined;
  }
}
