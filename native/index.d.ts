import type { LoaderJudgedCall, LoaderKnownProcess } from './judged-call.cjs';

export type { LoaderJudgedCall, LoaderKnownProcess };

/** Thrown by every operation that the system refuses. */
export interface LoaderError extends Error {
  /** Symbolic errno, such as 'EPERM'; 'ELIBBPF' for libbpf's own errors. */
  readonly code: string;
  readonly errno: number;
  /** The attempted operation, as a phrase: 'load the probe into the kernel'. */
  readonly operation: string;
  /** The last output of libbpf or another explanation; may be empty. */
  readonly detail: string;
}

/** Calls by who makes them: all but the others; those that make memory executable; unshare of the user namespace (Linux 6.1); connects to unix sockets; binds and device nodes, by cgroup v2 (Linux 5.7). */
export type CallGroup = 'calls' | 'memory' | 'namespaces' | 'unix' | 'cgroup';
export type ScopeStateName = 'pending' | 'included' | 'excluded';

/** See struct scope_pattern in probe/shared.h. Texts: prefix < 64 bytes, the others < 32. */
export interface LoaderScopePattern {
  readonly prefix: string;
  readonly leafPrefix: string;
  readonly leafSuffix: string;
  readonly handle: 'hex64' | 'any' | 'none';
  readonly deep: boolean;
  /** A match means that it is not a container; later patterns are not tried. */
  readonly negative?: boolean;
}

/** A container's entry, which covers all cgroups inside. Counters only grow. Times are CLOCK_BOOTTIME ns, 0 for none. */
export interface LoaderScopeEntry {
  readonly cgroupId: number;
  readonly state: ScopeStateName;
  readonly emitted: number;
  readonly dropped: number;
  readonly prefiltered: number;
  /** Those of `dropped` that are records of process life and of cgroups. */
  readonly droppedExec: number;
  /** Those of `dropped` for which the container had used up its own share of a ring. */
  readonly droppedShare: number;
  /** Those of `dropped`, and not of `droppedShare`, that were lost while this process had not read the rings for 500 ms or more. */
  readonly droppedLate: number;
  /** The first loss in the interval of the last one (see nextLossInterval). */
  readonly firstDropBootNs: number;
  readonly lastDropBootNs: number;
  /** The longest time, ns, without a read of the rings at the moment of a loss, in that interval. */
  readonly lateNs: number;
}

/** The deepest level at which a cgroup can be a container. */
export const levelMax: number;

export interface ProbeOptions {
  /** The probe object; default: the one built beside the addon. */
  readonly objectPath?: string;
  /** Which cgroup hierarchy decides, and its id (0 for v2, the number in /proc/cgroups for v1). */
  readonly hierarchy: { readonly kind: 'v2' | 'v1-pids'; readonly id: number };
  /** At most 16, tried in order. */
  readonly patterns: readonly LoaderScopePattern[];
  /** Powers of two, 64 KiB to 1 GiB; default 1 MiB and 4 MiB. Each takes twice its size of address space, but not of memory. */
  readonly execRingBytes?: number;
  readonly bulkRingBytes?: number;
  /**
   * Leaves out the programs of single system calls, some 0.2 s of the load time: their hooks can be attached only while
   * 'compat_exit' is, which reports them. Default false.
   */
  readonly byCompatExit?: boolean;
  /** For tests: loads what `runVerdict` needs. */
  readonly withVerdictRun?: boolean;
}

export interface ProbeStats {
  readonly emitted: number;
  readonly dropped: number;
  /** Those of `dropped` that are records of process life and of cgroups, without which a process tree is incomplete. */
  readonly droppedExec: number;
  /** Cgroups that found the scope map full: their containers are not watched. */
  readonly scopeFull: number;
  readonly readErrors: number;
  /** Programs that were denied, but whose record was dropped. */
  readonly deniedDropped: number;
  /** How the consumer waits: for a tick, for a longer one (unless an urgent record comes or a ring fills), or for the next record. */
  readonly waits: 'polls' | 'dozes' | 'asleep';
  /** Number of times that all containers got a new budget (modulo 2^32): whenever the rings' content had been taken. */
  readonly epoch: number;
  /** Time of the oldest record that was read from the rings and waits for its container's turn; undefined if there is none. */
  readonly waitingSinceBootNs: number | undefined;
}

/**
 * The probe in the kernel. Needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN), kernel 5.15+ with BTF. All methods throw
 * LoaderError, after close() with code EBADF, and TypeError for arguments of the wrong type. Nothing outlives the process
 * but what `pin` has named.
 */
