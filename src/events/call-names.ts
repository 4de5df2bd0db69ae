/**
 * Names that Falco prints for arguments of system calls, in its order, with the kernel's values (x86-64). Flags are
 * joined by `|`; of an enumeration one is printed, the first that fits.
 */
type Names = readonly (readonly [value: number, name: string])[];

/** 0, 1, 2, … in the order of the words. */
const numbered = (prefix: string, words: string): Names =>
  words
    .trim()
    .split(/\s+/)
    .map((word, value) => [value, prefix + word]);

// include/uapi/linux/sched.h
const CLONE: Names = [
  [0x00000400, 'CLONE_FILES'],
  [0x00000200, 'CLONE_FS'],
  [0x80000000, 'CLONE_IO'],
  [0x08000000, 'CLONE_NEWIPC'],
  [0x40000000, 'CLONE_NEWNET'],
  [0x00020000, 'CLONE_NEWNS'],
  [0x20000000, 'CLONE_NEWPID'],
  [0x04000000, 'CLONE_NEWUTS'],
  [0x00008000, 'CLONE_PARENT'],
  [0x00100000, 'CLONE_PARENT_SETTID'],
  [0x00002000, 'CLONE_PTRACE'],
  [0x00000800, 'CLONE_SIGHAND'],
  [0x00040000, 'CLONE_SYSVSEM'],
  [0x00010000, 'CLONE_THREAD'],
  [0x00800000, 'CLONE_UNTRACED'],
  [0x00000100, 'CLONE_VM'],
  [0x10000000, 'CLONE_NEWUSER'],
  [0x00200000, 'CLONE_CHILD_CLEARTID'],
  [0x01000000, 'CLONE_CHILD_SETTID'],
  [0x00080000, 'CLONE_SETTLS'],
  [0x00004000, 'CLONE_VFORK'],
  [0x02000000, 'CLONE_NEWCGROUP'],
];

