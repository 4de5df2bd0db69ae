import type { LiveProbe } from '../probe/live.ts';
import type { Logger } from '../shared/logger.ts';

/** At most one line in this time. */
const TELL_MS = 60_000;

/**
 * Counts the events that the kernel did not report because it skipped the probe: another task had been interrupted in the same program
 * on that CPU. That happens since Linux 7.0, which preempts tracepoints, while tasks compete for a CPU. It is not known whose they were.
 */
export class SkippedPrograms {
  readonly #probe: Pick<LiveProbe, 'countSkipped'>;
  readonly #logger: Logger;
  #told = 0;
  #toldAtMs = -Infinity;

  constructor(probe: Pick<LiveProbe, 'countSkipped'>, logger: Logger) {
    this.#probe = probe;
    this.#logger = logger;
  }

  /** Call every second. */
  onTick(nowMs: number): void {
    const count = this.#probe.countSkipped();
    if (count === this.#told || nowMs - this.#toldAtMs < TELL_MS) return;
    const skipped = count - this.#told;
    this.#told = count;
    this.#toldAtMs = nowMs;
    this.#logger.warn(
      { skipped },
      'The kernel skipped the probe, so events are missing, of which apps is not known. It does so since Linux 7.0 where tasks compete for a CPU: fewer of them on this host, or more CPUs, help',
    );
  }
}
