import type { EventName } from './table.gen.ts';
import type { PackedWords } from './words.ts';

/** A file as the kernel knows it: read from the object behind the descriptor, not from user memory. */
export interface KernelFile {
  /** Path relative to the task's root, across mounts. As `decodeText` has it. */
  readonly path: string;
  /** The walk hit its bound (63 components and mounts or 4095 bytes): only the end of the path is known. */
  readonly pathTruncated: boolean;
  /** Not reachable from the task's root (memfd, pipe, a lazily unmounted or outside mount). */
  readonly detached: boolean;
  /** Linux `dev_t` as stat(2) encodes it is `makedev(devMajor, devMinor)`. */
  readonly devMajor: number;
  readonly devMinor: number;
  readonly ino: number;
  /** Lives in the writable upper layer of an overlay mount. */
  readonly upperLayer: boolean;
  /** On an overlay mount, but only in a lower (image) layer. */
  readonly lowerLayer: boolean;
  readonly memfd: boolean;
  /** The file has no name any more (unlinked). */
  readonly unlinked: boolean;
}

/** Who a task is. `host*` are in the initial user namespace, the others in the task's own. */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  readonly euid: number;
  readonly egid: number;
  readonly hostUid: number;
  readonly hostGid: number;
  readonly hostEuid: number;
  readonly hostEgid: number;
  /** -1 when unset. */
  readonly loginUid: number;
  /** Inode number of the user namespace that the ids and capabilities below belong to. */
  readonly userNamespace: number;
  /** Bit n is CAP n (linux/capability.h). */
  readonly capEffective: bigint;
  readonly capPermitted: bigint;
  readonly capInheritable: bigint;
}

/** open, openat, openat2, creat. */
export interface OpenDetails {
  /** The kernel's file; undefined when the call failed. */
  readonly file: KernelFile | undefined;
  /** The path as the caller passed it (user memory, so only a claim). */
  readonly rawPath: string;
  readonly rawPathTruncated: boolean;
  /** The directory that a relative path starts from, if the call failed and the kernel knows it; '' otherwise. */
  readonly directoryPath: string;
  /** openat's first argument; AT_FDCWD (-100) where the call has none. */
  readonly dirFd: number;
  /** O_* bits as passed (x86-64 values). For creat: O_CREAT|O_WRONLY|O_TRUNC. */
  readonly flags: number;
  /** Mode argument; 0 when the call creates nothing (the register then holds anything). */
  readonly mode: number;
  /** openat2's RESOLVE_* bits, 0 otherwise. */
  readonly resolve: number;
  /** The call created the file (FMODE_CREATED). */
  readonly created: boolean;
  /** Opened for reading / for writing, from the flags. */
  readonly forRead: boolean;
  readonly forWrite: boolean;
  /** A directory was opened, or (when the call failed) O_DIRECTORY was passed. */
  readonly directory: boolean;
}

/** The ends of a socket, from the kernel's socket. Addresses are in presentation form ('' if unset). */
export interface SocketTuple {
  /** AF_*: 1 unix, 2 inet, 10 inet6, others as in linux/socket.h. */
  readonly family: number;
  /** IPPROTO_*: 6 tcp, 17 udp, 1 icmp, 255 raw; 0 for unix. */
  readonly protocol: number;
  /** SOCK_*: 1 stream, 2 dgram, 3 raw, 5 seqpacket. */
  readonly socketType: number;
  readonly localIp: string;
  readonly localPort: number;
  readonly remoteIp: string;
  readonly remotePort: number;
  /** For unix sockets: the peer's path; abstract names begin with '@'. */
  readonly unixPath: string;
}

/** An address argument as the caller passed it (user memory, so only a claim). */
export interface SocketAddress {
  readonly family: number;
  readonly ip: string;
  readonly port: number;
  readonly unixPath: string;
}

