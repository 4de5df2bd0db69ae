import type { LiveProbe } from '../probe/live.ts';
import { v2OfHost } from '../responses/container-cgroups.ts';
import type { Logger } from '../shared/logger.ts';
import { UserError } from '../shared/user-error.ts';

export interface RefusalsOptions {
  readonly probe: Pick<LiveProbe, 'denyConnects' | 'allowConnects'>;
  readonly logger: Logger;
  /** Where cgroup v2 is mounted; throws UserError. Default: the host's. */
  readonly directory?: () => string;
}

/** Connections that are refused for rules that deny them. What does so is loaded when that is first asked for, and stays. */
export class Refusals {
  readonly #options: RefusalsOptions;
  #tried = false;
  #unavailable: string | undefined;

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  /** Whether they can be refused here. The first call loads what does so, in some 0.2 s, and logs if it cannot. */
  readonly areAvailable = (): boolean => {
    if (!this.#tried) this.#load();
    return this.#unavailable === undefined;
  };

  /** Why they cannot be; undefined: they can, or nobody has asked yet. */
  get unavailable(): string | undefined {
    return this.#unavailable;
  }

  /** They have proven not to be refused: nothing counts on it any more. */
  giveUp(why: string): void {
    this.#tried = true;
    this.#unavailable = why;
    this.#options.probe.allowConnects();
    this.#options.logger.warn(
      { why },
      'connections cannot be refused on this host: a process whose connection a rule denies is killed after it has connected. Programs are not affected',
    );
  }

  #load(): void {
    const { probe, directory = () => v2OfHost().mountPoint } = this.#options;
    this.#tried = true;
    try {
      probe.denyConnects(directory());
    } catch (error) {
      this.giveUp(error instanceof UserError ? error.message : String(error));
    }
  }
}