export class Probe {
  /** Loads in the calling thread: some 0.6 s, most of it in the kernel's verifier. */
  constructor(options: ProbeOptions);
  /** Loads in its own thread. Rejects with what the constructor throws. */
  static load(options: ProbeOptions): Promise<Probe>;
  /**
   * By name (see programs()); idempotent. ENOENT: this kernel or probe has no such hook. 'compat_exit' reports the system calls
   * whose hooks are attached after it, also those without a tracepoint, by whatever way they are made. So does 'io_uring' for
   * requests.
   */
  attach(name: string): void;
  /** Detaching 'compat_exit' also detaches the hooks that only it reports. */
  detach(name: string): void;
  attached(): string[];
  programs(): string[];
  /**
   * Inserts an entry, or changes its state in place: counters remain. ENOSPC beyond 16384 containers. `level`: depth of the cgroup below
   * the hierarchy's root, at most 31. It has those inside. `table`: number of its table (setVerdicts), 0: none, undefined: no change.
   */
  scopeSet(cgroupId: number, state: ScopeStateName, level: number, table?: number): void;
  /** Sets a table (`struct verdict_table`) at a number from 1 to 63, between two calls. Undefined removes it: all is reported then. */
  setVerdicts(number: number, table: Uint8Array | undefined): void;
  /** From its return on, no table filters or denies. One that is set anew does; the others keep their memory, 1.2 MB each, until they are removed. */
  suspendVerdicts(): void;
  /** The same, but what the tables deny stays denied. `only`: this one alone filters no more. */
  stopFiltering(only?: number): void;
  /** Sets at number `to` what the table at `from` denies but by these rules (as allowRules). It filters nothing. ENOENT: there is none. */
  copyVerdicts(from: number, to: number, rules: number): void;
  /** These rules of the table at this number deny no more: bit n: rule n. Throws LoaderError: ENOENT if there is none. */
  allowRules(number: number, rules: number): void;
  /**
   * From its return on, connections that a rule certainly denies are refused with EPERM, as the tables of their containers say.
   * `directory`: the root of the cgroup v2 hierarchy. Idempotent; loads the programs first, in some 0.1 s. Throws LoaderError:
   * EBADF if the directory is of cgroup v1, EACCES or EINVAL if the kernel refuses the programs. It ends with the probe.
   */
  denyConnects(directory: string, objectPath?: string): void;
  allowConnects(): void;
  /**
   * From its return on, opens that a rule certainly denies are refused with EPERM, as the tables of their containers say. It does not
   * matter how they are made, but for O_PATH. So are calls that change a name, a mode or an owner: unlink, rmdir, rename, link, symlink,
   * mkdir, chmod, chown and their kind. Idempotent; loads the programs first, from this folder. Throws LoaderError where the kernel does
   * not let programs change results (fmod_ret, Linux 5.7; CONFIG_SECURITY_PATH): EPERM, EACCES or EINVAL.
   */
  denyFiles(objectsPath?: string): void;
  allowFiles(): void;
  /**
   * The file that this descriptor of ours is of is known by its inode from now on, while `denyFiles` holds: opens in the container are also
   * judged by this path of it, whatever name it is opened by. At most 255 bytes. The first path stays until `forgetFile`. Returns its key. Throws
   * LoaderError: EBADF: no such descriptor, or `denyFiles` was not called; E2BIG: 16384 files are known.
   */
  knowFile(cgroupId: number, fd: number, path: Uint8Array): string;
  forgetFile(key: string): void;
  /** The same of calls that are denied by who makes them (schema/ways.mjs). Default: `calls`. `cgroup` takes the directory of denyConnects. */
  denyCalls(group?: CallGroup, directory?: string): void;
  allowCalls(group?: CallGroup): void;
  /**
   * Keeps what denies in the kernel after this process, however it ends, by names in the directory, which is made. It must be in a BPF
   * file system: else EPERM. Idempotent: call it again once more is loaded. It also survives `close`.
   */
  pin(directory: string): void;
  /** Takes the names away, and the limit of `noteSeen`. */
  unpin(): void;
  /**
   * The agent is there. Denials more than 3 s after the last call are counted for `unseenDenials`. From `denyMs` after it on nothing is
   * denied; 0: there is no such limit.
   */
  noteSeen(denyMs?: number): void;
  /**
   * Returns the probe's verdict on a call, for tests; EBADF without `withVerdictRun`. `passes`: 0: no rule can match,
   * 1: one may, -1: there is no such table. `failing`: bit n: rule n of the table's certain ones may fail. `denies`: bit n: rule n
   * denies such a call, and certainly matches it.
   */
  runVerdict(
    table: number,
    call: LoaderJudgedCall,
  ): { readonly passes: number; readonly failing: number; readonly denies: number };
  /**
   * Tells the probe what a process runs that was there before it, and whose child it is, for verdicts on those that it starts. What the
   * probe has seen itself stays. At most 8192 processes are kept.
   */
  adoptProcess(known: LoaderKnownProcess): void;
  scopeDelete(cgroupId: number): void;
  scopeGet(cgroupId: number): LoaderScopeEntry | undefined;
  scopeEntries(): LoaderScopeEntry[];
  /** Calls of all containers that were filtered in the kernel, by event number (native/schema/EVENTS.md). */
  filtered(): Float64Array;
  /** Later losses get their own first and last times. Call it after reading the entries' times. */
  nextLossInterval(): void;
  /**
   * Which opens and which messages (sendto, sendmsg, sendmmsg, recvfrom, recvmsg, recvmmsg) are reported; none before the first call.
   * Others count as prefiltered. `newPeer`: those of an unconnected socket to or from another address than in its previous message; the
   * last addresses of at most 8192 sockets are remembered.
   */
  setMasks(masks: {
    opens: { read: boolean; write: boolean; failed: boolean };
    messages: { newPeer: boolean; other: boolean };
    /** Which of dup, dup2 and dup3. `network`: of an IPv4 or IPv6 socket; `other`: of anything else, and failed calls. */
    dups: { network: boolean; other: boolean };
    /**
     * Which calls of socket(). `ordinary`: IPv4 and IPv6, SOCK_STREAM and SOCK_DGRAM; `local`: AF_UNIX and AF_NETLINK; `other`: the
     * rest. Failed calls count by what they asked for. Those of io_uring are always reported.
     */
    sockets: { ordinary: boolean; local: boolean; other: boolean };
    /** Whether execs include their environment; up to 8 KiB of it. */
    env: boolean;
  }): void;
  /**
   * Starts to deliver records. Calls `onBatch(bytes)` after copying `bytes` of whole records (native/schema/EVENTS.md), oldest
   * first, to the start of `buffer` (at least 128 KiB). The next batch overwrites them. Keeps the event loop alive until
   * close(). An exception from onBatch is an uncaught exception.
   *
   * A record is delivered at once when none has come for a while, else within `tickMs` (default 2). That is within `dozeMs`
   * (default 16, or `tickMs` if that is more) for starts and ends of processes, and for what no table of verdicts has judged.
   */
  start(
    buffer: ArrayBuffer,
    onBatch: (bytes: number) => void,
    options?: { tickMs?: number; dozeMs?: number; safetyMs?: number },
  ): void;
  /** Delivers now what is in the rings, and queued records; returns the bytes. */
  drain(): number;
  skipped(): number; // see src/agent/skipped-programs.ts
  /**
   * Counts as `deniedDropped` the calls that were refused at least so long ago, and whose ends the probe has not seen: since Linux 7.0 the
   * kernel may skip the program that reports them. Returns how many. One that ends later is told as a call that failed.
   */
  forgetRefusals(olderMs: number): number;
  stats(): ProbeStats;
  /** Detaches and releases everything. Idempotent. */
  close(): void;
}

