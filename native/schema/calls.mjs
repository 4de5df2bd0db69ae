// The system calls that one program reports (probe/hooks/call.bpf.c): a table of what to read of each.
//
// nr: number on x86-64, nr32: on ia32, nrX32: on x32 if it differs from nr (arch/x86/entry/syscalls). `hook`: the name of its
// tracepoint if it differs. `event`: the reported event if it differs.
// reads:
//   strings  arguments (1 to 6) that are text in user memory, at most three
//   dirs     for each string: the argument with the directory that it is relative to, or 'cwd'
//   fd       the argument with the event's descriptor, or 'ret': the call returns it
//   addr     [argument with a struct sockaddr, argument with its length]
//   data     [argument with bytes in user memory, argument with their number or 'ret']
//   flags    CALL_*
// params: [name, Falco's type, source]: see SOURCES.

/** Sources of params: `ret`, `fd`, `tuple`, `addr`, … or a letter and a number. */
export const SOURCES = {
  ret: 'the result',
  fd: 'the descriptor that the event is about',
  a: 'argument N, a number of 64 bits',
  i: 'argument N, signed, 32 bits',
  u: 'argument N, unsigned, 32 bits; NAMES:uN: as names',
  x: 'argument N, signed, 64 bits; 0 when it is a name',
  n: 'string N, of prctl: undefined unless it is a name',
  s: 'string N, as passed; argument and string have numbers of their own',
  p: 'string N, a path: resolved by its directory',
  d: '32 bits at offset N of data; NAMES:dN: as names',
  path: "the descriptor's file",
  dev: "the file's device",
  ino: "the file's inode",
  tuple: "the socket's ends",
  addr: 'the address',
  data: 'the first bytes',
  size: 'bytes that a message offered or asked for',
  queuelen: 'connections that wait to be accepted',
  queuemax: 'how many may',
  queuepct: 'the same in percent',
  capI: "the task's inheritable capabilities",
  capP: "the task's permitted capabilities",
  capE: "the task's effective capabilities",
};

export const CALL_FLAGS = {
  /** Argument 2 is a struct msghdr that contains address and data. */
  CALL_MSGHDR: 1,
  /** The address's length is passed by pointer. */
  CALL_LENGTH_POINTER: 2,
  /** A message: rules may need only those whose peer differs from the previous one's. */
  CALL_MESSAGE: 4,
  /** Received: the address is that of the sender. */
  CALL_RECEIVES: 8,
  /** Only with PROT_EXEC in argument 3. */
  CALL_IF_EXECUTABLE: 16,
  /** Only with MAP_ANONYMOUS in argument 4. */
  CALL_IF_ANONYMOUS: 32,
  /** The string only when argument 1 is PR_SET_NAME or PR_GET_NAME. */
  CALL_TEXT_IF_NAME: 64,
  /** Argument 1 is a listening socket. */
  CALL_QUEUE: 128,
  /** It changes the task's root: relative arguments are shown from the root of the mount namespace. */
  CALL_NEW_ROOT: 512,
  /** Argument 2 is an array of struct mmsghdr: one record for each of the first 8 that were sent or received. */
  CALL_MESSAGES: 1024,
  /** The result is another descriptor of the same file: rules may need only those of network sockets. */
  CALL_DUP: 2048,
  /** A new socket of the domain and type in arguments 1 and 2: rules may need only some kinds. */
  CALL_SOCKET: 4096,
  /** Directory 1 is the working directory after the call, even if the string is an absolute path. */
  CALL_NEW_CWD: 256,
};

const RES = ['res', 'ERRNO', 'ret'];
const FD = ['fd', 'FD', 'ret'];
const AT = (name, n) => [name, 'FD', `i${n}`];

const file = (name, nr, nr32, reads, params, more = {}) => ({
  name,
  nr,
  nr32,
  category: 'file',
  reads,
  params: [RES, ...params],
  ...more,
});
const of =
  (category) =>
  (name, nr, nr32, reads, params, more = {}) => ({
    ...file(name, nr, nr32, reads, params, more),
    category,
  });
const process = of('process');
const user = of('user');
const memory = of('memory');
const other = of('other');
const signal = of('signal');
const net = of('net');

/**
 * Calls whose paths verdicts judge (manifests/docs/verdicts.md), in the order of their kinds: those that programs make often.
 * Their paths are the first two strings, or the file of the descriptor.
 */
