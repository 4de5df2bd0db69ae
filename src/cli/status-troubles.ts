import { isGood } from '../agent/canary-run.ts';
import type { AgentSnapshot } from '../agent/snapshot.ts';
import { isAbsent } from '../apps/absent-runtime.ts';
import type { AgentConfig } from '../config/config.ts';
import type { SpooledCounters } from '../streams/spool/spooled-stream.ts';

/** A receiver that is slow for a moment takes nothing, too. */
const DOWN_MS = 10_000;

type Down = NonNullable<SpooledCounters['down']>;

export const isLong = (down: Down | undefined): down is Down =>
  down !== undefined && Date.now() - down.sinceMs >= DOWN_MS;

/** Whether an operator has to look: what `varvel status` tells by its exit code. */
export function hasTroubles(snapshot: AgentSnapshot, { runtimes }: AgentConfig): boolean {
  const { apps, canary, continuity, kernel, rules, streams } = snapshot;
  return (
    lost(snapshot) > 0 ||
    Object.values(streams).some((one) => 'down' in one && isLong(one.down)) ||
    rules.stale ||
    apps.runtimes.some((one) => !one.connected && !isAbsent(one, runtimes)) ||
    (canary?.last !== undefined && !isGood(canary.last.result)) ||
    kernel.verdicts.denying.inVain > 0 ||
    kernel.deniedDropped > 0 ||
    apps.rescanTruncated ||
    continuity.troubles.length > 0
  );
}

function lost({ kernel, waiting, delivery }: AgentSnapshot): number {
  const streams = Object.values(delivery.streams).reduce(
    (sum, { dropped, refused = 0 }) => sum + dropped + refused,
    0,
  );
  return (
    kernel.dropped +
    kernel.skipped +
    kernel.scopeFull +
    waiting.events.dropped +
    waiting.detections.dropped +
    streams
  );
}
