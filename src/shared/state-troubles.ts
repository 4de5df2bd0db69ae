import { diskTrouble } from './disk-trouble.ts';
import type { Logger } from './logger.ts';

/** A part of the state that the disk does not take now. */
export interface StateTrouble {
  readonly part: string;
  /** Unix ms. */
  readonly sinceMs: number;
  /** Words: the disk's answer. */
  readonly why: string;
  /** A sentence: what it means as long as it lasts. */
  readonly means: string;
}

/** Who else is told; at each change, with the part and with what is wrong, undefined when it is kept again. */
export type TroubleListener = (part: string, trouble: StateTrouble | undefined) => void;

/**
 * What of the agent's state cannot be kept now. Each part is in the log once when it begins and once when it ends; all
 * parts can be asked for at any time. Bound: the parts are the agent's own, and one for each stream with a spool.
 */
export class StateTroubles {
  readonly #logger: Logger;
  readonly #now = new Map<string, StateTrouble>();
  #listener: TroubleListener | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** From now on; it is told at once of what is there already. */
  listen(listener: TroubleListener): void {
    this.#listener = listener;
    for (const [part, trouble] of this.#now) listener(part, trouble);
  }

  /** The disk did not take `part`. What it means is said in the log, in the status and to operators. */
  begin(part: string, error: unknown, means: string): void {
    if (this.#now.has(part)) return;
    const why = diskTrouble(error) ?? (error instanceof Error ? error.message : String(error));
    const trouble = { part, sinceMs: Date.now(), why, means };
    this.#now.set(part, trouble);
    this.#logger.error(
      { part, error },
      `Not kept on disk: ${part}, because ${why}. ${means} The agent goes on and tries again every 10 s.`,
    );
    this.#listener?.(part, trouble);
  }

  /** The disk takes it (again). */
  end(part: string): void {
    if (!this.#now.delete(part)) return;
    this.#logger.info({ part }, `Kept on disk again: ${part}.`);
    this.#listener?.(part, undefined);
  }

  list(): readonly StateTrouble[] {
    return [...this.#now.values()];
  }
}
