import type { CgroupChange } from '../probe/scope.ts';
import type { RecordBytes } from './batch.ts';
import { CGROUP, CGROUP_OPS, HEADER, SCOPE_STATES } from './table.gen.ts';

const STATES: Readonly<Record<number, CgroupChange['state']>> = {
  [SCOPE_STATES.SCOPE_PENDING]: 'pending',
  [SCOPE_STATES.SCOPE_INCLUDED]: 'included',
  [SCOPE_STATES.SCOPE_EXCLUDED]: 'excluded',
};
const OPS: Readonly<Record<number, CgroupChange['kind']>> = {
  [CGROUP_OPS.CGROUP_MKDIR]: 'mkdir',
  [CGROUP_OPS.CGROUP_RMDIR]: 'rmdir',
  [CGROUP_OPS.CGROUP_ATTACH]: 'attach',
};

/** The cgroup record at byte offset `at`. */
export function readCgroupChange(r: RecordBytes, at: number): CgroupChange {
  const kind = OPS[r.number(at + CGROUP.op)] ?? 'mkdir';
  return {
    kind,
    cgroupId: r.id(at + CGROUP.id),
    rootCgroupId: r.id(at + CGROUP.root_id),
    path: r.bytes.toString(
      'utf8',
      at + CGROUP.end,
      at + CGROUP.end + r.short(at + CGROUP.path_len),
    ),
    state: STATES[r.number(at + CGROUP.state)] ?? 'pending',
    bootNs: r.u64(at + HEADER.ts),
    pid: kind === 'attach' ? r.number(at + HEADER.pid) : 0,
    ...(kind === 'attach' ? { startBootNs: r.u64(at + HEADER.start) } : {}),
  };
}