const FLAGS = {
  CLONE,
  // include/uapi/linux/fcntl.h
  AT: [
    [0x400, 'AT_SYMLINK_FOLLOW'],
    [0x1000, 'AT_EMPTY_PATH'],
  ],
  UNLINK: [[0x200, 'AT_REMOVEDIR']],
  CHOWN_AT: [
    [0x100, 'AT_SYMLINK_NOFOLLOW'],
    [0x1000, 'AT_EMPTY_PATH'],
  ],
  RENAME: [
    [1, 'RENAME_NOREPLACE'],
    [2, 'RENAME_EXCHANGE'],
    [4, 'RENAME_WHITEOUT'],
  ],
  // include/uapi/linux/mount.h and fs.h
  MOUNT: [
    [1, 'RDONLY'],
    [2, 'NOSUID'],
    [4, 'NODEV'],
    [8, 'NOEXEC'],
    [16, 'SYNCHRONOUS'],
    [32, 'REMOUNT'],
    [64, 'MANDLOCK'],
    [128, 'DIRSYNC'],
    [1024, 'NOATIME'],
    [2048, 'NODIRATIME'],
    [4096, 'BIND'],
    [8192, 'MOVE'],
    [16384, 'REC'],
    [32768, 'SILENT'],
    [1 << 16, 'POSIXACL'],
    [1 << 17, 'UNBINDABLE'],
    [1 << 18, 'PRIVATE'],
    [1 << 19, 'SLAVE'],
    [1 << 20, 'SHARED'],
    [1 << 21, 'RELATIME'],
    [1 << 22, 'KERNMOUNT'],
    [1 << 23, 'I_VERSION'],
    [1 << 24, 'STRICTATIME'],
    [1 << 25, 'LAZYTIME'],
    [1 << 28, 'NOSEC'],
    [1 << 29, 'BORN'],
    [1 << 30, 'ACTIVE'],
    [0x80000000, 'NOUSER'],
  ],
  UMOUNT: [
    [1, 'FORCE'],
    [2, 'DETACH'],
    [4, 'EXPIRE'],
    [8, 'NOFOLLOW'],
  ],
  OPEN_TREE: [
    [1, 'OPEN_TREE_CLONE'],
    [0x100, 'AT_SYMLINK_NOFOLLOW'],
    [0x800, 'AT_NO_AUTOMOUNT'],
    [0x1000, 'AT_EMPTY_PATH'],
    [0x8000, 'AT_RECURSIVE'],
    [0x80000, 'OPEN_TREE_CLOEXEC'],
  ],
  MOVE_MOUNT: [
    [1, 'MOVE_MOUNT_F_SYMLINKS'],
    [2, 'MOVE_MOUNT_F_AUTOMOUNTS'],
    [4, 'MOVE_MOUNT_F_EMPTY_PATH'],
    [0x10, 'MOVE_MOUNT_T_SYMLINKS'],
    [0x20, 'MOVE_MOUNT_T_AUTOMOUNTS'],
    [0x40, 'MOVE_MOUNT_T_EMPTY_PATH'],
    [0x100, 'MOVE_MOUNT_SET_GROUP'],
    [0x200, 'MOVE_MOUNT_BENEATH'],
  ],
  FSOPEN: [[1, 'FSOPEN_CLOEXEC']],
  // include/uapi/linux/memfd.h
  MEMFD: [
    [1, 'MFD_CLOEXEC'],
    [2, 'MFD_ALLOW_SEALING'],
    [4, 'MFD_HUGETLB'],
  ],
  // include/uapi/asm-generic/mman-common.h, arch/x86/include/uapi/asm/mman.h
  PROT: [
    [1, 'PROT_READ'],
    [2, 'PROT_WRITE'],
    [4, 'PROT_EXEC'],
    [8, 'PROT_SEM'],
    [0x01000000, 'PROT_GROWSDOWN'],
    [0x02000000, 'PROT_GROWSUP'],
    [0, 'PROT_NONE'],
  ],
  MAP: [
    [1, 'MAP_SHARED'],
    [2, 'MAP_PRIVATE'],
    [0x10, 'MAP_FIXED'],
    [0x20, 'MAP_ANONYMOUS'],
    [0x40, 'MAP_32BIT'],
    [0x4000, 'MAP_NORESERVE'],
    [0x8000, 'MAP_POPULATE'],
    [0x10000, 'MAP_NONBLOCK'],
    [0x100, 'MAP_GROWSDOWN'],
    [0x800, 'MAP_DENYWRITE'],
    [0x1000, 'MAP_EXECUTABLE'],
    [0x2000, 'MAP_LOCKED'],
  ],
  DUP: [[0o2000000, 'O_CLOEXEC']],
  USERFAULT: [
    [0o4000, 'O_NONBLOCK'],
    [0o2000000, 'O_CLOEXEC'],
  ],
  DELETE_MODULE: [
    [0o1000, 'O_TRUNC'],
    [0o4000, 'O_NONBLOCK'],
  ],
  PIDFD: [[0o4000, 'PIDFD_NONBLOCK']],
  // include/uapi/linux/module.h
  MODULE: [
    [1, 'MODULE_INIT_IGNORE_MODVERSIONS'],
    [2, 'MODULE_INIT_IGNORE_VERMAGIC'],
    [4, 'MODULE_INIT_COMPRESSED_FILE'],
  ],
  // include/uapi/linux/io_uring.h; two have names of Falco's own
  URING_SETUP: [
    [1, 'IORING_SETUP_IOPOLL'],
    [2, 'IORING_SETUP_SQPOLL'],
    [4, 'IORING_SETUP_SQ_AFF'],
    [8, 'IORING_SETUP_CQSIZE'],
    [16, 'IORING_SETUP_CLAMP'],
    [32, 'IORING_SETUP_ATTACH_RW'],
    [64, 'IORING_SETUP_R_DISABLED'],
  ],
  URING_FEATURES: [
    [1, 'IORING_FEAT_SINGLE_MMAP'],
    [2, 'IORING_FEAT_NODROP'],
    [4, 'IORING_FEAT_SUBMIT_STABLE'],
    [8, 'IORING_FEAT_RW_CUR_POS'],
    [16, 'IORING_FEAT_CUR_PERSONALITY'],
    [32, 'IORING_FEAT_FAST_POLL'],
    [64, 'IORING_FEAT_POLL_32BITS'],
    [128, 'IORING_FEAT_SQPOLL_NONFIXED'],
    [256, 'IORING_FEAT_ENTER_EXT_ARG'],
    [512, 'IORING_FEAT_NATIVE_WORKERS'],
    [1024, 'IORING_FEAT_RSRC_TAGS'],
  ],
  URING_ENTER: [
    [1, 'IORING_ENTER_GETEVENTS'],
    [2, 'IORING_ENTER_SQ_WAKEUP'],
    [4, 'IORING_ENTER_SQ_WAIT'],
    [8, 'IORING_ENTER_EXT_ARG'],
  ],
} satisfies Readonly<Record<string, Names>>;

