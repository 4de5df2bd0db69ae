import type { DenialTrial } from '../plan/denial-test.ts';

/** What denies in the kernel, as people are told. */
export const DENIED_BY: Readonly<Record<DenialTrial, string>> = {
  program: 'SIGKILL at sched_process_exec',
  connection: 'cgroup/connect4, connect6, sendmsg4, sendmsg6',
  file: 'fmod_ret (security_file_open, security_path_*)',
  call: 'fmod_ret (security_sb_mount, security_bpf, ...)',
};
