import { setImmediate } from 'node:timers/promises';

/** How long work runs before it yields; and the same while event handling is busy. */
const TURN_MS = 5;
const BUSY_TURN_MS = 1;
/** A turn of events that took BUSY_AFTER_MS means busy for BUSY_FOR_MS. */
const BUSY_AFTER_MS = 5;
const BUSY_FOR_MS = 20;

let busyUntilMs = -Infinity;

/** Reports how long one turn of events took, in ms. After a long one, work in turns yields sooner for a while. */
export function noteEventsTurn(tookMs: number): void {
  if (tookMs >= BUSY_AFTER_MS) busyUntilMs = performance.now() + BUSY_FOR_MS;
}

function turnEnd(): number {
  const nowMs = performance.now();
  return nowMs + (nowMs < busyUntilMs ? BUSY_TURN_MS : TURN_MS);
}

/** Work in steps of a few ms at most; other work waits for one step. */
export type Steps<Result> = Generator<void, Result>;

/** Runs all steps, and yields to the event loop between turns. */
export function inTurns<Result>(steps: Steps<Result>): Promise<Result>;
/** Undefined once `isWanted` returns false; it is called before each step. */
export function inTurns<Result>(
  steps: Steps<Result>,
  isWanted: () => boolean,
): Promise<Result | undefined>;
export async function inTurns<Result>(
  steps: Steps<Result>,
  isWanted = () => true,
): Promise<Result | undefined> {
  let endsMs = turnEnd();
  while (isWanted()) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (performance.now() < endsMs) continue;
    await setImmediate();
    endsMs = turnEnd();
  }
  return undefined;
}

/** Runs all steps without yielding. */
export function atOnce<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