/** The socket behind a descriptor. */
export interface SocketDetails {
  /** AF_*, IPPROTO_* and SOCK_*: as in SocketTuple. */
  readonly family: number;
  readonly protocol: number;
  readonly socketType: number;
  /** Its ends; only when the call succeeded or connects in the background (-EINPROGRESS). */
  readonly tuple: SocketTuple | undefined;
  /** It has a peer. */
  readonly connected: boolean;
  /** A message of an unconnected socket to or from another address than the one before. */
  readonly peerChanged: boolean;
}

/**
 * Any other system call: what native/schema/calls.mjs says of it. Texts and addresses are from user memory, so only
 * claims; file, socket and directories are the kernel's.
 */
export interface CallDetails {
  /** Argument `n` (1 to 6) as passed: 64 bits, unsigned. */
  arg(n: number): bigint;
  /** Its lower 32 bits, signed. */
  int(n: number): number;
  /** String `n` (1 to 3) of the call; '' when it has none, was passed NULL or could not be read. */
  text(n: number): string;
  /** The kernel's directory beside string `n`: what a relative path starts from, or where chdir went; '' if none. */
  directory(n: number): string;
  /** String `n` as an absolute path; undefined if it was truncated or its base directory is not known. */
  path(n: number): string | undefined;
  readonly textTruncated: boolean;
  readonly textUnreadable: boolean;
  /** The descriptor that the call is about; -1 for none. */
  readonly fd: number;
  /** Its file, if it is not a socket's. */
  readonly file: KernelFile | undefined;
  /** The probe's FILE_* bits and the inode's mode; 0 without a file. */
  readonly fileFlags: number;
  readonly fileMode: number;
  readonly socket: SocketDetails | undefined;
  readonly address: SocketAddress | undefined;
  /** The first 80 bytes sent, received or passed. Valid as long as the event is. */
  readonly data: Buffer;
  /**
   * Messages with vectors: bytes offered or asked for, of the first 8 vectors. A connect that no rule is about: how many there were
   * to its end; such are reported when the number is 1, 2, 4, 8 …
   */
  readonly size: number;
  /** accept: connections that wait, and how many may. */
  readonly queueLength: number;
  readonly queueMax: number;
}

export interface Ancestor {
  readonly pid: number;
  readonly startBootNs: bigint;
  readonly comm: string;
  /** Its cgroup is in the scope map (pending or included). */
  readonly inScope: boolean;
  /** The file that it runs, in its own mount namespace. Told of the first three if the first is not in scope. */
  readonly exePath?: string;
}

/** Descriptor 0, 1 or 2, as a program found it when it started. */
export interface StandardDescriptor {
  /** As `fd.type` has it; undefined when it is closed, or something that has no name there. */
  readonly type: string | undefined;
  /** Ends of the first IP socket among the three, and of its copies; those of others are not recorded. */
  readonly tuple: SocketTuple | undefined;
  /** That socket has a peer. */
  readonly connected: boolean;
}

/** execve, execveat: the new image when the result is 0, the attempt otherwise. */
export interface ExecDetails {
  /** The file that runs (for a script, its interpreter); undefined when the call failed. */
  readonly file: KernelFile | undefined;
  /** The path as passed (for a script, the script). */
  readonly filename: string;
  /** The file is the one that the parent runs, and the mount namespace is the parent's; false when the call failed. */
  readonly parentsProgram: boolean;
  /** The file's mode and the new credentials would let the process write its own executable. */
  readonly writable: boolean;
  readonly argv: readonly string[];
  /** argv held more than the probe copies (see the probe's ARGV_MAX). */
  readonly argvTruncated: boolean;
  readonly cwd: string;
  /** NAME=value each; undefined when no rule needs it (the probe does not copy it then) or it is empty. */
  readonly env: readonly string[] | undefined;
  /** Copies of the bytes of argv and env, to keep: they cost less than strings. */
  readonly packed: () => {
    readonly argv: PackedWords;
    readonly env: PackedWords | undefined;
  };
  /** The environment held more than the probe copies (see the probe's ENV_MAX). */
  readonly envTruncated: boolean;
  /** Last change of the file's status and of its content, Unix nanoseconds; 0 when the call failed. */
  readonly fileCtimeNs: bigint;
  readonly fileMtimeNs: bigint;
  /** Start of the first process in the pid namespace, CLOCK_BOOTTIME nanoseconds; 0 when the call failed. */
  readonly pidNamespaceStartBootNs: bigint;
  /** Standard input, output and error; empty when the call failed. */
  readonly standard: readonly StandardDescriptor[];
  /** Parent first; at most 8. */
  readonly ancestors: readonly Ancestor[];
  readonly pgid: number;
  readonly vpgid: number;
  readonly sid: number;
  readonly vsid: number;
}

