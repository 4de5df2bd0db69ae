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
  /** argv was longer, or was dropped to free memory. */
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
  /** `env` joined by spaces. Cheaper than `env`, where present. */
  envText?(): string | undefined;
  /**
   * The value of the first variable that begins with `prefix` (NAME=, packed); '' if there is none, undefined when the
   * environment is not known. Cheaper than `env`, where present.
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
  /** When it began to run its present image, CLOCK_BOOTTIME ns; 0 when not known. */
  readonly imageSinceBootNs: bigint;
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
  /** Nothing has told yet how it came into the scope: it may be the runtime's. */
  readonly untold?: boolean;
  /** How it is known: completely from the probe, from /proc, or little more than its name (`ancestor`). */
  readonly origin: 'probe' | 'proc' | 'ancestor';
}

/** Domain names by address. */
export interface AddressNames {
  /** The rules' domain names that resolve to this address; none before they are looked up. */
  namesOf(address: string): readonly string[];
  /** Whether each name was looked up, or its lookup timed out. Until then an address may still be theirs. */
  areKnown(names: Iterable<string>): boolean;
}

/** Names from the container's own passwd and group files; undefined when not known there. */
export interface UserNames {
  userName(uid: number): string | undefined;
  groupName(gid: number): string | undefined;
  homeDir(uid: number): string | undefined;
  shell(uid: number): string | undefined;
}
