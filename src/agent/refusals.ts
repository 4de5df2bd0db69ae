import type { LiveProbe } from '../probe/live.ts';
import { v2OfHost } from '../responses/container-cgroups.ts';
import type { Logger } from '../shared/logger.ts';
import { UserError } from '../shared/user-error.ts';

/** What could not be loaded is tried again after this time. */
const RETRY_MS = 60_000;

export interface RefusalsOptions {
  readonly probe: Pick<LiveProbe, 'denyConnects' | 'allowConnects'>;
  readonly logger: Logger;
  /** Monotonic ms; default: the process's. */
  readonly nowMs?: () => number;
  /** Where cgroup v2 is mounted; throws UserError. Default: the host's. */
  readonly directory?: () => string;
}

/** Connections that are refused for rules that deny them. What does so is loaded when that is first asked for, and stays. */
export class Refusals {
  readonly #options: RefusalsOptions;
  /** When it may be loaded: never again if that is Infinity. */
  #nextMs = -Infinity;
  #unavailable: string | undefined;

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  /**
   * Whether they can be refused here. The first call loads what does so, in some 0.1 s, and logs if it cannot; another one a minute
   * later tries again.
   */
  readonly areAvailable = (): boolean => {
    if (this.#nowMs() >= this.#nextMs) this.#load();
    return this.#unavailable === undefined;
  };

  #nowMs(): number {
    return this.#options.nowMs?.() ?? performance.now();
  }

  /** Why they cannot be; undefined: they can, or nobody has asked yet. */
  get unavailable(): string | undefined {
    return this.#unavailable;
  }

  /** They have proven not to be refused: nothing counts on it any more. */
  giveUp(why: string): void {
    this.#nextMs = Infinity;
    this.#refuseNone(why);
  }

  #refuseNone(why: string): void {
    const isNews = this.#unavailable !== why;
    this.#unavailable = why;
    this.#options.probe.allowConnects();
    if (!isNews) return;
    this.#options.logger.warn(
      { why },
      'connections cannot be refused on this host: a process whose connection a rule denies is killed after it has connected. Programs are not affected',
    );
  }

  #load(): void {
    const { probe, directory = () => v2OfHost().mountPoint } = this.#options;
    try {
      probe.denyConnects(directory());
      this.#nextMs = Infinity;
      this.#unavailable = undefined;
    } catch (error) {
      this.#nextMs = this.#nowMs() + RETRY_MS;
      this.#refuseNone(error instanceof UserError ? error.message : String(error));
    }
  }
}