/** clone, clone3, fork, vfork that made a process: the parent's view; `result` is the child's id as the parent sees it. */
export interface CloneDetails {
  readonly flags: bigint;
  readonly childPid: number;
  readonly childTid: number;
  readonly childVpid: number;
  readonly childVtid: number;
  readonly childStartBootNs: bigint;
  /**
   * false: the caller's own cgroup is not watched, so the child entered the scope by birth (CLONE_INTO_CGROUP).
   * Absent means true.
   */
  readonly parentInScope?: boolean;
  /** Only where `parentInScope` is false: the caller, then its ancestors. */
  readonly ancestors?: readonly Ancestor[];
}

export interface ExitDetails {
  /** Wait status: signal in the low 7 bits, exit code in bits 8-15. */
  readonly status: number;
}

/** A parameter's value by its name in Falco's event table: what `evt.arg.*` prints. */
export type ParamValue = string | number | bigint | Buffer | readonly string[];

/**
 * One kernel event. Objects handed to rules may be reused for the next event: call `detach()` to keep one.
 * Every value is what the kernel said at the time of the event; names (users, apps) are context's business.
 */
export interface KernelEvent {
  /** Falco's event name: 'openat', 'execve', 'connect', 'clone', 'procexit', … */
  readonly type: EventName;
  /** Running number of the event in this agent's life, from 1. */
  readonly num: number;
  /** CLOCK_BOOTTIME nanoseconds. */
  readonly bootNs: bigint;
  /** Unix time in nanoseconds, from bootNs and the offset measured at start and on clock steps. */
  readonly timeNs: bigint;
  readonly cpu: number;
  /** Scope key: kernfs id of the task's cgroup in the deciding hierarchy. */
  readonly cgroupId: number;
  /** Host ids, and ids in the innermost pid namespace. */
  readonly pid: number;
  readonly tid: number;
  readonly vpid: number;
  readonly vtid: number;
  readonly ppid: number;
  /** Start of the thread group leader; (pid, startBootNs) names a process for good. */
  readonly startBootNs: bigint;
  readonly parentStartBootNs: bigint;
  /** Return value, or -errno. */
  readonly result: number;
  readonly comm: string;
  /** Size of its record. */
  readonly bytes: number;
  /** The kernel's verdict: one of the operator's rules certainly matches (plan/verdicts). */
  readonly ruleMatches: boolean;
  /** The kernel has denied it for a rule: it has ended the program before its first instruction, or refused the connection or the open. */
  readonly denied: boolean;
  /** What rules judge instead of it: a refused call counts as made, with the result 0. Undefined: the event as it is. */
  readonly judged: KernelEvent | undefined;
  /** Linux dev number of the controlling terminal as in /proc/PID/stat tty_nr; 0 without one. */
  readonly tty: number;
  readonly credentials: Credentials;
  readonly open: OpenDetails | undefined;
  readonly call: CallDetails | undefined;
  readonly exec: ExecDetails | undefined;
  readonly clone: CloneDetails | undefined;
  readonly exit: ExitDetails | undefined;
  /** By Falco's parameter name; undefined when this event has no such parameter or it is absent. */
  param(name: string): ParamValue | undefined;
  /** A copy that stays valid. */
  detach(): KernelEvent;
}