/**
 * Containers that are cut off from the network, but for loopback and name servers (port 53). It needs cgroup v2 and Linux 5.7.
 * Dropped are the IP packets from and to sockets that the cgroup's processes have made, on connections from before too. A connect
 * elsewhere fails with EPERM. Nothing outlives the process: nothing is pinned.
 */
export class Isolation {
  /** `servers`: at most 8 IP addresses. Throws LoaderError, and TypeError for what is no IP address. */
  constructor(options?: { readonly servers?: readonly string[]; readonly objectPath?: string });
  /**
   * Cuts the container off at once; idempotent. `directory` is its cgroup's. `addresses`: its own, to which it may still connect; a later
   * call adds more.
   * LoaderError: ESRCH: the directory is another cgroup's; EBADF: it is of v1; ENOENT: it is gone.
   */
  isolate(cgroupId: number, directory: string, addresses?: readonly string[]): void;
  /** Undoes it. Does nothing for a container that is not isolated. */
  lift(cgroupId: number): void;
  /** Ids of the cgroups of isolated containers; those that have ended are among them until they are lifted. */
  isolated(): number[];
  /** Of all containers so far: packets dropped and connects refused. */
  counts(): { readonly packets: number; readonly connects: number };
  /** Lifts all. Idempotent. */
  close(): void;
}
/**
 * Checks in an isolated cgroup that a child can reach nobody but itself. Throws LoaderError with the step that failed as its
 * detail. The child sends nothing.
 */
export function testIsolation(directory: string): void;

/** Version of the record layout that the addon was built with. */
export const wireVersion: number;
/** CLOCK_BOOTTIME in nanoseconds. */
export function bootTimeNs(): bigint;

/**
 * By cgroup, what pinned programs have denied without an agent: `directory` is one that was passed to `pin`. Throws LoaderError: ENOENT
 * if nothing is pinned there, ENOTSUP if another version has done so.
 */
