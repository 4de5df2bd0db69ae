import type { Logger } from '../../shared/logger.ts';
import { RecentMap } from '../../shared/recent-map.ts';

const EVERY_MS = 60_000;
/** Limit on containers whose doubt was noted; past it, one may be logged again. */
const MAX_DOUBTFUL = 1024;

type Kind = 'failed' | 'doubtful' | 'oversized';

/**
 * Logs a runtime's problems: at most one line a minute each for failed requests, doubtful identities and oversized
 * descriptions. Each line has the number of earlier ones that were not logged.
 */
export class RuntimeWarnings {
  readonly #logger: Logger;
  readonly #runtime: string;
  readonly #socket: string;
  readonly #nowMs: () => number;
  /** The last doubt of each container. */
  readonly #doubts = new RecentMap<string, string>(MAX_DOUBTFUL);
  readonly #last = { failed: -Infinity, doubtful: -Infinity, oversized: -Infinity };
  readonly #unsaid = { failed: 0, doubtful: 0, oversized: 0 };

  /** `runtime` as people know it: `Garden`. */
  constructor(
    logger: Logger,
    runtime: string,
    socket: string,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#logger = logger;
    this.#runtime = runtime;
    this.#socket = socket;
    this.#nowMs = nowMs;
  }

  /** A request failed or had no usable answer. */
  failed(reason: string): void {
    if (!this.#isDue('failed')) return;
    this.#logger.warn(
      { socket: this.#socket, reason, before: this.#said('failed') },
      `${this.#runtime} gave no usable answer; the agent asks again.`,
    );
  }

  /** Detections in this container go to the operator only; logged once for each reason. */
  doubtful(handle: string, doubt: string): void {
    if (this.#doubts.get(handle) === doubt) return;
    this.#doubts.set(handle, doubt);
    if (!this.#isDue('doubtful')) return;
    this.#logger.warn(
      { container: handle, reason: doubt, before: this.#said('doubtful') },
      'A container’s app is not certain: what is detected in it goes to the operator only.',
    );
  }

  /** A description of this container has more than `maxBytes`; `then` ends the sentence: what is done instead. */
  oversized(container: string, maxBytes: number, then: string): void {
    if (!this.#isDue('oversized')) return;
    this.#logger.warn(
      { socket: this.#socket, container, maxBytes, before: this.#said('oversized') },
      `What ${this.#runtime} says of a container is longer than the limit, usually because of its labels: ${then}`,
    );
  }

  certain(handle: string): void {
    this.#doubts.delete(handle);
  }

  /** Drops the doubts of containers that are not among the handles. */
  forgetOthers(handles: ReadonlySet<string>): void {
    for (const handle of this.#doubts.keys()) if (!handles.has(handle)) this.#doubts.delete(handle);
  }

  #isDue(what: Kind): boolean {
    const nowMs = this.#nowMs();
    if (nowMs - this.#last[what] < EVERY_MS) {
      this.#unsaid[what]++;
      return false;
    }
    this.#last[what] = nowMs;
    return true;
  }

  #said(what: Kind): number {
    const before = this.#unsaid[what];
    this.#unsaid[what] = 0;
    return before;
  }
}
