// The event table: the single source for the contents of records. From it, generate.mjs writes the C structs
// (native/probe/events.gen.h) and the TypeScript layout (src/events/table.gen.ts). It also writes the facade's layout of the
// configuration (native/layout.gen.cjs) and native/schema/EVENTS.md.
//
// A record: header, then the kind's fixed part, then its variable parts in the order given, without padding between them. The
// whole is padded with zeroes to a multiple of 8. All little-endian. Bump VERSION when a layout or a meaning changes: the
// loader refuses other versions.

import { CALLS } from './calls.mjs';

export { CALLS, CALL_FLAGS, JUDGED } from './calls.mjs';
export * from './arguments.mjs';
export { LIMITS } from './limits.mjs';
export { WAYS } from './ways.mjs';

export const VERSION = 7;

export const HEADER = [
  ['len', 'u32', 'Bytes of the whole record, a multiple of 8'],
  ['kind', 'u16', 'Which layout follows (KIND_*)'],
  ['event', 'u16', 'Which event it is (index into EVENTS)'],
  ['ts', 'u64', 'CLOCK_BOOTTIME ns'],
  [
    'cgroup',
    'u64',
    "Scope key: kernfs id of the container's cgroup, around the task's own, in the deciding hierarchy",
  ],
  ['pid', 'u32', 'Thread group id in the initial pid namespace'],
  ['tid', 'u32', 'Thread id in the initial pid namespace'],
  ['start', 'u64', "The thread group leader's start_boottime, ns"],
  ['parent_start', 'u64', "The parent's thread group leader's start_boottime, ns"],
  ['ppid', 'u32', "The real parent's thread group id"],
  ['cpu', 'u32', 'CPU that ran the task'],
  ['ret', 's64', 'Return value, or -errno'],
  ['vpid', 'u32', "Thread group id in the task's pid namespace"],
  ['vtid', 'u32', "Thread id in the task's pid namespace"],
  ['host_uid', 'u32', 'Real uid in the initial user namespace'],
  ['host_gid', 'u32', 'Real gid in the initial user namespace'],
  ['host_euid', 'u32', 'Effective uid in the initial user namespace'],
  ['host_egid', 'u32', 'Effective gid in the initial user namespace'],
  ['uid', 'u32', "Real uid in the task's user namespace (65534 if unmapped)"],
  ['gid', 'u32', "Real gid in the task's user namespace"],
  ['euid', 'u32', "Effective uid in the task's user namespace"],
  ['egid', 'u32', "Effective gid in the task's user namespace"],
  ['loginuid', 's32', 'Audit login uid, -1 if unset'],
  ['userns', 'u32', "Inode number of the task's user namespace"],
  ['cap_inheritable', 'u64', 'Capabilities, in that user namespace'],
  ['cap_permitted', 'u64', 'Capabilities, in that user namespace'],
  ['cap_effective', 'u64', 'Capabilities, in that user namespace'],
  ['tty', 'u32', 'Controlling terminal as in /proc/PID/stat (new_encode_dev), 0 for none'],
  ['mntns', 'u32', "Inode number of the task's mount namespace"],
  ['comm', 'char16', 'Task name, NUL-padded'],
];

const FILE = [
  ['file_ino', 'u64', 'Inode number'],
  ['file_dev', 'u32', "The superblock's dev as the kernel keeps it: major << 20 | minor"],
  ['file_flags', 'u32', 'FILE_*'],
  ['file_uid', 'u32', 'Owner in the initial user namespace'],
  ['file_gid', 'u32', 'Group in the initial user namespace'],
  ['file_mode', 'u32', 'i_mode'],
];

const SOCKET = [
  ['family', 'u16', 'AF_* of the socket'],
  ['protocol', 'u16', 'IPPROTO_*'],
  ['socket_type', 'u16', 'SOCK_*'],
  ['lport', 'u16', 'Local port'],
  ['rport', 'u16', 'Remote port'],
  ['reserved', 'u16', 'Zero'],
  ['laddr', 'bytes16', 'Local address: 4 or 16 bytes, network order'],
  ['raddr', 'bytes16', 'Remote address'],
];

/** Variable parts: who is above a process, and what the first of them run. They come first: their words are aligned. */
const LINEAGE = [
  [
    'exes',
    'If the first ancestor is not in scope: the programs of the first three, ANCESTOR_EXE_MAX bytes each, NUL-padded; empty if not known or longer',
  ],
  [
    'ancestors',
    'Parent first (in a clone record the caller): {u64 start; u32 pid; u32 in_scope; char comm[16]} each',
  ],
];

