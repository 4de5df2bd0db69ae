import {
  Probe,
  levelMax,
  selfTest,
  wireVersion,
  type LoaderError,
  type ProbeStats,
} from 'ebpf-loader-napi';
import { UserError } from '../shared/user-error.ts';
import type { KernelScopeState, ScopeEntry, ScopeMap, ScopePattern } from './scope.ts';

/** Bytes of one batch. Lines of its records go out when all of it was looked at: some 250 opens, or 4 of the largest execs. */
const BATCH_BYTES = 1 << 17;

/** Hooks that stay attached: they cost other programs nothing, and the scope and the process tree need them. */
const STANDING_HOOKS = [
  'cgroup_mkdir',
  'cgroup_rmdir',
  'cgroup_attach_task',
  'sched_fork',
  'sched_exec',
  'sched_exit',
];

/** Reports calls by other ways than the 64-bit one, of the system calls whose hooks are attached. */
export const COMPAT_HOOK = 'compat_exit';
/** Reports requests of io_uring as the system calls whose hooks are attached. */
export const IO_URING_HOOK = 'io_uring';

/** What the probe is loaded with. */
export interface ProbeLoadOptions {
  readonly hierarchy: { readonly kind: 'v2' | 'v1-pids'; readonly id: number };
  readonly patterns: readonly ScopePattern[];
  readonly execRingBytes: number;
  readonly bulkRingBytes: number;
}

/** A probe that the kernel has, with nothing attached. */
export type LoadedProbe = Probe;

export interface LiveProbeOptions {
  /** How often the rings are looked at while records come. */
  readonly tickMs: number;
  /** See the calls that the 64-bit tracepoints do not: by ia32 and x32, and those that this kernel was built without. */
  readonly compatCalls: boolean;
}

/** Which opens a rule can match; the others are counted in the kernel and go no further. */
export interface OpenMask {
  readonly read: boolean;
  readonly write: boolean;
  readonly failed: boolean;
}

/**
 * Which messages of sendto, sendmsg, recvfrom and recvmsg a rule can match: those of an unconnected socket to or from
 * another peer than in the message before; all others, which a busy server sends and receives all the time.
 */
export interface MessageMask {
  readonly newPeer: boolean;
  readonly other: boolean;
}

/**
 * Which of dup, dup2 and dup3 a rule can match: those of IPv4 and IPv6 sockets; all others, of which a shell makes some for each
 * program.
 */
export interface DupMask {
  readonly network: boolean;
  readonly other: boolean;
}

/** What the kernel reports of the calls that happen most. */
export interface EventMasks {
  readonly opens: OpenMask;
  readonly messages: MessageMask;
  readonly dups: DupMask;
  /** Execs come with their environment. */
  readonly env: boolean;
}

export const ALL_EVENTS: EventMasks = {
  opens: { read: true, write: true, failed: true },
  messages: { newPeer: true, other: true },
  dups: { network: true, other: true },
  env: true,
};

/** What to do about each way in which the kernel refuses the probe. */
function explain(error: unknown, doing: string): UserError {
  const loader = error as Partial<LoaderError>;
  const said = `Cannot ${loader.operation ?? doing}: ${loader.code ?? String(error)}.`;
  const detail = (loader.detail ?? '').trim().split('\n').slice(-1)[0] ?? '';
  const advice =
    loader.code === 'EPERM' || loader.code === 'EACCES'
      ? 'The agent needs root, or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE; inside a container also the host’s pid namespace. If it has them, kernel lockdown (confidentiality) forbids BPF.'
      : /(kernel|vmlinux) BTF/i.test(loader.detail ?? '') || loader.code === 'ESRCH'
        ? 'The kernel has no BTF (/sys/kernel/btf/vmlinux): use one built with CONFIG_DEBUG_INFO_BTF=y, 5.15 or newer.'
        : loader.code === 'ENOENT' && /probe object/.test(said)
          ? 'The native part is not built: run "npm run build:native".'
          : 'Run "varvel doctor" to see what this host lacks.';
  return new UserError([said, detail, advice].filter((part) => part !== '').join(' '), {
    cause: error,
  });
}

