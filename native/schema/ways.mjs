// Calls that are refused by who makes them (probe/deny-calls.bpf.c), whatever their paths are: part of the event table (table.mjs).

/**
 * By event: in how many ways each can be made that the kernel tells apart, by its arguments. src/plan/verdicts/ways.ts says what
 * the arguments are in each. Only calls with a security hook that sees them before their effect can be here: not dup, unshare,
 * setns, fsopen, open_tree, delete_module, memfd_create, io_uring_setup, keyctl. Hooks of calls that programs make all the time are left out (mmap,
 * mprotect, kill, socket).
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
};
