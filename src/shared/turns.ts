import { setImmediate } from 'node:timers/promises';

/** How long work goes on before others have their turn; and while these have much to do. */
const TURN_MS = 5;
const BUSY_TURN_MS = 1;
/** After a turn of somebody else that took so long, for so long. */
const BUSY_AFTER_MS = 5;
const BUSY_FOR_MS = 20;

let busyUntilMs = -Infinity;

/** The events of one turn took so long, in ms: where that is much, work in turns takes less of the next ones. */
export function noteEventsTurn(tookMs: number): void {
  if (tookMs >= BUSY_AFTER_MS) busyUntilMs = performance.now() + BUSY_FOR_MS;
}

function turnEnd(): number {
  const nowMs = performance.now();
  return nowMs + (nowMs < busyUntilMs ? BUSY_TURN_MS : TURN_MS);
}

/** Work in steps, each of a few ms at most: what comes between two of them may wait. */
export type Steps<Result> = Generator<void, Result>;

/** All steps, with others in between. */
export function inTurns<Result>(steps: Steps<Result>): Promise<Result>;
/** Undefined where `isWanted` says between two turns that nobody waits any more. */
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

/** All steps in one go. */
export function atOnce<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
