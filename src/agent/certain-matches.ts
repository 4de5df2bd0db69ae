import type { KernelEvent } from '../events/event.ts';
import { bootNs } from '../host/boot-clock.ts';
import type { Logger } from '../shared/logger.ts';

/** Calls of which the kernel was certain that a rule matches, by what the agent found; monotonic. */
export interface CertainCounts {
  readonly confirmed: number;
  /** No rule did: a defect of the verdicts, a rule that threw, or records were lost, so that the agent took the program for another. */
  readonly unconfirmed: number;
}

/** Compares the kernel's certain verdicts with what the rules say: whether any matches, as records do not say which. */
export class CertainMatches {
  readonly #logger: Logger;
  readonly #now: () => bigint;
  /** CLOCK_BOOTTIME; undefined: not all tables are of the rules in force. */
  #sinceNs: bigint | undefined;
  #isSaid = false;
  #confirmed = 0;
  #unconfirmed = 0;

  constructor(logger: Logger, now = bootNs) {
    this.#logger = logger;
    this.#now = now;
  }

  /** All tables are of the rules in force from now on. */
  begin(): void {
    this.#sinceNs ??= this.#now();
  }

  /** Other rules will be in force: the verdicts of before are of the former ones. */
  end(): void {
    this.#sinceNs = undefined;
    this.#isSaid = false;
  }

  /** Whether a rule matched an event of which the kernel was certain. */
  compare(event: KernelEvent, isMatched: boolean): void {
    if (this.#sinceNs === undefined || event.bootNs < this.#sinceNs) return;
    if (isMatched) {
      this.#confirmed++;
      return;
    }
    this.#unconfirmed++;
    if (this.#isSaid) return;
    this.#isSaid = true;
    const { type, cgroupId, pid } = event;
    this.#logger.error(
      { event: type, cgroupId, pid },
      'the kernel was certain that a rule matches a call, but none does: please report it, unless records were lost',
    );
  }

  counts(): CertainCounts {
    return { confirmed: this.#confirmed, unconfirmed: this.#unconfirmed };
  }
}
