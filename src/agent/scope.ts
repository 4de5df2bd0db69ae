import type { AgentReport } from './report.ts';
import type { RecordLosses } from './record-losses.ts';
import type { Attachment } from '../plan/attachment.ts';
import type { LiveProbe } from '../probe/live.ts';
import type { ScopeMap } from '../probe/scope.ts';

/** Who follows what enters the scope map and leaves it. */
export interface ScopeFollowers {
  readonly probe: Pick<LiveProbe, 'scope'>;
  readonly attachment: Pick<Attachment, 'onScoped' | 'onUnscoped'>;
  readonly report: Pick<AgentReport, 'forgetCgroup'>;
  readonly losses: Pick<RecordLosses, 'forget'>;
}

/** The probe's scope map for the apps: hooks are attached before a cgroup is in it, and its counters read before it goes. */
export function followedScope(followers: () => ScopeFollowers): ScopeMap {
  return {
    set: (cgroupId, state, level, table) => {
      const { attachment, probe } = followers();
      if (state !== 'excluded') attachment.onScoped();
      probe.scope.set(cgroupId, state, level, table);
      if (state === 'excluded') attachment.onUnscoped();
    },
    delete: (cgroupId) => {
      const { attachment, losses, probe, report } = followers();
      report.forgetCgroup(cgroupId);
      losses.forget(cgroupId);
      probe.scope.delete(cgroupId);
      attachment.onUnscoped();
    },
    get: (cgroupId) => followers().probe.scope.get(cgroupId),
    entries: () => followers().probe.scope.entries(),
  };
}
