import { diskTrouble } from './disk-trouble.ts';
import type { Logger } from './logger.ts';

/** A part of the agent's state that cannot be written now. */
export interface StateTrouble {
  readonly part: string;
  /** Unix ms. */
  readonly sinceMs: number;
  /** Words: the disk's answer. */
  readonly why: string;
  /** A sentence: what it means as long as it lasts. */
  readonly means: string;
}

/** Called at each change with the part and its trouble; undefined when it is written again. */
export type TroubleListener = (part: string, trouble: StateTrouble | undefined) => void;

/**
 * Tracks which parts of the agent's state cannot be written. Logs each part once at the beginning and once at the end;
 * `list` has all. Bounded: the agent's own parts, and one for each stream with a spool.
 */
export class StateTroubles {
  readonly #logger: Logger;
  readonly #now = new Map<string, StateTrouble>();
  #listener: TroubleListener | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Sets the listener, and calls it at once for present troubles. */
  listen(listener: TroubleListener): void {
    this.#listener = listener;
    for (const [part, trouble] of this.#now) listener(part, trouble);
  }

  /** Writing `part` failed. `means` goes to the log, to the status and to operators. */
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
