import type { StandardDescriptor } from '../events/event.ts';
import type { PackedWords } from '../events/words.ts';

/** What a process runs: replaced as a whole by each successful exec, so it may be kept. */
export interface ProcessImage {
  /** comm, at most 15 bytes. */
  readonly name: string;
  /** argv[0]. */
  readonly exe: string;
  /** Path of the running file, relative to the process's root. */
  readonly exePath: string;
  /** argv without argv[0]. */
  readonly args: readonly string[];
  /** There was more of them, or they were given up for want of memory. */
  readonly argsTruncated: boolean;
  readonly cwd: string;
  readonly exeDevMajor: number;
  readonly exeDevMinor: number;
  readonly exeIno: number;
  readonly exeUpperLayer: boolean;
  readonly exeLowerLayer: boolean;
  readonly exeMemfd: boolean;
  readonly exeWritable: boolean;
  /** Last change of the running file's status and content, Unix ns; 0 when not known. */
  readonly exeCtimeNs: bigint;
  readonly exeMtimeNs: bigint;
  /** NAME=value each; undefined when not known, as while no rule needs it, or given up for want of memory. */
  readonly env: readonly string[] | undefined;
  /** `env` with a blank between each two. Where it is there, it is cheaper. */
  envText?(): string | undefined;
  /**
   * The value of the first variable whose word begins with `prefix` (NAME=, packed); '' without such a one, undefined when
   * the environment is not known. Where it is there, it is cheaper than `env`.
   */
  variable?(prefix: PackedWords): string | undefined;
  /** Descriptors 0, 1 and 2 as the program found them; empty when not known. */
  readonly standard: readonly StandardDescriptor[];
}

/** A process (thread group). Known by (pid, startBootNs); lives on as long as something refers to it. */
export interface Process {
  readonly pid: number;
  readonly vpid: number;
  readonly startBootNs: bigint;
  readonly image: ProcessImage;
  /** What it ran before its present image: of a forked process its parent's. Undefined when not known, as from /proc. */
  readonly previousImage: ProcessImage | undefined;
  readonly parent: Process | undefined;
  readonly loginUid: number;
  readonly tty: number;
  /** Start of the first process in its pid namespace, CLOCK_BOOTTIME ns; 0 when not known. */
  readonly pidNamespaceStartBootNs: bigint;
  readonly pgid: number;
  readonly vpgid: number;
  readonly sid: number;
  readonly vsid: number;
  /** Path of its cgroup, where that is one inside its container's; undefined where it is not, or that is not known. */
  readonly nestedCgroup: string | undefined;
  /** Its cgroup is watched; false for ancestors such as the runtime's shim. */
  readonly inScope: boolean;
  /** The container runtime's own set-up: entered the scope and has not run the app's program yet. */
  readonly setup: boolean;
  /** How we know it: complete from the probe, from /proc at start, or only what an exec record said of an ancestor. */
  readonly origin: 'probe' | 'proc' | 'ancestor';
}

/** Domain names by address. */
export interface AddressNames {
  /** Those of the names in the rules that lead to this address; none while they are not looked up. */
  namesOf(address: string): readonly string[];
  /** Whether each of these was looked up, or does not come to it in time: until then an address may be theirs all the same. */
  areKnown(names: Iterable<string>): boolean;
}

/** Names from the container's own passwd and group files; undefined when not known there. */
export interface UserNames {
  userName(uid: number): string | undefined;
  groupName(gid: number): string | undefined;
  homeDir(uid: number): string | undefined;
  shell(uid: number): string | undefined;
}
