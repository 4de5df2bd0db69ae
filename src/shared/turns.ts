import { setImmediate } from 'node:timers/promises';

/** How long work goes on before others have their turn. */
const TURN_MS = 5;

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
  let endsMs = performance.now() + TURN_MS;
  while (isWanted()) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (performance.now() < endsMs) continue;
    await setImmediate();
    endsMs = performance.now() + TURN_MS;
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