export function unseenDenials(
  directory: string,
): readonly { readonly cgroupId: number; readonly count: number }[];
/** All containers that pinned programs know, with the number of the table that each has; 0: none. Throws as unseenDenials. */
export function pinnedScope(
  directory: string,
): readonly { readonly cgroupId: number; readonly table: number; readonly count: number }[];
/**
 * From its return on pinned programs deny nothing in this container. `level`: its depth below the root of its hierarchy. Throws as
 * unseenDenials; ENOENT also if the container is not known.
 */
export function allowPinned(directory: string, cgroupId: number, level: number): void;
/** A table that pinned programs ask; undefined if there is none of this number. Throws as unseenDenials; EPERM without CAP_SYS_ADMIN. */
export function pinnedTable(directory: string, number: number): Uint8Array | undefined;
/** From its return on these rules of the table deny nothing: bit n for rule n. Throws as pinnedTable; ESRCH if there is none. */
export function allowPinnedRules(directory: string, number: number, rules: number): void;
/** CPU time of the calling thread (CLOCK_THREAD_CPUTIME_ID) in milliseconds. */
export function threadCpuMs(): number;
/**
 * Returns pages to the system that the C library keeps after free() (malloc_trim(3)); takes milliseconds. Returns whether there
 * were any.
 */
export function trimHeap(): boolean;
/**
 * Runs a child that enters the cgroup directory, opens `sentinel`, connects a UDP socket to 127.0.0.1:9 (sends nothing) and
 * execs /bin/true. Returns its pid after it has exited.
 */
export function selfTest(cgroupDirectory: string, sentinel: string): number;
/** Maps memory that is writable and executable, and gives it back. Returns 0, or the errno. */
export function tryExecutableMemory(): number;
/** The addon, for a script that has no npm packages. */
export const addonPath: string;
/** Runs `node -e script` as a container's first process, in the cgroup directory. Returns its exit code, at most 200. Throws EIO. */
export function runFirstProcess(cgroupDirectory: string, node: string, script: string): number;
/**
 * Opens a regular file, or a directory if requested, below `root` read-only (openat2: RESOLVE_IN_ROOT, NO_MAGICLINKS, NO_XDEV,
 * and NO_SYMLINKS unless allowed). The caller must close the descriptor. EINVAL: another file type; it was not opened then, so
 * no device or pipe is affected.
 */
export function openInRoot(
  root: string,
  file: string,
  options?: { symlinks?: boolean; directory?: boolean },
): number;
/**
 * Finds a file of any type below `root` (openat2: RESOLVE_IN_ROOT, NO_MAGICLINKS, NO_SYMLINKS, and NO_XDEV unless mounts are allowed). The
 * descriptor is of the path alone (O_PATH); the caller must close it. Only file systems that the path leads through are asked.
 */
export function findInRoot(root: string, file: string, options?: { mounts?: boolean }): number;
/** Reads at most `maxBytes` (up to 64 MiB, RangeError beyond it) of such a file. */
export function readInRoot(
  root: string,
  file: string,
  maxBytes: number,
  options?: { symlinks?: boolean },
): Buffer;
/**
 * Sends SIGKILL to the process with this pid and start (ticks of 1/100 s since boot, as in /proc/PID/stat). ESRCH: it has
 * exited; another process that now has its pid is never hit (pidfd_open, Linux 5.3). EPERM: root or CAP_KILL is needed. EINVAL:
 * pid 0 or 1.
 */
export function killProcess(pid: number, startTicks: number): void;
/**
 * Sends a message to a service manager (sd_notify(3)): one datagram to the unix socket of this path, of which a leading '@' stands
 * for the abstract namespace. ENOENT, ECONNREFUSED: nobody listens. EINVAL: no such path can be.
 */
export function notifyManager(socket: string, message: string): void;
/** Opens an empty file in memory (memfd_create); the caller closes the descriptor. */
export function openMemoryFile(): number;
/** A socket of another process. */
export interface ProcessSocket {
  /** Its number in that process. */
  readonly fd: number;
  /** AF_*, SOCK_* and IPPROTO_*. */
  readonly domain: number;
  readonly type: number;
  readonly protocol: number;
  /** TCP_* (1 established … 10 listening); of other sockets 10 while it listens, else 0. */
  readonly state: number;
  readonly connected: boolean;
  /** As sockaddr; empty if there is none. */
  readonly local: Buffer;
  readonly remote: Buffer;
}
/**
 * Those of these descriptors that are sockets of the process with this pid and start (as of `killProcess`). Some microseconds each,
 * whatever else the host has. ESRCH: it has exited. EPERM or ENOSYS: it needs CAP_SYS_PTRACE and pidfd_getfd (Linux 5.6). EBUSY: what
 * the last eight calls have copied is still being closed.
 */
export function socketsOf(
  pid: number,
  startTicks: number,
  fds: readonly number[],
): readonly ProcessSocket[];
