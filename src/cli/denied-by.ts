import type { DenialTrial } from '../plan/denial-test.ts';

/** What denies in the kernel, as people are told. */
export const DENIED_BY: Readonly<Record<DenialTrial, string>> = {
  program: 'SIGKILL at sched_process_exec',
  connection: 'cgroup/connect4, connect6, sendmsg4, sendmsg6',
  unix: 'fmod_ret or lsm (unix_stream_connect)',
  file: 'fmod_ret or lsm (file_open, path_*)',
  call: 'fmod_ret or lsm (sb_mount, bpf, ...)',
  memory: 'fmod_ret or lsm (mmap_file, file_mprotect)',
  cgroup: 'cgroup/bind4, bind6, dev',
  namespace: 'fmod_ret (create_user_ns) or lsm (userns_create)',
};
