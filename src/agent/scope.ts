import type { AgentReport } from './report.ts';
import type { RecordLosses } from './record-losses.ts';
import type { Attachment } from '../plan/attachment.ts';
import type { LiveProbe } from '../probe/live.ts';
import type { KernelVerdicts } from './verdicts.ts';
import type { ScopeMap } from '../probe/scope.ts';

/** The parts that follow additions to and removals from the scope map. */
export interface ScopeFollowers {
  readonly probe: Pick<LiveProbe, 'scope'>;
  readonly attachment: Pick<Attachment, 'onScoped' | 'onUnscoped'>;
  readonly report: Pick<AgentReport, 'forgetCgroup'>;
  readonly losses: Pick<RecordLosses, 'forget'>;
  readonly verdicts: Pick<KernelVerdicts, 'beforeIdentity'>;
}

/** The probe's scope map for the apps: attaches hooks before a cgroup is added, and reads its counters before it is removed. */
export function followedScope(followers: () => ScopeFollowers): ScopeMap {
  return {
    set: (cgroupId, state, level, table) => {
      const { attachment, probe, verdicts } = followers();
      if (state !== 'excluded') attachment.onScoped();
      const first = state === 'pending' ? verdicts.beforeIdentity(cgroupId, level) : undefined;
      probe.scope.set(cgroupId, state, level, table ?? first);
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
