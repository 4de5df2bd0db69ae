// System calls by ia32 and x32 numbers that are more than a row of calls.mjs with another number (arch/x86/entry/syscalls).
// Also the io_uring requests that replace a system call.

/** How the arguments of an old ia32 call are converted to those of the x86-64 one. Stored above its number, which has 9 bits. */
export const COMPAT_HOW = {
  /** 16-bit ids from argument 1 on; 0xffff is -1. */
  COMPAT_IDS_FROM_1: 512,
  /** The same from argument 2 on. */
  COMPAT_IDS_FROM_2: 1024,
  /** Argument 1 points to all six. */
  COMPAT_IN_MEMORY: 2048,
  /** Argument 6 counts pages. */
  COMPAT_PAGES: 4096,
  /** Argument 1 selects the call, argument 2 points to its arguments (SOCKETCALL). */
  COMPAT_SOCKETCALL: 8192,
  /** Argument 2 does not exist: 0. */
  COMPAT_ONE_ARGUMENT: 16384,
};

/** Calls with programs of their own: [name of the tracepoint, x86-64, ia32, x32 if it differs]. */
export const OWN_CALLS = [
  ['open', 2, 5],
  ['creat', 85, 8],
  ['openat', 257, 295],
  ['openat2', 437, 437],
  ['execve', 59, 11, 520],
  ['execveat', 322, 358, 545],
];

/** [ia32, x86-64, COMPAT_HOW] */
export const OLD_IA32 = [
  [23, 105, 'COMPAT_IDS_FROM_1'], // setuid
  [46, 106, 'COMPAT_IDS_FROM_1'], // setgid
  [70, 113, 'COMPAT_IDS_FROM_1'], // setreuid
  [71, 114, 'COMPAT_IDS_FROM_1'], // setregid
  [164, 117, 'COMPAT_IDS_FROM_1'], // setresuid
  [170, 119, 'COMPAT_IDS_FROM_1'], // setresgid
  [182, 92, 'COMPAT_IDS_FROM_2'], // chown
  [16, 94, 'COMPAT_IDS_FROM_2'], // lchown
  [95, 93, 'COMPAT_IDS_FROM_2'], // fchown
  [22, 166, 'COMPAT_ONE_ARGUMENT'], // umount
  [90, 9, 'COMPAT_IN_MEMORY'], // mmap
  [192, 9, 'COMPAT_PAGES'], // mmap2
  [417, 299, 0], // recvmmsg with 64-bit times
  [102, 0, 'COMPAT_SOCKETCALL'],
];

/** By socketcall's first argument: [x86-64, number of arguments]. send and recv are sendto and recvfrom without an address. */
export const SOCKETCALL = {
  1: [41, 3], // socket
  2: [49, 3], // bind
  3: [42, 3], // connect
  4: [50, 2], // listen
  5: [43, 3], // accept
  9: [44, 4], // send
  10: [45, 4], // recv
  11: [44, 6], // sendto
  12: [45, 6], // recvfrom
  16: [46, 3], // sendmsg
  17: [47, 3], // recvmsg
  18: [288, 4], // accept4
  19: [299, 5], // recvmmsg
  20: [307, 4], // sendmmsg
};

/** By io_uring's IORING_OP_*: the x86-64 call as which a request is reported. For requests with flags see IO_URING_FLAGGED. */
export const IO_URING_CALLS = {
  16: 42, // CONNECT
  18: 257, // OPENAT
  28: 437, // OPENAT2
  35: 264, // RENAMEAT
  36: 263, // UNLINKAT
  37: 258, // MKDIRAT
  38: 266, // SYMLINKAT
  39: 265, // LINKAT
  45: 41, // SOCKET
};

/** By event: the event as which uring.bpf.c reports a request with flags. */
export const IO_URING_FLAGGED = { renameat: 'renameat2' };
