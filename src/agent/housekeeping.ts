import type { Stages } from './stages.ts';
import { denyingByContainer } from './verdict-group.ts';
import { bootNs } from '../host/boot-clock.ts';

const TICK_MS = 1000;
/** A refused call has ended by then: it fails at once. */
const REFUSED_MS = 10_000;

/**
 * Runs the periodic work of each second, in this order; returns a function that stops it. Each part reports what it drops or
 * gives up.
 */
export function startHousekeeping(stages: Stages): () => void {
  const timer = setInterval(() => round(stages), TICK_MS);
  return () => clearInterval(timer);
}

function round(stages: Stages): void {
  const { apps, coverage, fanOut, policies, probe } = stages;
  stages.clock.refresh();
  probe.forgetRefusals(REFUSED_MS);
  stages.losses.look();
  stages.losses.skipped.onTick(performance.now());
  stages.cuts.onTick(performance.now());
  stages.tree.tick(bootNs());
  stages.relief.onTick();
  const entries = apps.registry.entries();
  policies.follow(
    entries.flatMap(({ resolution }) =>
      resolution.state === 'included' ? [resolution.container] : [],
    ),
  );
  stages.responding.onTick(entries);
  stages.verdicts.follow(entries);
  const { knownFiles, verdicts, pinned } = stages;
  void knownFiles.onTick(denyingByContainer(verdicts.groupsInUse()));
  const isSettled = (): boolean =>
    verdicts.isSettled() &&
    knownFiles.isSettled() &&
    apps.registry.counters().pending === 0 &&
    // Of an app whose policy is still read it is not known what is denied.
    entries.every(
      ({ resolution, goneAtMs }) =>
        resolution.state !== 'included' ||
        goneAtMs !== undefined ||
        policies.inForceFor(resolution.container) !== undefined,
    );
  pinned.onTick(() => verdicts.status().denying.containers > 0, isSettled, entries);
  stages.unwatched.onTick(entries, probe.stats().scopeFull);
  stages.opened?.continuity.onTick(entries);
  coverage?.onTick(entries, performance.now());
  fanOut.tellGaps(stages.watched());
  fanOut.onTick();
}