/**
 * Loads the probe in a thread of its own: some 0.4 s, most of it the kernel's verifier. Nothing is attached yet. Rejects with
 * UserError when the kernel refuses it, or when `expectedWireVersion` is not the loader's.
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
    return await Probe.load(options);
  } catch (error) {
    throw explain(error, 'load the probe');
  }
}

/**
 * The probe in the running kernel. Everything it holds is released by
 * `close`, and by the kernel when the process ends in any way.
 */
export class LiveProbe {
  readonly scope: ScopeMap;
  readonly #probe: Probe;
  readonly #tickMs: number;
  readonly #compatCalls: boolean;
  #lost = { emitted: 0, dropped: 0, prefiltered: 0 };

  /** Attaches the standing hooks of a probe that is its own from here on. Throws UserError when the kernel refuses. */
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
   * By event, in order of EVENT_NAMES: calls of all containers that ended in the kernel because no rule can match them; monotonic.
   * Throws UserError when the kernel refuses.
   */
  filtered(): Float64Array {
    try {
      return this.#probe.filtered();
    } catch (error) {
      throw explain(error, 'read what was filtered');
    }
  }

  /** Counts of scope entries that have been deleted: totals = these + those of `scope.entries()`. */
  deletedCounters(): { emitted: number; dropped: number; prefiltered: number } {
    return { ...this.#lost };
  }

  /**
   * Attaches exactly these hooks besides the standing ones, and with any system call `compat_exit`. Returns those that
   * report nothing here: this kernel has no tracepoint for the call and `compat_exit`, which reports that such a call was
   * refused, is turned off; or it has none that such a hook needs. Throws UserError when it refuses one it has.
   */
  attachOnly(hooks: readonly string[]): readonly string[] {
    const missing: string[] = [];
    const compat = this.#compatCalls && hooks.some((hook) => hook.startsWith('sys_'));
    // It comes first: where it is, a call without a tracepoint is not missing.
    const wanted = new Set(compat ? [COMPAT_HOOK, ...hooks] : hooks);
    for (const hook of this.#probe.attached()) {
      if (!STANDING_HOOKS.includes(hook) && !wanted.has(hook)) this.#probe.detach(hook);
    }
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

  /** The hooks whose calls are reported now, the standing ones included. */
  attached(): readonly string[] {
    return this.#probe.attached();
  }

  /** The hooks that this kernel has all tracepoints for, except that those of single system calls may be missing. */
  hooks(): readonly string[] {
    return this.#probe.programs();
  }

  setMasks(masks: EventMasks): void {
    this.#probe.setMasks(masks);
  }

  /**
   * Opens in containers with this table's number end in the kernel where no clause of it can hold (plan/verdicts), counted as
   * prefiltered. Takes effect between two opens; undefined: all are reported. Throws UserError when the kernel refuses.
   */
  setVerdicts(number: number, table: Uint8Array | undefined): void {
    try {
      this.#probe.setVerdicts(number, table);
    } catch (error) {
      throw explain(error, 'change what is filtered');
    }
  }

  /** All opens are reported until tables are set anew, from when this returns. Throws UserError when the kernel refuses. */
  suspendVerdicts(): void {
    try {
      this.#probe.suspendVerdicts();
    } catch (error) {
      throw explain(error, 'change what is filtered');
    }
  }

  /** Hands over batches: `onBatch(bytes)` after that many bytes of records were put at the start of the buffer. */
  start(onBatch: (bytes: number) => void): ArrayBuffer {
    const buffer = new ArrayBuffer(BATCH_BYTES);
    this.#probe.start(buffer, onBatch, { tickMs: this.#tickMs });
    return buffer;
  }

  /** Hands over now what is in the rings. */
  drain(): number {
    return this.#probe.drain();
  }

  /** Losses from now on have first and last times of their own: to be called when those so far have been read. */
  nextLossInterval(): void {
    this.#probe.nextLossInterval();
  }

  stats(): ProbeStats {
    return this.#probe.stats();
  }

  close(): void {
    this.#probe.close();
  }
}

/**
 * Runs a child that enters the cgroup directory, opens the file `sentinel`, connects a UDP socket to 127.0.0.1:9
 * (nothing is sent) and execs /bin/true. Blocks a few ms; returns its pid. Throws UserError when it cannot.
 */
export function runSelfTestChild(cgroupDirectory: string, sentinel: string): number {
  try {
    return selfTest(cgroupDirectory, sentinel);
  } catch (error) {
    throw explain(error, 'run the self-test');
  }
}
