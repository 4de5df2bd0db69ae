import {
  Probe,
  type CallGroup,
  levelMax,
  wireVersion,
  type LoaderError,
  type LoaderKnownProcess,
  type ProbeStats,
} from 'ebpf-loader-napi';
import { UserError } from '../shared/user-error.ts';
import { explain, explained, refusing } from './kernel-error.ts';
import type { KernelScopeState, ScopeEntry, ScopeMap, ScopePattern } from './scope.ts';

/**
 * Bytes of one batch: some 250 opens, or 4 of the largest execs. Lines for its records are written after the whole batch was
 * processed.
 */
const BATCH_BYTES = 1 << 17;

/** Hooks that always stay attached: they cost other programs nothing, and the scope and the process tree need them. */
const STANDING_HOOKS = [
  'cgroup_mkdir',
  'cgroup_rmdir',
  'cgroup_attach_task',
  'sched_fork',
  'sched_exec',
  'sched_exit',
];

/** Reports the system calls whose hooks are attached: also by ia32 and x32, and those that this kernel was built without. */
export const COMPAT_HOOK = 'compat_exit';
/** They report messages that are refused, whatever rules ask for. */
const MESSAGE_HOOKS = ['sys_sendto', 'sys_sendmsg', 'sys_sendmmsg'];
/** Reports io_uring requests as the system calls whose hooks are attached. */
export const IO_URING_HOOK = 'io_uring';

export interface ProbeLoadOptions {
  readonly hierarchy: { readonly kind: 'v2' | 'v1-pids'; readonly id: number };
  readonly patterns: readonly ScopePattern[];
  readonly execRingBytes: number;
  readonly bulkRingBytes: number;
  readonly compatCalls: boolean;
}

/** A probe loaded into the kernel, with nothing attached. */
export type LoadedProbe = Probe;

export interface LiveProbeOptions {
  /** How often the rings are read while records arrive. */
  readonly tickMs: number;
  /** Report calls by COMPAT_HOOK: also those that tracepoints miss. It is what the probe was loaded for. */
  readonly compatCalls: boolean;
}

/** Which opens a rule can match; the others are only counted in the kernel. */
export interface OpenMask {
  readonly read: boolean;
  readonly write: boolean;
  readonly failed: boolean;
}

/**
 * Which messages of sendto, sendmsg, sendmmsg, recvfrom, recvmsg and recvmmsg a rule can match. `newPeer`: those of an
 * unconnected socket whose peer differs from that of the previous message. `other`: all others, which a busy server exchanges
 * all the time.
 */
export interface MessageMask {
  readonly newPeer: boolean;
  readonly other: boolean;
}

/**
 * Which of dup, dup2 and dup3 a rule can match. `network`: those of IPv4 and IPv6 sockets. `other`: all others, of which a
 * shell makes some for each program.
 */
export interface DupMask {
  readonly network: boolean;
  readonly other: boolean;
}

/**
 * Which calls of socket() a rule can match. `ordinary`: of IPv4 and IPv6, streams and datagrams. `local`: AF_UNIX and
 * AF_NETLINK, which look-ups of names and users make. `other`: all others, raw sockets among them.
 */
export interface SocketMask {
  readonly ordinary: boolean;
  readonly local: boolean;
  readonly other: boolean;
}

/** What the kernel reports of the most frequent calls. */
export interface EventMasks {
  readonly opens: OpenMask;
  readonly messages: MessageMask;
  readonly dups: DupMask;
  readonly sockets: SocketMask;
  /** Whether execs include their environment. */
  readonly env: boolean;
}

export const ALL_EVENTS: EventMasks = {
  opens: { read: true, write: true, failed: true },
  messages: { newPeer: true, other: true },
  dups: { network: true, other: true },
  sockets: { ordinary: true, local: true, other: true },
  env: true,
};

/**
 * Loads the probe in its own thread: some 0.4 s, most of it in the kernel's verifier. Nothing is attached yet. Rejects with
 * UserError if the kernel refuses it, or if `expectedWireVersion` differs from the loader's.
 */
export async function loadProbe(
  options: ProbeLoadOptions,
  expectedWireVersion: number,
): Promise<LoadedProbe> {
  if (wireVersion !== expectedWireVersion) {
    throw new UserError(
      `The native loader speaks wire version ${wireVersion}, this agent ${expectedWireVersion}. Build it again: npm run build:native`,
    );
  }
  try {
    return await Probe.load({ ...options, byCompatExit: options.compatCalls });
  } catch (error) {
    throw explain(error, 'load the probe');
  }
}

export interface LiveStats extends ProbeStats {
  /** As of the last `countSkipped`. */
  readonly skipped: number;
}

