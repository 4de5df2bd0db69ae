/** Raised by every operation that the system refuses. */
export interface LoaderError extends Error {
  /** Symbolic errno, such as 'EPERM'; 'ELIBBPF' for libbpf's own errors. */
  readonly code: string;
  readonly errno: number;
  /** What was tried, as a phrase: 'load the probe into the kernel'. */
  readonly operation: string;
  /** libbpf's last words or another explanation; may be empty. */
  readonly detail: string;
}

export type ScopeStateName = 'pending' | 'included' | 'excluded';

/** See struct scope_pattern in probe/shared.h. Texts: prefix < 64 bytes, the others < 32. */
export interface LoaderScopePattern {
  readonly prefix: string;
  readonly leafPrefix: string;
  readonly leafSuffix: string;
  readonly handle: 'hex64' | 'any' | 'none';
  readonly deep: boolean;
  /** A match says: not a container; later patterns are not tried. */
  readonly negative?: boolean;
}

/** A container's entry: it counts for all cgroups inside too. Counters only grow. Times are CLOCK_BOOTTIME ns, 0 for none. */
export interface LoaderScopeEntry {
  readonly cgroupId: number;
  readonly state: ScopeStateName;
  readonly emitted: number;
  readonly dropped: number;
  readonly prefiltered: number;
  /** Of `dropped`: records of process life and of cgroups. */
  readonly droppedExec: number;
  /** Of `dropped`: lost because the container had used up its own share of a ring. */
  readonly droppedShare: number;
  /** Of `dropped`: lost while this process had not read the rings for 500 ms or more; not in `droppedShare`. */
  readonly droppedLate: number;
  /** The first loss of the interval (see nextLossInterval) in which the last one was. */
  readonly firstDropBootNs: number;
  readonly lastDropBootNs: number;
  /** The longest time, ns, that the rings had not been read when a record was lost, in that interval. */
  readonly lateNs: number;
}

/** The deepest level of a cgroup that can be a container. */
export const levelMax: number;

export interface ProbeOptions {
  /** The probe object; default: the one built beside the addon. */
  readonly objectPath?: string;
  /** Which cgroup hierarchy decides, and its id (0 for v2, the number in /proc/cgroups for v1). */
  readonly hierarchy: { readonly kind: 'v2' | 'v1-pids'; readonly id: number };
  /** At most 16, tried in order. */
  readonly patterns: readonly LoaderScopePattern[];
  /** Powers of two, 64 KiB to 1 GiB; default 1 MiB and 4 MiB. Each counts twice in the address space, not in memory. */
  readonly execRingBytes?: number;
  readonly bulkRingBytes?: number;
  /** For tests: loads what `runVerdict` needs. */
  readonly withVerdictRun?: boolean;
}

export interface ProbeStats {
  readonly emitted: number;
  readonly dropped: number;
  /** Of `dropped`: records of process life and of cgroups, without which a process tree is not complete. */
  readonly droppedExec: number;
  /** Cgroups that found the scope map full: their containers are not watched. */
  readonly scopeFull: number;
  readonly readErrors: number;
  /** The consumer polls; false: the next record wakes it. */
  readonly awake: boolean;
  /** Times that all containers were given a new budget (modulo 2^32): whenever the rings' content had been taken. */
  readonly epoch: number;
  /** The oldest record that was read from the rings and waits for its container's turn; undefined without any. */
  readonly waitingSinceBootNs: number | undefined;
}

/**
 * The probe in the kernel. Needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN), kernel 5.15+ with BTF. All methods
 * throw LoaderError, after close() with code EBADF, and TypeError for arguments of the wrong kind. Nothing outlives
 * the process: nothing is pinned.
 */