export const FILE_FLAGS = {
  FILE_KNOWN: 1,
  FILE_PATH_TRUNCATED: 2,
  FILE_DETACHED: 4,
  FILE_UPPER_LAYER: 8,
  FILE_LOWER_LAYER: 16,
  FILE_MEMFD: 32,
  FILE_UNLINKED: 64,
  FILE_CREATED: 128,
};

/** Flags in the fixed part's `flags`, for any kind. */
export const RECORD_FLAGS = {
  RAW_TRUNCATED: 1,
  ARGV_TRUNCATED: 2,
  RAW_UNREADABLE: 4,
  PARENTS_PROGRAM: 8,
  TUPLE_KNOWN: 16,
  PARENT_OUT_OF_SCOPE: 32,
  CWD_TRUNCATED: 64,
  CONNECTED: 128,
  PEER_CHANGED: 256,
  ENV_TRUNCATED: 512,
  VIA_IO_URING: 1024,
  RESULT_UNKNOWN: 2048,
  // The kernel's verdict: a rule certainly matches.
  RULE_MATCHES: 4096,
  // A program was ended before its first instruction; a connect or an open was refused.
  DENIED: 8192,
};

/**
 * Kinds of descriptors 0, 1 and 2 of a new program. The low four bits are those of S_IFMT, or 0 for an anonymous inode and for
 * a closed descriptor. DESCRIBED: the first IP socket among them, whose ends are in the record.
 */
export const STANDARD = {
  STANDARD_OPEN: 16,
  STANDARD_UNIX: 32,
  STANDARD_IPV4: 64,
  STANDARD_IPV6: 96,
  STANDARD_FAMILY: 96,
  STANDARD_DESCRIBED: 128,
};

export const CGROUP_OPS = { CGROUP_MKDIR: 1, CGROUP_RMDIR: 2, CGROUP_ATTACH: 3 };
export const SCOPE_STATES = { SCOPE_PENDING: 1, SCOPE_INCLUDED: 2, SCOPE_EXCLUDED: 3 };

/**
 * Bits of probe_state.open_mask and call_mask. MESSAGE_NEW_PEER: of an unconnected socket whose peer differs from that of the
 * previous message. MESSAGE_OTHER: any other, which a busy server exchanges all the time. DUP_NETWORK: of an IPv4 or IPv6
 * socket. DUP_OTHER: of anything else, of which a shell makes some for each program, and failed calls. SOCKET_ORDINARY: an IPv4
 * or IPv6 socket of type SOCK_STREAM or SOCK_DGRAM. SOCKET_LOCAL: AF_UNIX and AF_NETLINK, which look-ups of names and users make.
 * SOCKET_OTHER: any other. Failed calls count by what they asked for.
 */
export const MASKS = {
  OPEN_READ: 1,
  OPEN_WRITE: 2,
  OPEN_FAILED: 4,
  MESSAGE_NEW_PEER: 1,
  MESSAGE_OTHER: 2,
  DUP_NETWORK: 4,
  DUP_OTHER: 8,
  SOCKET_ORDINARY: 16,
  SOCKET_LOCAL: 32,
  SOCKET_OTHER: 64,
};

/** What a scope pattern accepts as the handle: any non-empty text, 64 lower-case hex digits, nothing. */
export const HANDLES = { HANDLE_ANY: 0, HANDLE_HEX64: 1, HANDLE_NONE: 2 };

/** struct scope_pattern: a container's cgroup by its path. */
export const SCOPE_PATTERN = [
  ['prefix', 'char64'],
  ['leaf_prefix', 'char32'],
  ['leaf_suffix', 'char32'],
  ['prefix_len', 'u8'],
  ['leaf_prefix_len', 'u8'],
  ['leaf_suffix_len', 'u8'],
  ['handle', 'u8', 'HANDLE_*'],
  ['deep', 'u8'],
  ['negative', 'u8', 'a match ends the search: not a container'],
  ['pad', 'bytes2'],
];

/** struct probe_config: set before load; the verifier removes dead branches. PATTERNS_MAX patterns follow. */
export const PROBE_CONFIG = [
  ['v1_pids', 'u32', '0: the v2 hierarchy decides; 1: v1 pids'],
  ['holds_cpu', 'u32', '1: programs keep other tasks from running on their CPU (cpu.h)'],
  ['hierarchy_id', 's32'],
  [
    'exec_budget',
    'u32',
    'bytes that one container may put in a ring per epoch; two epochs can be in a ring',
  ],
  ['bulk_budget', 'u32'],
  ['n_patterns', 'u32'],
];

