/** A reading of both clocks serves spans that begin within so long of it. */
const FRESH_MS = 2;
/** Spans below this are taken as they are: to ask for CPU time costs 1 us. */
const LONG_MS = 0.5;

/** Clocks in ms: one that goes on while the thread waits for a CPU, and one of the CPU time that it had. */
export interface Clocks {
  readonly nowMs: () => number;
  readonly cpuMs: () => number;
}

/** Clocks that need no addon. The CPU time is that of all threads, so a wait may be counted as work. */
export const PROCESS_CLOCKS: Clocks = {
  nowMs: () => performance.now(),
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
};

/**
 * Measures spans of synchronous code cheaply, without the CPU time that other processes took: on a busy host no app is charged
 * for others. A short span costs one reading of the wall clock. For a long one, time off the CPU is subtracted. That is
 * measured over up to 2 ms more than the span, so the result may be too low by as much.
 */
export class CpuClock {
  readonly #clocks: Clocks;
  /** A reading of both clocks, at most 2 ms before the span began. */
  #wallMs = -Infinity;
  #cpuMs = 0;
  #lastMs = 0;

  constructor(clocks: Clocks = PROCESS_CLOCKS) {
    this.#clocks = clocks;
  }

  /** Wall ms, of the last call of any. */
  get nowMs(): number {
    return this.#lastMs;
  }

  /** Wall ms, now. */
  now(): number {
    return this.#clocks.nowMs();
  }

  /** Begins a span. */
  start(): void {
    this.#lastMs = this.#clocks.nowMs();
    if (this.#lastMs - this.#wallMs > FRESH_MS) this.#read(this.#clocks.cpuMs());
  }

  /** CPU ms since `start`, or since the last lap. */
  lap(): number {
    const nowMs = this.#clocks.nowMs();
    const spanMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    if (spanMs < LONG_MS) return spanMs;
    const cpuMs = this.#clocks.cpuMs();
    const waitedMs = nowMs - this.#wallMs - (cpuMs - this.#cpuMs);
    this.#read(cpuMs);
    return Math.min(spanMs, Math.max(0, spanMs - waitedMs));
  }

  #read(cpuMs: number): void {
    this.#wallMs = this.#lastMs;
    this.#cpuMs = cpuMs;
  }
}