const ENUMS = {
  // include/linux/socket.h
  AF: [
    [39, 'AF_NFC'],
    [38, 'AF_ALG'],
    [37, 'AF_CAIF'],
    [36, 'AF_IEEE802154'],
    [35, 'AF_PHONET'],
    [34, 'AF_ISDN'],
    [33, 'AF_RXRPC'],
    [32, 'AF_IUCV'],
    [31, 'AF_BLUETOOTH'],
    [30, 'AF_TIPC'],
    [29, 'AF_CAN'],
    [26, 'AF_LLC'],
    [25, 'AF_WANPIPE'],
    [24, 'AF_PPPOX'],
    [23, 'AF_IRDA'],
    [22, 'AF_SNA'],
    [21, 'AF_RDS'],
    [20, 'AF_ATMSVC'],
    [19, 'AF_ECONET'],
    [18, 'AF_ASH'],
    [17, 'AF_PACKET'],
    [16, 'AF_ROUTE'],
    [15, 'AF_KEY'],
    [14, 'AF_SECURITY'],
    [13, 'AF_NETBEUI'],
    [12, 'AF_DECnet'],
    [11, 'AF_ROSE'],
    [10, 'AF_INET6'],
    [9, 'AF_X25'],
    [8, 'AF_ATMPVC'],
    [7, 'AF_BRIDGE'],
    [6, 'AF_NETROM'],
    [5, 'AF_APPLETALK'],
    [4, 'AF_IPX'],
    [3, 'AF_AX25'],
    [2, 'AF_INET'],
    [1, 'AF_LOCAL'],
    [0, 'AF_UNSPEC'],
  ],
  // include/uapi/linux/ptrace.h, arch/x86/include/uapi/asm/ptrace-abi.h
  PTRACE: [
    ...numbered('PTRACE_', 'TRACEME PEEKTEXT PEEKDATA PEEKUSR POKETEXT POKEDATA POKEUSR CONT KILL'),
    [9, 'PTRACE_SINGLESTEP'],
    [12, 'PTRACE_GETREGS'],
    [13, 'PTRACE_SETREGS'],
    [14, 'PTRACE_GETFPREGS'],
    [15, 'PTRACE_SETFPREGS'],
    [16, 'PTRACE_ATTACH'],
    [17, 'PTRACE_DETACH'],
    [18, 'PTRACE_GETFPXREGS'],
    [19, 'PTRACE_SETFPXREGS'],
    [21, 'PTRACE_OLDSETOPTIONS'],
    [24, 'PTRACE_SYSCALL'],
    [25, 'PTRACE_GET_THREAD_AREA'],
    [26, 'PTRACE_SET_THREAD_AREA'],
    [30, 'PTRACE_ARCH_PRCTL'],
    [31, 'PTRACE_SYSEMU'],
    [32, 'PTRACE_SYSEMU_SINGLESTEP'],
    [33, 'PTRACE_SINGLEBLOCK'],
    [0x4200, 'PTRACE_SETOPTIONS'],
    [0x4201, 'PTRACE_GETEVENTMSG'],
    [0x4202, 'PTRACE_GETSIGINFO'],
    [0x4203, 'PTRACE_SETSIGINFO'],
    [0x4204, 'PTRACE_GETREGSET'],
    [0x4205, 'PTRACE_SETREGSET'],
    [0x4206, 'PTRACE_SEIZE'],
    [0x4207, 'PTRACE_INTERRUPT'],
    [0x4208, 'PTRACE_LISTEN'],
    [0x4209, 'PTRACE_PEEKSIGINFO'],
    [0x420a, 'PTRACE_GETSIGMASK'],
    [0x420b, 'PTRACE_SETSIGMASK'],
  ],
  // include/uapi/linux/prctl.h
  PRCTL: [
    [3, 'PR_GET_DUMPABLE'],
    [4, 'PR_SET_DUMPABLE'],
    [7, 'PR_GET_KEEPCAPS'],
    [8, 'PR_SET_KEEPCAPS'],
    [15, 'PR_SET_NAME'],
    [16, 'PR_GET_NAME'],
    [21, 'PR_GET_SECCOMP'],
    [22, 'PR_SET_SECCOMP'],
    [23, 'PR_CAPBSET_READ'],
    [24, 'PR_CAPBSET_DROP'],
    [27, 'PR_GET_SECUREBITS'],
    [28, 'PR_SET_SECUREBITS'],
    [33, 'PR_MCE_KILL'],
    [35, 'PR_SET_MM'],
    [36, 'PR_SET_CHILD_SUBREAPER'],
    [37, 'PR_GET_CHILD_SUBREAPER'],
    [38, 'PR_SET_NO_NEW_PRIVS'],
    [39, 'PR_GET_NO_NEW_PRIVS'],
    [40, 'PR_GET_TID_ADDRESS'],
    [41, 'PR_SET_THP_DISABLE'],
    [42, 'PR_GET_THP_DISABLE'],
    [47, 'PR_CAP_AMBIENT'],
  ],
  // include/uapi/linux/keyctl.h
  KEYCTL: numbered(
    'KEYCTL_',
    `GET_KEYRING_ID JOIN_SESSION_KEYRING UPDATE REVOKE CHOWN SETPERM DESCRIBE CLEAR LINK UNLINK SEARCH READ
    INSTANTIATE NEGATE SET_REQKEY_KEYRING SET_TIMEOUT ASSUME_AUTHORITY GET_SECURITY SESSION_TO_PARENT REJECT
    INSTANTIATE_IOV INVALIDATE GET_PERSISTENT DH_COMPUTE PKEY_QUERY PKEY_ENCRYPT PKEY_DECRYPT PKEY_SIGN
    PKEY_VERIFY RESTRICT_KEYRING MOVE CAPABILITIES WATCH_KEY`,
  ),
  // include/uapi/linux/bpf.h
  BPF: numbered(
    'BPF_',
    `MAP_CREATE MAP_LOOKUP_ELEM MAP_UPDATE_ELEM MAP_DELETE_ELEM MAP_GET_NEXT_KEY PROG_LOAD OBJ_PIN OBJ_GET
    PROG_ATTACH PROG_DETACH PROG_TEST_RUN PROG_GET_NEXT_ID MAP_GET_NEXT_ID PROG_GET_FD_BY_ID MAP_GET_FD_BY_ID
    OBJ_GET_INFO_BY_FD PROG_QUERY RAW_TRACEPOINT_OPEN BTF_LOAD BTF_GET_FD_BY_ID TASK_FD_QUERY
    MAP_LOOKUP_AND_DELETE_ELEM MAP_FREEZE BTF_GET_NEXT_ID MAP_LOOKUP_BATCH MAP_LOOKUP_AND_DELETE_BATCH
    MAP_UPDATE_BATCH MAP_DELETE_BATCH LINK_CREATE LINK_UPDATE LINK_GET_FD_BY_ID LINK_GET_NEXT_ID ENABLE_STATS
    ITER_CREATE LINK_DETACH PROG_BIND_MAP`,
  ),
  URING_REGISTER: numbered(
    'IORING_',
    `REGISTER_BUFFERS UNREGISTER_BUFFERS REGISTER_FILES UNREGISTER_FILES REGISTER_EVENTFD UNREGISTER_EVENTFD
    REGISTER_FILES_UPDATE REGISTER_EVENTFD_ASYNC REGISTER_PROBE REGISTER_PERSONALITY UNREGISTER_PERSONALITY
    REGISTER_RESTRICTIONS REGISTER_ENABLE_RINGS REGISTER_FILES2 REGISTER_FILES_UPDATE2 REGISTER_BUFFERS2
    REGISTER_BUFFERS_UPDATE REGISTER_IOWQ_AFF UNREGISTER_IOWQ_AFF REGISTER_IOWQ_MAX_WORKERS REGISTER_RING_FDS
    UNREGISTER_RING_FDS`,
  ),
} satisfies Readonly<Record<string, Names>>;