export class Probe {
  /** Loads in the calling thread: some 0.4 s, most of it the kernel's verifier. */
  constructor(options: ProbeOptions);
  /** The same in a thread of its own. Rejects with what the constructor throws. */
  static load(options: ProbeOptions): Promise<Probe>;
  /**
   * By name (see programs()); idempotent. ENOENT: this kernel or probe has no such hook. While 'compat_exit' is
   * attached, a system call without a tracepoint is no error: that it was refused (ENOSYS) is reported. 'compat_exit'
   * and 'io_uring' report other ways to make the calls whose hooks are attached.
   */
  attach(name: string): void;
  /** Detaching 'compat_exit' also detaches what only it reports. */
  detach(name: string): void;
  attached(): string[];
  programs(): string[];
  /**
   * Inserts, or changes the state in place: counters stay. ENOSPC past 16384 containers. `level`: how many levels the
   * cgroup is below the hierarchy's root, at most 31. What is in cgroups inside counts as in this one. `table`: which
   * table of setVerdicts its opens are judged by, 0 for none (all are reported); undefined leaves it, 0 at first.
   */
  scopeSet(cgroupId: number, state: ScopeStateName, level: number, table?: number): void;
  /**
   * Puts a table (`struct verdict_table`, src/plan/verdicts) at a number from 1 to 63: between two opens, for all containers
   * with that number. Undefined takes it away: all opens of these containers are reported.
   */
  setVerdicts(number: number, table: Uint8Array | undefined): void;
  /**
   * From when it returns all opens are reported, whatever the table of their container: tables that are put at their numbers from
   * then on count again. The others keep their memory, 1.2 MB each, until another is put at their number or they are taken away.
   */
  suspendVerdicts(): void;
  /**
   * What the probe says of an open, for tests; without `withVerdictRun` EBADF. `kind` and `layer` are numbers (src/plan/verdicts).
   * 0: no rule can match, 1: one may, -1: there is no such table.
   */
  runVerdict(
    table: number,
    kind: number,
    directory: boolean,
    layer: number,
    path: Uint8Array,
  ): number;
  scopeDelete(cgroupId: number): void;
  scopeGet(cgroupId: number): LoaderScopeEntry | undefined;
  scopeEntries(): LoaderScopeEntry[];
  /** By number of the event (native/schema/EVENTS.md): calls that were kept in the kernel, of all containers. */
  filtered(): Float64Array;
  /** Losses from now on have first and last times of their own. To be called when the entries' times have been read. */
  nextLossInterval(): void;
  /**
   * Which opens, and which messages (sendto, sendmsg, recvfrom, recvmsg), are reported at all; none until it is
   * called. Others count as prefiltered. `newPeer`: of an unconnected socket, to or from another address than in its
   * message before; of at most 8192 sockets the last address is remembered.
   */
  setMasks(masks: {
    opens: { read: boolean; write: boolean; failed: boolean };
    messages: { newPeer: boolean; other: boolean };
    /** Which of dup, dup2 and dup3. `network`: of an IPv4 or IPv6 socket; `other`: of anything else, and those that failed. */
    dups: { network: boolean; other: boolean };
    /** Execs come with their environment; up to 8 KiB of it. */
    env: boolean;
  }): void;
  /**
   * Starts to hand over records: `onBatch(bytes)` after `bytes` of whole records (native/schema/EVENTS.md), oldest
   * first, were copied to the start of `buffer` (at least 128 KiB), which the next batch overwrites. Keeps the
   * event loop alive until close(). An exception from onBatch is an uncaught exception.
   */
  start(
    buffer: ArrayBuffer,
    onBatch: (bytes: number) => void,
    options?: { tickMs?: number; safetyMs?: number },
  ): void;
  /** Hands over now what is in the rings, and what was read of them and waits; returns the bytes. */
  drain(): number;
  stats(): ProbeStats;
  /** Detaches and releases everything. Idempotent. */
  close(): void;
}

/** Version of the record layout that the addon was built with. */
export const wireVersion: number;
/** CLOCK_BOOTTIME in nanoseconds. */
export function bootTimeNs(): bigint;
/** CPU time of the calling thread (CLOCK_THREAD_CPUTIME_ID) in milliseconds. */
export function threadCpuMs(): number;
/**
 * Gives the pages back that the C library keeps after free() (malloc_trim(3)); takes milliseconds. Returns whether there were
 * any.
 */
export function trimHeap(): boolean;
/**
 * Runs a child that enters the cgroup directory, opens `sentinel`, connects a UDP socket to 127.0.0.1:9 (sends
 * nothing) and execs /bin/true; returns its pid when it has ended.
 */
export function selfTest(cgroupDirectory: string, sentinel: string): number;
/**
 * Opens a regular file, or a directory if that is wanted, below `root` read-only (openat2: RESOLVE_IN_ROOT, NO_MAGICLINKS,
 * NO_XDEV, and NO_SYMLINKS unless allowed). The descriptor is the caller's to close. EINVAL: not what is wanted; it has not
 * been opened then, so no device and no pipe notices.
 */
export function openInRoot(
  root: string,
  file: string,
  options?: { symlinks?: boolean; directory?: boolean },
): number;
/** At most `maxBytes` (up to 64 MiB, RangeError past it) of such a file. */
export function readInRoot(
  root: string,
  file: string,
  maxBytes: number,
  options?: { symlinks?: boolean },
): Buffer;
/**
 * SIGKILL for the process that has this pid and began then (ticks of 1/100 s since boot, as /proc/PID/stat has it). ESRCH: it
 * has ended; another one that has its pid by now is never hit (pidfd_open, Linux 5.3). EPERM: root, or CAP_KILL, is needed.
 * EINVAL: the first process.
 */
export function killProcess(pid: number, startTicks: number): void;
