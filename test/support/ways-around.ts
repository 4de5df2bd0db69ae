// How processes of a container may try to get around a denial, and what comes of it. Tests make each of these tries
// (test/kernel/bypass-*.test.ts), and the table in manifests/docs/responses.md is made of it.

/** The call fails with EPERM. */
const REFUSED = 'refused';
/** The process ends before the first instruction of its new program. */
const ENDED = 'ended';
/** Not prevented; the rule matches, so that the process is killed after the effect. */
const KILLED = 'killed after';
/** Not prevented, and no rule matches: neither the one that denies nor a default rule. */
const NOT_SEEN = 'not seen';
/** Not prevented by the rule; a default rule reports what led there. */
const reported = <Rule extends string>(rule: Rule) => ({ reportedBy: rule });

export type Outcome =
  typeof REFUSED | typeof ENDED | typeof KILLED | typeof NOT_SEEN | { readonly reportedBy: string };

const MOUNTED = reported('Filesystem mounted in a container');
const OTHER_ROOT = reported('Root directory changed');

/** Of cgroups and namespaces: the same for all calls. */
const PLACES = {
  'another thread': REFUSED,
  'own mount namespace': REFUSED,
  'own user and mount namespaces': REFUSED,
  'own pid namespace': REFUSED,
  'cgroup of its own below the container’s': REFUSED,
  'born into a cgroup below the container’s': REFUSED,
  'born into a cgroup outside': NOT_SEEN,
  'moved to a cgroup outside': NOT_SEEN,
  'forks while tables are replaced': REFUSED,
} as const;

export type PlaceWay = keyof typeof PLACES;

/** The same for all calls on paths. */
const PATHS = {
  '/proc/self/root': REFUSED,
  'symbolic link': REFUSED,
  'symbolic link that is swapped meanwhile': REFUSED,
  'bind mount': MOUNTED,
  chroot: OTHER_ROOT,
  'copy of the mounts (open_tree)': MOUNTED,
  'parent directory under another name': NOT_SEEN,
  // Their paths do not lead to the root of the process: what there is of them counts.
  '/proc/PID/root of other mounts': REFUSED,
  'directory kept beyond a chroot': REFUSED,
} as const;

/** What leads to a file that is known by its inode. */
const KNOWN_FILES = {
  'bind mount': REFUSED,
  chroot: REFUSED,
  'copy of the mounts (open_tree)': REFUSED,
  'parent directory under another name': REFUSED,
  'hard link in another directory': REFUSED,
} as const;

export const OPEN_WAYS = {
  ...PATHS,
  ...KNOWN_FILES,
  ...PLACES,
  'session from outside (docker exec)': REFUSED,
  '/proc/self/fd': REFUSED,
  'path changed in memory meanwhile': REFUSED,
  'dup2 by another thread meanwhile': REFUSED,
  io_uring: REFUSED,
  'io_uring, by a worker': REFUSED,
  'io_uring, by a thread of the kernel': REFUSED,
  'int 0x80': REFUSED,
  // No rule about opens is about it.
  open_by_handle_at: reported('File opened by its handle'),
} as const satisfies Readonly<Record<string, Outcome>>;

export const CHANGE_WAYS = {
  ...PATHS,
  ...PLACES,
  'session from outside (docker exec)': REFUSED,
  '/proc/self/fd': REFUSED,
  'path changed in memory meanwhile': REFUSED,
  'another file put over it': REFUSED,
  'hard link in another directory': REFUSED,
  io_uring: REFUSED,
  'io_uring, by a worker': REFUSED,
  'io_uring, by a thread of the kernel': REFUSED,
  'int 0x80': REFUSED,
} as const satisfies Readonly<Record<string, Outcome>>;

export const CONNECT_WAYS = {
  ...PLACES,
  'session from outside (docker exec)': REFUSED,
  'own network namespace': REFUSED,
  'address changed in memory meanwhile': REFUSED,
  'dup2 by another thread meanwhile': REFUSED,
  io_uring: REFUSED,
  'io_uring, by a worker': REFUSED,
  'io_uring, by a thread of the kernel': REFUSED,
  'int 0x80': REFUSED,
  'socketcall of int 0x80': REFUSED,
  'IPv4 address in an IPv6 one': REFUSED,
  'Multipath TCP': REFUSED,
  'socket made outside': REFUSED,
  'raw socket': KILLED,
} as const satisfies Readonly<Record<string, Outcome>>;

export const PROGRAM_WAYS = {
  ...PATHS,
  ...PLACES,
  '/proc/self/root': ENDED,
  'symbolic link': ENDED,
  'symbolic link that is swapped meanwhile': ENDED,
  '/proc/PID/root of other mounts': ENDED,
  'directory kept beyond a chroot': ENDED,
  'another thread': ENDED,
  'own mount namespace': ENDED,
  'own user and mount namespaces': ENDED,
  'own pid namespace': ENDED,
  'cgroup of its own below the container’s': ENDED,
  'born into a cgroup below the container’s': ENDED,
  'forks while tables are replaced': ENDED,
  '/proc/self/fd': ENDED,
  'descriptor (execveat)': ENDED,
  'dup2 by another thread meanwhile': ENDED,
  'script (#!)': ENDED,
  'script of a script': ENDED,
  memfd: ENDED,
  vfork: ENDED,
  posix_spawn: ENDED,
  'int 0x80': ENDED,
  'hard link in another directory': reported('New program dropped and run'),
  'ld.so PROGRAM': reported('Program run by the loader'),
  'session from outside (docker exec)': KILLED,
  'program of a session from outside': ENDED,
} as const satisfies Readonly<Record<string, Outcome>>;
