import type { Logger } from '../shared/logger.ts';
import type { AppliedOutcome, ProcessId } from './response.ts';

/** A second: by then the detection's line is in the container's log, which takes none once the container has ended. */
export const END_DELAY_MS = 1000;

/** Containers that are to end in a moment. At most as many as the limits of responses allow. */
export class DelayedEnds {
  readonly #end: (process: ProcessId) => AppliedOutcome;
  readonly #logger: Logger;
  readonly #waiting = new Map<NodeJS.Timeout, ProcessId>();

  constructor(end: (process: ProcessId) => AppliedOutcome, logger: Logger) {
    this.#end = end;
    this.#logger = logger;
  }

  /** Ends the process, and with it its container, after END_DELAY_MS. */
  add(process: ProcessId): void {
    const timer = setTimeout(() => this.#run(timer), END_DELAY_MS);
    this.#waiting.set(timer, process);
  }

  /** The agent ends: what waits is done now. */
  stop(): void {
    for (const timer of [...this.#waiting.keys()]) this.#run(timer);
  }

  #run(timer: NodeJS.Timeout): void {
    clearTimeout(timer);
    const process = this.#waiting.get(timer);
    this.#waiting.delete(timer);
    if (process === undefined || this.#end(process) !== 'refused') return;
    this.#logger.error(
      { pid: process.pid },
      'a container was to end for a restart, and the host did not let the agent (it needs root or CAP_KILL)',
    );
  }
}
