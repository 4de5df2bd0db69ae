import type { DenialFindings } from '../../src/cli/doctor/denial.ts';

export const WORKS = { status: 'fulfilled', value: 'denied' } as const;

/** What doctor finds where all can be denied. */
export const ALL_DENIED: DenialFindings = {
  program: WORKS,
  connection: WORKS,
  file: WORKS,
  call: WORKS,
  unix: WORKS,
  cgroup: WORKS,
  memory: WORKS,
  namespace: WORKS,
};
