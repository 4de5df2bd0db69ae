import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { Probe, type LoaderScopeEntry, type LoaderScopePattern } from 'ebpf-loader-napi';
import { RecordBytes } from '../../src/events/batch.ts';
import { readCgroupChange, type CgroupChange } from '../../src/events/cgroup-record.ts';
import { HEADER, KINDS } from '../../src/events/table.gen.ts';
import { WireEvent } from '../../src/events/wire-event.ts';
import { levelOf } from '../../src/probe/scope.ts';
import {
  findHierarchy,
  removeCgroup,
  removeStaleCgroups,
  type Hierarchy,
} from './kernel-cgroups.ts';
import { programOf } from './kernel-program.ts';
import { withPlainDetails } from './plain.ts';

const WAIT_MS = 10_000;

/** One line that kernel-steps.c printed: the step, who made it, its result or -errno, and what it knows. */
export interface StepResult {
  readonly step: string;
  /** As the process itself sees them (its pid namespace). */
  readonly pid: number;
  readonly tid: number;
  readonly ret: number;
  /** Opens: fstat. */
  readonly ino?: number;
  readonly major?: number;
  readonly minor?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mode?: number;
  /** Calls that waited for a child: its wait status. */
  readonly status?: number;
  /** ids: as seen in the process's user and pid namespaces. */
  readonly euid?: number;
  readonly egid?: number;
  readonly pgid?: number;
  readonly sid?: number;
  /** connect: the socket, and both its names. */
  readonly fd?: number;
  readonly local?: { readonly ip: string; readonly port: number };
  readonly remote?: { readonly ip: string; readonly port: number };
}

/** Steps that only prepare: one that fails is a broken test, not a result. */
const PREPARING = new Set(
  'enter cd chroot mount pivot unshare mkdir unlink comm resuid resgid caps setsid setpgid tty memfd bindun'.split(
    ' ',
  ),
);

/** An argument of kernel-steps.c; `raw` makes one from bytes or from text with reserved characters. */
export type Step = string | number;