/** id → layout. `variable`: [name, doc]; its length in bytes is the fixed field `<name>_len`. */
export const KINDS = [
  {
    name: 'exec',
    doc: 'A successful exec (sched_process_exec), after the new image is in place; or a failed one (exit tracepoint). A successful execveat with AT_FDCWD or an absolute path is an execve: the kernel does not tell them apart any more.',
    fixed: [
      ...FILE,
      ['pgid', 'u32', 'Process group, initial pid namespace'],
      ['vpgid', 'u32', "Process group, the task's pid namespace"],
      ['sid', 'u32', 'Session, initial pid namespace'],
      ['vsid', 'u32', "Session, the task's pid namespace"],
      [
        'flags',
        'u32',
        "ARGV_TRUNCATED, ENV_TRUNCATED, RAW_TRUNCATED, RAW_UNREADABLE, CWD_TRUNCATED, CONNECTED (the socket below), PARENTS_PROGRAM (success: the file that the parent runs, and the parent's mount namespace)",
      ],
      ['file_ctime', 'u64', "Last change of the file's status, Unix ns"],
      ['file_mtime', 'u64', "Last change of the file's content, Unix ns"],
      [
        'pidns_start',
        'u64',
        "Start of the first process in the task's pid namespace, boot time ns",
      ],
      [
        'standard',
        'u32',
        'What descriptors 0, 1 and 2 are: a byte each, the lowest first: STANDARD_* over the type bits of i_mode',
      ],
      ...SOCKET,
    ],
    variable: [
      ...LINEAGE,
      ['raw', 'The path as passed (for a script, the script)'],
      ['path', 'The resolved path of the file that runs'],
      ['cwd', 'Working directory'],
      ['argv', 'Arguments, each ended by NUL'],
      ['env', 'Environment, each ended by NUL: only if a rule needs it'],
    ],
  },
  {
    name: 'clone',
    doc: 'A new process or thread (sched_process_fork); the header is the parent.',
    fixed: [
      ['clone_flags', 'u64', 'CLONE_*'],
      ['child_start', 'u64', "The child's start_boottime, ns"],
      ['child_pid', 'u32', 'Thread group id, initial pid namespace'],
      ['child_tid', 'u32', 'Thread id, initial pid namespace'],
      ['child_vpid', 'u32', "Thread group id, the child's pid namespace"],
      ['child_vtid', 'u32', "Thread id, the child's pid namespace"],
      ['flags', 'u32', 'PARENT_OUT_OF_SCOPE; DENIED: there is no child, and its fields are 0'],
    ],
    variable: LINEAGE,
  },
  {
    name: 'exit',
    doc: "The process's last thread ends (sched_process_exit).",
    fixed: [['status', 'u32', 'Wait status of the process']],
    variable: [],
  },
  {
    name: 'open',
    doc: 'open, openat, openat2, creat, at the exit of the call; openat and openat2 also by io_uring.',
    fixed: [
      ...FILE,
      ['dirfd', 's32', "openat's first argument, AT_FDCWD where there is none"],
      ['open_flags', 'u32', 'O_*'],
      ['mode', 'u32', 'Mode argument'],
      ['resolve', 'u32', "openat2's RESOLVE_*"],
      [
        'flags',
        'u32',
        'RAW_TRUNCATED, RAW_UNREADABLE, VIA_IO_URING, RESULT_UNKNOWN (the request will not say it; ret is 0)',
      ],
    ],
    variable: [
      ['raw', 'The path as passed (user memory)'],
      ['path', 'The resolved path (kernel), if the call succeeded'],
      [
        'dir',
        'The directory that raw is relative to (kernel), if it is: of calls that failed, and by io_uring',
      ],
    ],
  },
  {
    name: 'call',
    doc: 'Any other system call, at its exit: see CALLS in calls.mjs.',
    fixed: [
      ...[1, 2, 3, 4, 5, 6].map((n) => [`arg${n}`, 'u64', `Argument ${n}, as passed`]),
      ...FILE,
      ['fd', 's32', 'The descriptor that the call is about, -1 if none'],
      ...SOCKET,
      [
        'flags',
        'u32',
        'RAW_TRUNCATED, RAW_UNREADABLE, TUPLE_KNOWN, CONNECTED, PEER_CHANGED, CWD_TRUNCATED, VIA_IO_URING, RESULT_UNKNOWN',
      ],
      ['queue_len', 'u32', 'accept: connections that wait'],
      ['queue_max', 'u32', 'accept: how many may'],
      [
        'size',
        'u32',
        'Messages: bytes that were offered or asked for. A connect that no rule is about: how many there were to its end',
      ],
    ],
    variable: [
      ['raw1', 'The first string as passed (user memory)'],
      ['raw2', 'The second string'],
      ['raw3', 'The third string'],
      ['dir1', 'The directory that raw1 is relative to (kernel); empty if it is absolute'],
      ['dir2', 'The same for raw2'],
      ['dir3', 'The same for raw3'],
      ['path', "The descriptor's file (kernel)"],
      ['addr', 'struct sockaddr as passed or returned (user memory)'],
      ['unix', "The peer's sun_path, or the socket's own (kernel)"],
      ['data', 'The first bytes sent, received or passed (user memory)'],
    ],
  },
  {
    name: 'cgroup',
    doc: "A container's cgroup of the deciding hierarchy appeared or went, or a process entered it or one inside it.",
    fixed: [
      ['id', 'u64', 'The cgroup'],
      ['root_id', 'u64', "The container's: itself, or the outermost cgroup around it that matched"],
      ['op', 'u32', 'CGROUP_*'],
      ['state', 'u32', 'SCOPE_*'],
    ],
    variable: [...LINEAGE, ['path', "Path from the hierarchy's root"]],
  },
];

