// Calls that are refused by who makes them (probe/deny-calls.bpf.c and its kind), whatever their paths are: part of the event
// table (table.mjs).

/**
 * By event: in how many ways each can be made that the kernel tells apart, by its arguments. src/plan/verdicts/ways.ts says what
 * the arguments are in each. Only calls with a security hook that sees them before their effect can be here: not dup,
 * setns, fsopen, open_tree, delete_module, memfd_create, io_uring_setup, keyctl. Programs make sockets all the time: their hook is
 * left out.
 */
export const WAYS = {
  mount: 1,
  umount2: 1,
  move_mount: 1,
  pivot_root: 1,
  chroot: 1,
  init_module: 1,
  finit_module: 1,
  process_vm_readv: 1,
  process_vm_writev: 1,
  pidfd_getfd: 1,
  capset: 1,
  setuid: 1,
  setreuid: 1,
  setresuid: 1,
  bind: 1,
  listen: 1,
  // No device; a character device and a block device, with a number.
  mknod: 3,
  mknodat: 3,
  // Another request, and those that begin to trace: TRACEME, ATTACH, SEIZE.
  ptrace: 4,
  // By command, but for the last, which is all others.
  bpf: 40,
  // By signal: another one, 0 (which only asks), HUP, INT, KILL, TERM, STOP.
  kill: 7,
  tkill: 7,
  tgkill: 7,
  pidfd_send_signal: 7,
  // Of memory that can be executed: with other bits, and without them: alone, readable, writable, both.
  mmap: 5,
  mprotect: 5,
  // Without CLONE_NEWUSER, which no hook sees, and with it (probe/deny-namespaces.bpf.c, since Linux 6.1).
  unshare: 2,
  clone: 2,
  clone3: 2,
};