export const JUDGED = [
  ...['unlink', 'unlinkat', 'rmdir', 'rename', 'renameat', 'renameat2', 'link', 'linkat'],
  ...['symlink', 'symlinkat', 'mkdir', 'mkdirat', 'chmod', 'fchmod', 'fchmodat'],
  ...['chown', 'lchown', 'fchown', 'fchownat'],
];

const ONE_PATH = { strings: [1], dirs: ['cwd'] };
const PATH_AT = { strings: [2], dirs: [1] };
const TWO_PATHS = { strings: [1, 2], dirs: ['cwd', 'cwd'] };
const TWO_PATHS_AT = { strings: [2, 4], dirs: [1, 3] };

export const CALLS = [
  file('symlink', 88, 83, { strings: [1, 2], dirs: [0, 'cwd'] }, [
    ['target', 'CHARBUF', 's1'],
    ['linkpath', 'FSPATH', 'p2'],
  ]),
  file('symlinkat', 266, 304, { strings: [1, 3], dirs: [0, 2] }, [
    ['target', 'CHARBUF', 's1'],
    AT('linkdirfd', 2),
    ['linkpath', 'FSRELPATH', 'p2'],
  ]),
  file('link', 86, 9, TWO_PATHS, [
    ['oldpath', 'FSPATH', 'p1'],
    ['newpath', 'FSPATH', 'p2'],
  ]),
  file('linkat', 265, 303, TWO_PATHS_AT, [
    AT('olddir', 1),
    ['oldpath', 'FSRELPATH', 'p1'],
    AT('newdir', 3),
    ['newpath', 'FSRELPATH', 'p2'],
    ['flags', 'FLAGS32', 'AT:u5'],
  ]),
  file('unlink', 87, 10, ONE_PATH, [['path', 'FSPATH', 'p1']]),
  file('unlinkat', 263, 301, PATH_AT, [
    AT('dirfd', 1),
    ['name', 'FSRELPATH', 'p1'],
    ['flags', 'FLAGS32', 'UNLINK:u3'],
  ]),
  file('rmdir', 84, 40, ONE_PATH, [['path', 'FSPATH', 'p1']]),
  file('rename', 82, 38, TWO_PATHS, [
    ['oldpath', 'FSPATH', 'p1'],
    ['newpath', 'FSPATH', 'p2'],
  ]),
  file('renameat', 264, 302, TWO_PATHS_AT, renameParams()),
  file('renameat2', 316, 353, TWO_PATHS_AT, [...renameParams(), ['flags', 'FLAGS32', 'RENAME:u5']]),
  file('mkdir', 83, 39, ONE_PATH, [
    ['path', 'FSPATH', 'p1'],
    ['mode', 'UINT32', 'u2'],
  ]),
  file('mkdirat', 258, 296, PATH_AT, [
    AT('dirfd', 1),
    ['path', 'FSRELPATH', 'p1'],
    ['mode', 'UINT32', 'u3'],
  ]),
  file('chmod', 90, 15, ONE_PATH, [
    ['filename', 'FSPATH', 'p1'],
    ['mode', 'MODE', 'u2'],
  ]),
  file('fchmod', 91, 94, { fd: 1 }, [
    ['fd', 'FD', 'fd'],
    ['mode', 'MODE', 'u2'],
  ]),
  file('fchmodat', 268, 306, PATH_AT, fchmodatParams()),
  // Linux 6.6. Falco knows it only by name: it is reported as the call that it replaces, so that rules see it.
  file('fchmodat2', 452, 452, PATH_AT, fchmodatParams(), { event: 'fchmodat' }),
  file('chown', 92, 212, ONE_PATH, chownParams()),
  file('lchown', 94, 198, ONE_PATH, chownParams()),
  file('fchown', 93, 207, { fd: 1 }, [
    ['fd', 'FD', 'fd'],
    ['uid', 'UINT32', 'u2'],
    ['gid', 'UINT32', 'u3'],
  ]),
  file('fchownat', 260, 298, PATH_AT, [
    AT('dirfd', 1),
    ['pathname', 'FSRELPATH', 'p1'],
    ['uid', 'UINT32', 'u3'],
    ['gid', 'UINT32', 'u4'],
    ['flags', 'FLAGS32', 'CHOWN_AT:u5'],
  ]),
  other('mknod', 133, 14, ONE_PATH, [
    ['path', 'FSPATH', 'p1'],
    ['mode', 'MODE', 'u2'],
    ['dev', 'UINT32', 'u3'],
  ]),
  other('mknodat', 259, 297, PATH_AT, [
    AT('dirfd', 1),
    ['path', 'FSRELPATH', 'p1'],
    ['mode', 'MODE', 'u3'],
    ['dev', 'UINT32', 'u4'],
  ]),
  {
    name: 'open_by_handle_at',
    nr: 304,
    nr32: 342,
    category: 'file',
    reads: { fd: 'ret' },
    params: [
      FD,
      ['mountfd', 'FD', 'i1'],
      ['flags', 'FLAGS32', 'OPEN:u3'],
      ['path', 'FSPATH', 'path'],
      ['dev', 'UINT32', 'dev'],
      ['ino', 'UINT64', 'ino'],
    ],
  },
  file('mount', 165, 21, { strings: [1, 2, 3], dirs: [0, 'cwd', 0] }, [
    ['dev', 'CHARBUF', 's1'],
    ['dir', 'FSPATH', 'p2'],
    ['type', 'CHARBUF', 's3'],
    ['flags', 'FLAGS32', 'MOUNT:u4'],
  ]),
  file(
    'umount2',
    166,
    52,
    ONE_PATH,
    [
      ['name', 'FSPATH', 'p1'],
      ['flags', 'FLAGS32', 'UMOUNT:u2'],
    ],
    { hook: 'umount' },
  ),
  other('open_tree', 428, 428, PATH_AT, [
    AT('dirfd', 1),
    ['path', 'FSRELPATH', 'p1'],
    ['flags', 'FLAGS32', 'OPEN_TREE:u3'],
  ]),
  other('move_mount', 429, 429, { strings: [2, 4], dirs: [1, 3] }, [
    ['olddirfd', 'FD', 'i1'],
    ['oldpath', 'FSRELPATH', 'p1'],
    ['newdirfd', 'FD', 'i3'],
    ['newpath', 'FSRELPATH', 'p2'],
    ['flags', 'FLAGS32', 'MOVE_MOUNT:u5'],
  ]),
  other('fsopen', 430, 430, { strings: [1] }, [
    ['type', 'CHARBUF', 's1'],
    ['flags', 'FLAGS32', 'FSOPEN:u2'],
  ]),
  other('pivot_root', 155, 217, { ...TWO_PATHS, flags: ['CALL_NEW_ROOT'] }, [
    ['newpath', 'FSPATH', 'p1'],
    ['oldpath', 'FSPATH', 'p2'],
  ]),
  file('chdir', 80, 12, { strings: [1], dirs: ['cwd'], flags: ['CALL_NEW_CWD'] }, [
    ['path', 'CHARBUF', 's1'],
  ]),
  file('fchdir', 81, 133, { fd: 1, dirs: ['cwd'], flags: ['CALL_NEW_CWD'] }, [['fd', 'FD', 'fd']]),
  process('chroot', 161, 61, { ...ONE_PATH, flags: ['CALL_NEW_ROOT'] }, [['path', 'FSPATH', 'p1']]),
  {
    name: 'memfd_create',
    nr: 319,
    nr32: 356,
    category: 'memory',
    reads: { strings: [1], fd: 'ret' },
    params: [FD, ['name', 'CHARBUF', 's1'], ['flags', 'FLAGS32', 'MEMFD:u2']],
  },
  memory('mmap', 9, 192, { flags: ['CALL_IF_EXECUTABLE', 'CALL_IF_ANONYMOUS'] }, [
    ['addr', 'UINT64', 'a1'],
    ['length', 'UINT64', 'a2'],
    ['prot', 'FLAGS32', 'PROT:u3'],
    ['flags', 'FLAGS32', 'MAP:u4'],
    ['fd', 'FD', 'i5'],
    ['offset', 'UINT64', 'a6'],
  ]),
  memory('mprotect', 10, 125, { flags: ['CALL_IF_EXECUTABLE'] }, mprotectParams()),
  // Falco knows this one and the queued signals below only by name, too.
  memory('pkey_mprotect', 329, 380, { flags: ['CALL_IF_EXECUTABLE'] }, mprotectParams(), {
    event: 'mprotect',
  }),
  { ...vmCall('process_vm_readv', 310, 347), nrX32: 539 },
  { ...vmCall('process_vm_writev', 311, 348), nrX32: 540 },
  dup('dup', 32, 41, []),
  dup('dup2', 33, 63, [AT('newfd', 2)]),
  dup('dup3', 292, 330, [AT('newfd', 2), ['flags', 'FLAGS32', 'DUP:u3']]),
  {
    name: 'pidfd_getfd',
    nr: 438,
    nr32: 438,
    category: 'process',
    reads: { fd: 'ret' },
    params: [FD, AT('pid_fd', 1), AT('target_fd', 2), ['flags', 'UINT32', 'u3']],
  },
  {
    name: 'pidfd_open',
    nr: 434,
    nr32: 434,
    category: 'process',
    reads: {},
    params: [FD, ['pid', 'PID', 'i1'], ['flags', 'FLAGS32', 'PIDFD:u2']],
  },
  file('userfaultfd', 323, 374, { fd: 'ret' }, [['flags', 'FLAGS32', 'USERFAULT:u1']]),
  ioUring('io_uring_setup', 425, { data: [2, 24] }, [
    ['entries', 'UINT32', 'u1'],
    ['sq_entries', 'UINT32', 'd0'],
    ['cq_entries', 'UINT32', 'd4'],
    ['flags', 'FLAGS32', 'URING_SETUP:d8'],
    ['sq_thread_cpu', 'UINT32', 'd12'],
    ['sq_thread_idle', 'UINT32', 'd16'],
    ['features', 'FLAGS32', 'URING_FEATURES:d20'],
  ]),
  ioUring('io_uring_enter', 426, {}, [
    ['fd', 'FD', 'i1'],
    ['to_submit', 'UINT32', 'u2'],
    ['min_complete', 'UINT32', 'u3'],
    ['flags', 'FLAGS32', 'URING_ENTER:u4'],
  ]),
  ioUring('io_uring_register', 427, {}, [
    ['fd', 'FD', 'i1'],
    ['opcode', 'ENUMFLAGS16', 'URING_REGISTER:u2'],
    ['arg', 'UINT64', 'a3'],
    ['nr_args', 'UINT32', 'u4'],
  ]),
  {
    name: 'socket',
    nr: 41,
    nr32: 359,
    category: 'net',
    reads: { fd: 'ret', flags: ['CALL_SOCKET'] },
    params: [
      FD,
      ['domain', 'ENUMFLAGS32', 'AF:u1'],
      ['type', 'UINT32', 'u2'],
      ['proto', 'UINT32', 'u3'],
    ],
  },
  net('connect', 42, 362, { fd: 1, addr: [2, 3] }, [
    ['tuple', 'SOCKTUPLE', 'tuple'],
    ['fd', 'FD', 'fd'],
    ['addr', 'SOCKADDR', 'addr'],
  ]),
  net('bind', 49, 361, { fd: 1, addr: [2, 3] }, [
    ['addr', 'SOCKADDR', 'addr'],
    ['fd', 'FD', 'fd'],
  ]),
  net('listen', 50, 363, { fd: 1 }, [
    ['fd', 'FD', 'fd'],
    ['backlog', 'INT32', 'i2'],
  ]),
  // ia32 has no accept: it is socketcall(5).
  accept('accept', 43, undefined, []),
  accept('accept4', 288, 364, [['flags', 'INT32', 'i4']]),
  message('sendto', 44, 369, { addr: [5, 6], data: [2, 'ret'], flags: ['CALL_MESSAGE'] }, [
    ['data', 'BYTEBUF', 'data'],
    ['fd', 'FD', 'fd'],
    ['size', 'UINT32', 'u3'],
    ['tuple', 'SOCKTUPLE', 'tuple'],
  ]),
  {
    ...message('sendmsg', 46, 370, { flags: ['CALL_MESSAGE', 'CALL_MSGHDR'] }, [
      ['data', 'BYTEBUF', 'data'],
      ['fd', 'FD', 'fd'],
      ['size', 'UINT32', 'size'],
      ['tuple', 'SOCKTUPLE', 'tuple'],
    ]),
    nrX32: 518,
  },
  {
    ...message('sendmmsg', 307, 345, { flags: ['CALL_MESSAGE', 'CALL_MSGHDR', 'CALL_MESSAGES'] }, [
      ['fd', 'FD', 'fd'],
      ['size', 'UINT32', 'size'],
      ['data', 'BYTEBUF', 'data'],
      ['tuple', 'SOCKTUPLE', 'tuple'],
    ]),
    nrX32: 538,
  },
  {
    ...message(
      'recvfrom',
      45,
      371,
      {
        addr: [5, 6],
        data: [2, 'ret'],
        flags: ['CALL_MESSAGE', 'CALL_RECEIVES', 'CALL_LENGTH_POINTER'],
      },
      [
        ['data', 'BYTEBUF', 'data'],
        ['tuple', 'SOCKTUPLE', 'tuple'],
        ['fd', 'FD', 'fd'],
        ['size', 'UINT32', 'u3'],
      ],
    ),
    nrX32: 517,
  },
  {
    ...message('recvmsg', 47, 372, { flags: ['CALL_MESSAGE', 'CALL_RECEIVES', 'CALL_MSGHDR'] }, [
      ['size', 'UINT32', 'size'],
      ['data', 'BYTEBUF', 'data'],
      ['tuple', 'SOCKTUPLE', 'tuple'],
      ['fd', 'FD', 'fd'],
    ]),
    nrX32: 519,
  },
  {
    ...message(
      'recvmmsg',
      299,
      337,
      { flags: ['CALL_MESSAGE', 'CALL_RECEIVES', 'CALL_MSGHDR', 'CALL_MESSAGES'] },
      [
        ['fd', 'FD', 'fd'],
        ['size', 'UINT32', 'size'],
        ['data', 'BYTEBUF', 'data'],
        ['tuple', 'SOCKTUPLE', 'tuple'],
      ],
    ),
    nrX32: 537,
  },
  {
    ...process('ptrace', 101, 26, {}, [
      ['addr', 'DYNAMIC', 'a3'],
      ['data', 'DYNAMIC', 'a4'],
      ['request', 'ENUMFLAGS16', 'PTRACE:u1'],
      ['pid', 'PID', 'i2'],
    ]),
    nrX32: 521,
  },
  signal('kill', 62, 37, {}, killParams()),
  { ...signal('rt_sigqueueinfo', 129, 178, {}, killParams(), { event: 'kill' }), nrX32: 524 },
  signal('tkill', 200, 238, {}, [
    ['tid', 'PID', 'i1'],
    ['sig', 'SIGTYPE', 'u2'],
  ]),
  other('pidfd_send_signal', 424, 424, {}, [AT('pid_fd', 1), ['sig', 'SIGTYPE', 'u2']]),
  signal('tgkill', 234, 270, {}, tgkillParams()),
  { ...signal('rt_tgsigqueueinfo', 297, 335, {}, tgkillParams(), { event: 'tgkill' }), nrX32: 536 },
  process('prctl', 157, 172, { strings: [2], flags: ['CALL_TEXT_IF_NAME'] }, [
    ['option', 'ENUMFLAGS32', 'PRCTL:u1'],
    ['arg2_str', 'CHARBUF', 'n1'],
    ['arg2_int', 'INT64', 'x2'],
  ]),
  process('setns', 308, 346, { fd: 1 }, [
    ['fd', 'FD', 'fd'],
    ['nstype', 'FLAGS32', 'CLONE:u2'],
  ]),
  process('unshare', 272, 310, {}, [['flags', 'FLAGS32', 'CLONE:u1']]),
  process('setsid', 112, 66, {}, [], { params: [['res', 'PID', 'ret']] }),
  process('setpgid', 109, 57, {}, [
    ['pid', 'PID', 'i1'],
    ['pgid', 'PID', 'i2'],
  ]),
  process('capset', 126, 185, {}, [
    ['cap_inheritable', 'UINT64', 'capI'],
    ['cap_permitted', 'UINT64', 'capP'],
    ['cap_effective', 'UINT64', 'capE'],
  ]),
  user('setuid', 105, 213, {}, [['uid', 'UID', 'u1']]),
  user('setgid', 106, 214, {}, [['gid', 'GID', 'u1']]),
  user('setreuid', 113, 203, {}, [
    ['ruid', 'UID', 'u1'],
    ['euid', 'UID', 'u2'],
  ]),
  user('setregid', 114, 204, {}, [
    ['rgid', 'UID', 'u1'],
    ['egid', 'UID', 'u2'],
  ]),
  user('setresuid', 117, 208, {}, [
    ['ruid', 'UID', 'u1'],
    ['euid', 'UID', 'u2'],
    ['suid', 'UID', 'u3'],
  ]),
  user('setresgid', 119, 210, {}, [
    ['rgid', 'GID', 'u1'],
    ['egid', 'GID', 'u2'],
    ['sgid', 'GID', 'u3'],
  ]),
  other('keyctl', 250, 288, {}, [
    ['operation', 'ENUMFLAGS32', 'KEYCTL:u1'],
    ['arg2', 'DYNAMIC', 'a2'],
    ['arg3', 'DYNAMIC', 'a3'],
    ['arg4', 'DYNAMIC', 'a4'],
    ['arg5', 'DYNAMIC', 'a5'],
  ]),
  {
    name: 'bpf',
    nr: 321,
    nr32: 357,
    category: 'other',
    reads: {},
    params: [FD, ['cmd', 'ENUMFLAGS32', 'BPF:u1']],
  },
  other('init_module', 175, 128, { strings: [3], data: [1, 80] }, [
    ['img', 'BYTEBUF', 'data'],
    ['length', 'UINT64', 'a2'],
    ['uargs', 'CHARBUF', 's1'],
  ]),
  other('finit_module', 313, 350, { strings: [2], fd: 1 }, [
    ['fd', 'FD', 'fd'],
    ['uargs', 'CHARBUF', 's1'],
    ['flags', 'FLAGS32', 'MODULE:u3'],
  ]),
  other('delete_module', 176, 129, { strings: [1] }, [
    ['name', 'CHARBUF', 's1'],
    ['flags', 'FLAGS32', 'DELETE_MODULE:u2'],
  ]),
];