/**
 * Events by Falco's name. `params`: [name, Falco type, source], in Falco's order, as far as the probe provides them; the source
 * only for kind `call` (SOURCES). `hook`: the program(s) to attach; `sched` ones stay attached.
 */
export const EVENTS = [
  { name: 'execve', kind: 'exec', hook: 'exec', category: 'process', params: execParams() },
  { name: 'execveat', kind: 'exec', hook: 'exec', category: 'process', params: execParams() },
  { name: 'clone', kind: 'clone', hook: 'fork', category: 'process', params: cloneParams() },
  { name: 'clone3', kind: 'clone', hook: 'fork', category: 'process', params: cloneParams() },
  { name: 'fork', kind: 'clone', hook: 'fork', category: 'process', params: cloneParams() },
  { name: 'vfork', kind: 'clone', hook: 'fork', category: 'process', params: cloneParams() },
  {
    name: 'procexit',
    kind: 'exit',
    hook: 'exit',
    category: 'process',
    params: [
      ['status', 'ERRNO'],
      ['ret', 'ERRNO'],
      ['sig', 'SIGTYPE'],
    ],
  },
  {
    name: 'open',
    kind: 'open',
    hook: 'open',
    category: 'file',
    params: [
      ['fd', 'FD'],
      ['name', 'FSPATH'],
      ['flags', 'FLAGS32'],
      ['mode', 'UINT32'],
      ['dev', 'UINT32'],
      ['ino', 'UINT64'],
    ],
  },
  {
    name: 'openat',
    kind: 'open',
    hook: 'openat',
    category: 'file',
    params: [
      ['fd', 'FD'],
      ['dirfd', 'FD'],
      ['name', 'FSRELPATH'],
      ['flags', 'FLAGS32'],
      ['mode', 'UINT32'],
      ['dev', 'UINT32'],
      ['ino', 'UINT64'],
    ],
  },
  {
    name: 'openat2',
    kind: 'open',
    hook: 'openat2',
    category: 'file',
    params: [
      ['fd', 'FD'],
      ['dirfd', 'FD'],
      ['name', 'FSRELPATH'],
      ['flags', 'FLAGS32'],
      ['mode', 'UINT32'],
      ['resolve', 'FLAGS32'],
      ['dev', 'UINT32'],
      ['ino', 'UINT64'],
    ],
  },
  {
    name: 'creat',
    kind: 'open',
    hook: 'creat',
    category: 'file',
    params: [
      ['fd', 'FD'],
      ['name', 'FSPATH'],
      ['mode', 'UINT32'],
      ['dev', 'UINT32'],
      ['ino', 'UINT64'],
    ],
  },
  ...CALLS.filter((call) => call.event === undefined).map((call) => ({
    name: call.name,
    kind: 'call',
    hook: call.hook ?? call.name,
    category: call.category,
    params: call.params,
  })),
];

function execParams() {
  return [
    ['res', 'ERRNO'],
    ['exe', 'CHARBUF'],
    ['args', 'CHARBUFARRAY'],
    ['tid', 'PID'],
    ['pid', 'PID'],
    ['ptid', 'PID'],
    ['cwd', 'CHARBUF'],
    ['comm', 'CHARBUF'],
    ['tty', 'UINT32'],
    ['vpgid', 'PID'],
    ['loginuid', 'UID'],
    ['flags', 'FLAGS32'],
    ['cap_inheritable', 'UINT64'],
    ['cap_permitted', 'UINT64'],
    ['cap_effective', 'UINT64'],
    ['exe_ino', 'UINT64'],
    ['uid', 'UID'],
    ['trusted_exepath', 'FSPATH'],
    ['pgid', 'PID'],
    ['gid', 'GID'],
    ['filename', 'FSPATH'],
  ];
}

function cloneParams() {
  return [
    ['res', 'PID'],
    ['tid', 'PID'],
    ['pid', 'PID'],
    ['ptid', 'PID'],
    ['flags', 'FLAGS32'],
    ['uid', 'UID'],
    ['gid', 'GID'],
    ['vtid', 'PID'],
    ['vpid', 'PID'],
  ];
}