/** The probe in the running kernel. `close` releases all its resources; so does the kernel when the process ends in any way. */
export class LiveProbe {
  readonly scope: ScopeMap;
  readonly #probe: Probe;
  readonly #tickMs: number;
  readonly #compatCalls: boolean;
  /** Those that were last asked for. */
  #hooks: readonly string[] = [];
  #refusesConnects = false;
  #skipped = 0;
  #lost = { emitted: 0, dropped: 0, prefiltered: 0 };

  /** Takes ownership of a loaded probe and attaches its standing hooks. Throws UserError if the kernel refuses. */
  constructor(loaded: LoadedProbe, options: LiveProbeOptions) {
    this.#tickMs = options.tickMs;
    this.#compatCalls = options.compatCalls;
    this.#probe = loaded;
    this.scope = this.#scopeMap();
    try {
      for (const hook of STANDING_HOOKS) this.#probe.attach(hook);
    } catch (error) {
      this.#probe.close();
      throw explain(error, 'attach the probe');
    }
  }

  #scopeMap(): ScopeMap {
    const probe = this.#probe;
    return {
      set: (cgroupId: number, state: KernelScopeState, level: number, table?: number): void => {
        if (level > levelMax)
          throw Object.assign(new Error(`no room at level ${level}`), { code: 'ENOSPC' });
        probe.scopeSet(cgroupId, state, level, table);
      },
      delete: (cgroupId: number): void => {
        const entry = probe.scopeGet(cgroupId);
        if (entry !== undefined) {
          this.#lost = {
            emitted: this.#lost.emitted + entry.emitted,
            dropped: this.#lost.dropped + entry.dropped,
            prefiltered: this.#lost.prefiltered + entry.prefiltered,
          };
        }
        probe.scopeDelete(cgroupId);
      },
      get: (cgroupId: number): ScopeEntry | undefined => probe.scopeGet(cgroupId),
      entries: (): readonly ScopeEntry[] => probe.scopeEntries(),
    };
  }

  /**
   * Calls of all containers that ended in the kernel because no rule can match them: by event, in order of EVENT_NAMES,
   * monotonic. Throws UserError if the kernel refuses.
   */
  filtered(): Float64Array {
    return explained('read what was filtered', () => this.#probe.filtered());
  }

  /** Sums over deleted scope entries: totals are these plus those of `scope.entries()`. */
  deletedCounters(): { emitted: number; dropped: number; prefiltered: number } {
    return { ...this.#lost };
  }

  /**
   * Attaches exactly these hooks besides the standing ones, and those of messages while connections are refused; with any system
   * call also `compat_exit`, if it is on. Returns the hooks that report nothing here, as this kernel lacks a tracepoint that they
   * need. Throws UserError if it refuses one that it has.
   */
  attachOnly(hooks: readonly string[]): readonly string[] {
    this.#hooks = hooks;
    const wanted = this.#wanted();
    this.#detachOthers(wanted);
    return this.#attach(wanted);
  }

  #wanted(): ReadonlySet<string> {
    const hooks = [...this.#hooks, ...(this.#refusesConnects ? MESSAGE_HOOKS : [])];
    const compat = this.#compatCalls && hooks.some((hook) => hook.startsWith('sys_'));
    // First: while it is attached, it reports the other calls.
    return new Set(compat ? [COMPAT_HOOK, ...hooks] : hooks);
  }

  #detachOthers(wanted: ReadonlySet<string>): void {
    for (const hook of this.#probe.attached())
      if (!STANDING_HOOKS.includes(hook) && !wanted.has(hook)) this.#probe.detach(hook);
  }

  #attach(wanted: ReadonlySet<string>): readonly string[] {
    const missing: string[] = [];
    for (const hook of wanted) {
      try {
        this.#probe.attach(hook);
      } catch (error) {
        if ((error as LoaderError).code !== 'ENOENT') throw explain(error, `attach ${hook}`);
        missing.push(hook);
      }
    }
    return missing;
  }

  /** The attached hooks, including the standing ones. */
  attached(): readonly string[] {
    return this.#probe.attached();
  }

  /** The hooks for which this kernel has all tracepoints. Hooks of single system calls are listed even if their tracepoint is missing. */
  hooks(): readonly string[] {
    return this.#probe.programs();
  }

  setMasks(masks: EventMasks): void {
    this.#probe.setMasks(masks);
  }

  /**
   * Sets the table with this number: file calls in its containers end in the kernel if no clause can hold (plan/verdicts). They
   * count as prefiltered. Takes effect between two calls; undefined: all are reported. Throws UserError if the kernel refuses.
   */
  setVerdicts(number: number, table: Uint8Array | undefined): void {
    explained('change what is filtered', () => this.#probe.setVerdicts(number, table));
  }

  /**
   * From its return on, connections are refused as the tables say, and so are messages to there. `directory`: the root of cgroup
   * v2. Loads what does so when first called, in some 0.1 s. Throws UserError if the kernel refuses.
   */
  denyConnects(directory: string): void {
    this.#refusesConnects = true;
    try {
      this.#probe.denyConnects(directory);
    } catch (error) {
      throw explain(error, 'refuse connections', 'CAP_NET_ADMIN');
    }
    this.#attach(this.#wanted());
  }

  allowConnects(): void {
    this.#probe.allowConnects();
    this.#refusesConnects = false;
    this.#detachOthers(this.#wanted());
  }

  /**
   * From its return on, calls on files are refused as the tables say. Loads what does so when first called, in some 0.5 s. Throws UserError if the
   * kernel refuses.
   */
  denyFiles(): void {
    refusing('files', () => this.#probe.denyFiles());
  }

  allowFiles(): void {
    this.#probe.allowFiles();
  }

  /** See the loader's `knowFile`: opens in the container are also judged by this path. Throws UserError if the kernel refuses. */
  knowFile(cgroupId: number, fd: number, path: string): string {
    return explained('know a file by its inode', () =>
      this.#probe.knowFile(cgroupId, fd, Buffer.from(path)),
    );
  }

  forgetFile(key: string): void {
    explained('forget a file', () => this.#probe.forgetFile(key));
  }

  /** The same of calls that are refused by who makes them (CALL_WAYS). Loads what does so when first called, in some 0.5 s. */
  denyCalls(group: CallGroup, directory?: string): void {
    refusing(group, () => this.#probe.denyCalls(group, directory));
  }

  allowCalls(group: CallGroup): void {
    this.#probe.allowCalls(group);
  }

  /** Keeps what denies in the kernel after this process, by names in this directory. Idempotent. Throws UserError if the kernel refuses. */
  pin(directory: string): void {
    try {
      this.#probe.pin(directory);
    } catch (error) {
      const { code = String(error) } = error as Partial<LoaderError>;
      throw new UserError(
        `Cannot keep what denies in ${directory}: ${code}. It needs a BPF file system (mount -t bpf bpf /sys/fs/bpf) and root or CAP_BPF`,
        { cause: error },
      );
    }
  }

  unpin(): void {
    this.#probe.unpin();
  }

  /** See the loader's `adoptProcess`. Throws UserError if the kernel refuses. */
  adoptProcess(known: LoaderKnownProcess): void {
    explained('tell what a process runs', () => this.#probe.adoptProcess(known));
  }

  /** See the loader's `noteSeen`. */
  noteSeen(denyMs: number): void {
    this.#probe.noteSeen(denyMs);
  }

  /** From its return on, all file calls are reported, and nothing is denied, until tables are set again. Throws UserError if the kernel refuses. */
  suspendVerdicts(): void {
    explained('change what is filtered', () => this.#probe.suspendVerdicts());
  }

  /** The same, but what the tables deny stays denied. `only`: this table alone filters no more. Throws UserError if the kernel refuses. */
  stopFiltering(only?: number): void {
    explained('change what is filtered', () => this.#probe.stopFiltering(only));
  }

  /** A table at `to` that denies as that at `from`, but not by these rules, and filters nothing. Throws UserError if the kernel refuses, or has none at `from`. */
  copyVerdicts(from: number, to: number, rules: number): void {
    explained('change what is denied', () => this.#probe.copyVerdicts(from, to, rules));
  }

  /** These rules of the table deny no more: bit n: rule n. Throws UserError if the kernel refuses, or has no such table. */
  allowRules(number: number, rules: number): void {
    explained('change what is denied', () => this.#probe.allowRules(number, rules));
  }

  /** Starts to deliver batches: calls `onBatch(bytes)` after putting that many bytes of records at the start of the buffer. */
  start(onBatch: (bytes: number) => void): ArrayBuffer {
    const buffer = new ArrayBuffer(BATCH_BYTES);
    this.#probe.start(buffer, onBatch, { tickMs: this.#tickMs });
    return buffer;
  }

  /** Delivers the current content of the rings now. */
  drain(): number {
    return this.#probe.drain();
  }

  /** Starts a new interval for first and last times of losses: call it after reading those so far. */
  nextLossInterval(): void {
    this.#probe.nextLossInterval();
  }

  /** Looks how often the kernel has not run a program of the probe: a call of bpf(2) for each of them. `stats` has it from then on. */
  countSkipped(): number {
    // Programs that were detached take their counts along.
    this.#skipped = Math.max(this.#skipped, this.#probe.skipped());
    return this.#skipped;
  }

  /** See the loader's `forgetRefusals`. */
  forgetRefusals(olderMs: number): void {
    this.#probe.forgetRefusals(olderMs);
  }

  stats(): LiveStats {
    return { ...this.#probe.stats(), skipped: this.#skipped };
  }

  close(): void {
    this.#probe.close();
  }
}