function renameParams() {
  return [
    AT('olddirfd', 1),
    ['oldpath', 'FSRELPATH', 'p1'],
    AT('newdirfd', 3),
    ['newpath', 'FSRELPATH', 'p2'],
  ];
}

function fchmodatParams() {
  return [AT('dirfd', 1), ['filename', 'FSRELPATH', 'p1'], ['mode', 'MODE', 'u3']];
}

function chownParams() {
  return [
    ['path', 'FSPATH', 'p1'],
    ['uid', 'UINT32', 'u2'],
    ['gid', 'UINT32', 'u3'],
  ];
}

function mprotectParams() {
  return [
    ['addr', 'UINT64', 'a1'],
    ['length', 'UINT64', 'a2'],
    ['prot', 'FLAGS32', 'PROT:u3'],
  ];
}

function killParams() {
  return [
    ['pid', 'PID', 'i1'],
    ['sig', 'SIGTYPE', 'u2'],
  ];
}

function tgkillParams() {
  return [
    ['pid', 'PID', 'i1'],
    ['tid', 'PID', 'i2'],
    ['sig', 'SIGTYPE', 'u3'],
  ];
}

function vmCall(name, nr, nr32) {
  return {
    name,
    nr,
    nr32,
    category: 'IPC',
    reads: {},
    params: [
      ['res', 'INT64', 'ret'],
      ['pid', 'PID', 'i1'],
    ],
  };
}

function dup(name, nr, nr32, params) {
  return {
    name,
    nr,
    nr32,
    category: 'io-other',
    reads: { fd: 'ret', flags: ['CALL_DUP'] },
    params: [['res', 'FD', 'ret'], AT('oldfd', 1), ...params],
  };
}

function ioUring(name, nr, reads, params) {
  return { name, nr, nr32: nr, category: 'io-other', reads, params: [RES, ...params] };
}

function accept(name, nr, nr32, params) {
  return {
    name,
    nr,
    nr32,
    category: 'net',
    reads: { fd: 'ret', flags: ['CALL_QUEUE'] },
    params: [
      FD,
      ['tuple', 'SOCKTUPLE', 'tuple'],
      ['queuepct', 'UINT8', 'queuepct'],
      ['queuelen', 'UINT32', 'queuelen'],
      ['queuemax', 'UINT32', 'queuemax'],
      ...params,
    ],
  };
}

function message(name, nr, nr32, reads, params) {
  const category = name.startsWith('send') ? 'io-write' : 'io-read';
  return { name, nr, nr32, category, reads: { fd: 1, ...reads }, params: [RES, ...params] };
}
