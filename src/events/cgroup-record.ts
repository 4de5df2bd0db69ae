import type { KernelScopeState } from '../probe/scope.ts';
import { readAncestors } from './ancestors.ts';
import type { RecordBytes } from './batch.ts';
import type { Ancestor } from './event.ts';
import { CGROUP, CGROUP_OPS, HEADER, SCOPE_STATES } from './table.gen.ts';

/** A container's cgroup appeared or went away, or a process was moved into it or into a cgroup inside it. */
export interface CgroupChange {
  readonly kind: 'mkdir' | 'rmdir' | 'attach';
  readonly cgroupId: number;
  /** The container's cgroup: the cgroup itself, except for an attach to a cgroup inside. */
  readonly rootCgroupId: number;
  /** Path within the deciding hierarchy, from its root. */
  readonly path: string;
  readonly state: KernelScopeState;
  readonly bootNs: bigint;
  /** attach: the moved process (host pid); 0 otherwise. */
  readonly pid: number;
  /** attach: start of that process, CLOCK_BOOTTIME ns; identifies it together with `pid`. */
  readonly startBootNs?: bigint;
  /** attach by a process outside the scope: the moved process's ancestors, parent first. */
  readonly ancestors?: readonly Ancestor[];
}

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
  const exesLength = r.short(at + CGROUP.exes_len);
  const ancestorsLength = r.short(at + CGROUP.ancestors_len);
  const from = at + CGROUP.end;
  const pathAt = from + exesLength + ancestorsLength;
  return {
    kind,
    cgroupId: r.id(at + CGROUP.id),
    rootCgroupId: r.id(at + CGROUP.root_id),
    path: r.bytes.toString('utf8', pathAt, pathAt + r.short(at + CGROUP.path_len)),
    state: STATES[r.number(at + CGROUP.state)] ?? 'pending',
    bootNs: r.u64(at + HEADER.ts),
    pid: kind === 'attach' ? r.number(at + HEADER.pid) : 0,
    ...(kind === 'attach' ? { startBootNs: r.u64(at + HEADER.start) } : {}),
    ...(ancestorsLength > 0
      ? { ancestors: readAncestors(r, from, exesLength, ancestorsLength) }
      : {}),
  };
}