const ENUM_NAMES: ReadonlyMap<string, ReadonlyMap<number, string>> = new Map(
  Object.entries(ENUMS).map(([set, names]) => [set, firstNames(names)]),
);

function firstNames(names: Names): ReadonlyMap<number, string> {
  const first = new Map<number, string>();
  for (const [value, name] of names) if (!first.has(value)) first.set(value, name);
  return first;
}

/** The text for a value that an enumeration lacks; others print its number. */
const UNKNOWN: Readonly<Record<string, string>> = { PTRACE: 'PTRACE_UNKNOWN' };

/** A set of names that an argument can be printed with. */
export type NameSet = keyof typeof FLAGS | keyof typeof ENUMS;

export function isNameSet(name: string): name is NameSet {
  return Object.hasOwn(FLAGS, name) || Object.hasOwn(ENUMS, name);
}

/** An argument of 32 bits as Falco prints it. Bits without a name are left out. */
export function namesOf(set: NameSet, value: number): string {
  const names = ENUM_NAMES.get(set);
  if (names !== undefined) return names.get(value) ?? UNKNOWN[set] ?? String(value);
  return flagNames(FLAGS[set as keyof typeof FLAGS], value);
}

/** `PROT_READ|PROT_EXEC`; the name of 0, if it has one, for 0. */
function flagNames(names: Names, value: number): string {
  const fits = ([bit]: Names[number]): boolean =>
    bit === 0 ? value === 0 : (value & bit) === (bit | 0);
  return names
    .filter(fits)
    .map(([, name]) => name)
    .join('|');
}

/** `evt.arg.flags` of the clone family; the low byte is the exit signal. */
export const cloneFlagsText = (flags: number): string => flagNames(CLONE, flags);