/** A step argument from any bytes (no NUL): kernel-steps.c decodes it. */
export function raw(bytes: Buffer | string): string {
  return [...Buffer.from(bytes)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}

/** Path of the compiled kernel-steps.c. A guest kernel (test/vm) is given one. */
export function stepsProgram(): string {
  return process.env['KERNEL_STEPS_PROGRAM'] ?? programOf('kernel-steps.c');
}

/** A running kernel-steps.c. Its standard input closes with this process, which ends one that pauses. */
export class TestProcess {
  readonly pid: number;
  readonly results: StepResult[] = [];
  #stderr = '';
  #pausesSeen = 0;
  #broken: string | undefined;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #closed: Promise<unknown>;

  constructor(argv: readonly string[]) {
    this.#child = spawn(stepsProgram(), argv, { stdio: 'pipe' });
    if (this.#child.pid === undefined) throw new Error('kernel-steps did not start');
    this.pid = this.#child.pid;
    createInterface(this.#child.stdout).on('line', (line) => {
      const result = JSON.parse(line) as StepResult;
      this.results.push(result);
      if (PREPARING.has(result.step) && result.ret < 0) this.#broken ??= line;
    });
    this.#child.stderr.on('data', (text: Buffer) => (this.#stderr += text.toString()));
    this.#child.stdin.on('error', () => undefined); // it may end without having read
    this.#closed = once(this.#child, 'close');
  }

  /** Waits until it (or a child of its) pauses once more. */
  async paused(): Promise<StepResult> {
    const end = Date.now() + WAIT_MS;
    for (;;) {
      const pauses = this.results.filter((result) => result.step === 'pause');
      const next = pauses[this.#pausesSeen];
      if (next !== undefined) {
        this.#pausesSeen++;
        return next;
      }
      if (this.#broken !== undefined || Date.now() > end || this.#child.exitCode !== null) {
        throw new Error(`kernel-steps did not pause: ${this.describe()}`);
      }
      await delay(2);
    }
  }

  resume(): void {
    this.#child.stdin.write('\n');
  }

  /** Resolves when it has ended and all its output is here. */
  async ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    await this.#closed;
    if (this.#broken !== undefined) throw new Error(`a preparing step failed: ${this.#broken}`);
    return { code: this.#child.exitCode, signal: this.#child.signalCode };
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Waits until it has reported such a result. */
  async reported(is: (result: StepResult) => boolean, waitMs = WAIT_MS): Promise<void> {
    const end = Date.now() + waitMs;
    while (!this.results.some(is)) {
      if (Date.now() > end) throw new Error(`not reported: ${this.describe()}`);
      await delay(2);
    }
  }

  /** The nth result of the step. Throws with all output when there is none. */
  result(step: string, nth = 0): StepResult {
    const found = this.results.filter((result) => result.step === step)[nth];
    if (found === undefined) throw new Error(`no result of ${step}: ${this.describe()}`);
    return found;
  }

  describe(): string {
    const { exitCode, signalCode } = this.#child;
    return `${JSON.stringify(this.results)} ${this.#stderr} exit ${String(exitCode ?? signalCode)}`;
  }
}

/** A cgroup directory in the hierarchy that decides. */
export interface TestCgroup {
  readonly id: number;
  readonly dir: string;
  /** From the hierarchy's root, as the probe reports it. */
  readonly path: string;
  /** Below the hierarchy's root, as `scopeSet` takes it. */
  readonly level: number;
}

export interface KernelProbeOptions {
  readonly hierarchy?: 'v2' | 'v1-pids';
  /** From the name of the probe's own top cgroup; default: every child of it. */
  readonly patterns?: (top: string) => LoaderScopePattern[];
  /** Programs to attach; default all. */
  readonly attach?: readonly string[];
  readonly execRingBytes?: number;
  readonly bulkRingBytes?: number;
  /** Default 1 MiB. */
  readonly bufferBytes?: number;
  readonly tickMs?: number;
  readonly dozeMs?: number;
  readonly safetyMs?: number;
  /** false: setMasks is not called. Default: all opens and messages are reported. */
  readonly masks?: boolean;
  /** false: events are counted, not kept. */
  readonly keep?: boolean;
  /** As the probe's option. */
  readonly withVerdictRun?: boolean;
  /**
   * true: system calls have tracepoints of their own, as with `probe.compat_calls: false`. Default: compat_exit reports them, as the
   * agent does.
   */
  readonly tracepoints?: boolean;
}

let instances = 0;

/** What every test of processes, files and connections needs; the other calls are attached by their own tests. */
export const STANDARD_PROGRAMS: readonly string[] = [
  'cgroup_mkdir',
  'cgroup_rmdir',
  'cgroup_attach_task',
  'sched_fork',
  'sched_exec',
  'sched_exit',
  'sys_execve',
  'sys_execveat',
  'sys_open',
  'sys_openat',
  'sys_openat2',
  'sys_creat',
  'sys_connect',
  'tcp_connect',
];

/** Every child of the top cgroup is a container. */
export function childrenOf(top: string): LoaderScopePattern {
  return { prefix: `/${top}/`, leafPrefix: '', handle: 'any', leafSuffix: '', deep: false };
}

/**
 * A loaded probe whose scope is a top cgroup of its own, with all it hands over. `close` ends what runs in its
 * cgroups, removes them and unloads; so does the end of this process.
 */
export class KernelProbe {
  readonly probe: Probe;
  readonly hierarchy: Hierarchy;
  /** Name and directory of the cgroup whose children are containers; itself out of scope. */
  readonly top: string;
  readonly topDir: string;
  readonly events: WireEvent[] = [];
  readonly changes: CgroupChange[] = [];
  /** Records of any kind handed over, in all and by cgroup. */
  delivered = 0;
  readonly deliveredBy = new Map<number, number>();
  readonly keep: boolean;
  /** Called with each record's offset before it is kept. */
  onRecord: ((records: RecordBytes, at: number) => void) | undefined;
  readonly #records: RecordBytes;
  #closed = false;
  readonly #onExit = (): void => {
    this.#removeCgroups();
  };

  constructor(options: KernelProbeOptions = {}) {
    this.hierarchy = findHierarchy(options.hierarchy ?? 'v2');
    this.keep = options.keep ?? true;
    this.top = `varvel-test-${process.pid}-${instances++}`;
    this.topDir = join(this.hierarchy.mount, this.top);
    removeStaleCgroups(this.hierarchy.mount);
    mkdirSync(this.topDir);
    process.on('exit', this.#onExit);
    const {
      attach = STANDARD_PROGRAMS,
      execRingBytes,
      bulkRingBytes,
      tracepoints = false,
    } = options;
    const byCompatExit = !tracepoints && attach.some((name) => name.startsWith('sys_'));
    this.probe = new Probe({
      hierarchy: this.hierarchy,
      patterns: options.patterns?.(this.top) ?? [childrenOf(this.top)],
      ...(execRingBytes === undefined ? {} : { execRingBytes }),
      ...(bulkRingBytes === undefined ? {} : { bulkRingBytes }),
      withVerdictRun: options.withVerdictRun ?? false,
      byCompatExit,
    });
    if (options.masks !== false) {
      this.probe.setMasks({
        opens: { read: true, write: true, failed: true },
        messages: { newPeer: true, other: true },
        dups: { network: true, other: true },
        sockets: { ordinary: true, local: true, other: true },
        env: true,
      });
    }
    if (byCompatExit) this.probe.attach('compat_exit');
    for (const name of attach) this.probe.attach(name);
    const buffer = new ArrayBuffer(options.bufferBytes ?? 1 << 20);
    this.#records = new RecordBytes(buffer);
    const event = new WireEvent(this.#records, { unixMinusBootNs: 0n });
    const { tickMs = 2, dozeMs = 16, safetyMs = 200 } = options;
    this.probe.start(buffer, (bytes) => this.#take(bytes, event), { tickMs, dozeMs, safetyMs });
  }

  #take(bytes: number, event: WireEvent): void {
    for (let at = 0; at < bytes; at += this.#records.number(at + HEADER.len)) {
      this.delivered++;
      const cgroup = this.#records.id(at + HEADER.cgroup);
      this.deliveredBy.set(cgroup, (this.deliveredBy.get(cgroup) ?? 0) + 1);
      this.onRecord?.(this.#records, at);
      if (!this.keep) continue;
      if (this.#records.short(at + HEADER.kind) === KINDS.cgroup) {
        this.changes.push(readCgroupChange(this.#records, at));
      } else {
        event.moveTo(at, this.delivered);
        this.events.push(withPlainDetails(event.detach()));
      }
    }
  }

  /** Makes a cgroup below the top one; `name` may have several components. */
  mkdir(name: string): TestCgroup {
    const dir = join(this.topDir, name);
    mkdirSync(dir, { recursive: true });
    return this.cgroupAt(dir);
  }

  cgroupAt(dir: string): TestCgroup {
    const path = dir.slice(this.hierarchy.mount.length);
    return { id: statSync(dir).ino, dir, path, level: levelOf(path) };
  }

  /** Starts kernel-steps.c; with a cgroup, its first step is to enter it. */
  spawn(cgroup: TestCgroup | undefined, steps: readonly Step[]): TestProcess {
    const enter = cgroup === undefined ? [] : ['enter', cgroup.dir];
    return new TestProcess([...enter, ...steps].map(String));
  }

  /** `spawn`, waits for its end, then for all records. Throws unless it ended by itself with code 0. */
  async run(cgroup: TestCgroup | undefined, steps: readonly Step[]): Promise<TestProcess> {
    const running = this.spawn(cgroup, steps);
    const { code } = await running.ended();
    if (code !== 0) throw new Error(`kernel-steps failed: ${running.describe()}`);
    await this.settle();
    return running;
  }

  /** Waits until everything that was emitted is here. */
  async settle(): Promise<void> {
    const end = Date.now() + WAIT_MS;
    for (;;) {
      this.probe.drain();
      const { emitted } = this.probe.stats();
      if (this.delivered === emitted) return;
      if (Date.now() > end) throw new Error(`${emitted} emitted, ${this.delivered} delivered`);
      await delay(2);
    }
  }

  /** The entry of a cgroup in the scope map. Throws when there is none. */
  entry(cgroup: TestCgroup): LoaderScopeEntry {
    const entry = this.probe.scopeGet(cgroup.id);
    if (entry === undefined) throw new Error(`${cgroup.path} is not in the scope map`);
    return entry;
  }

  /** Of a process (host pid), by event name. */
  eventsOf(pid: number, ...types: string[]): WireEvent[] {
    return this.events.filter(
      (event) => event.pid === pid && (types.length === 0 || types.includes(event.type)),
    );
  }

  /** The only such event. Throws when there is none, or another. */
  theEvent(pid: number, type: string): WireEvent {
    const found = this.eventsOf(pid, type);
    const [event] = found;
    if (event === undefined || found.length > 1) {
      const seen = this.eventsOf(pid).map((other) => other.type);
      throw new Error(`${found.length} ${type} events of ${pid}; it has: ${seen.join(' ')}`);
    }
    return event;
  }

  /** The only open event of the process with that path as passed. */
  openOf(pid: number, rawPath: string): WireEvent {
    const found = this.events.filter(
      (event) => event.pid === pid && event.open?.rawPath === rawPath,
    );
    const [event] = found;
    if (event === undefined || found.length > 1) {
      throw new Error(`${found.length} opens of ${rawPath} by ${pid}`);
    }
    return event;
  }

  #removeCgroups(): boolean {
    return !existsSync(this.topDir) || removeCgroup(this.topDir);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const end = Date.now() + WAIT_MS;
    try {
      while (!this.#removeCgroups()) {
        if (Date.now() > end) throw new Error(`${this.topDir} cannot be removed`);
        await delay(10);
      }
    } finally {
      process.off('exit', this.#onExit);
      this.probe.close();
    }
  }
}

/** Runs the body with a probe of its own, and closes it. */
export async function withProbe(
  options: KernelProbeOptions,
  body: (probe: KernelProbe) => Promise<void>,
): Promise<void> {
  const probe = new KernelProbe(options);
  try {
    await body(probe);
  } finally {
    await probe.close();
  }
}
