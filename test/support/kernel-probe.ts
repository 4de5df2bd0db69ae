import { existsSync, mkdirSync, statSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
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
import { TestProcess, type Step } from './kernel-process.ts';
import { withPlainDetails } from './plain.ts';

const WAIT_MS = 10_000;
/** Room for what a test emits while a busy machine does not let it read: 200 programs can have more than a megabyte. */
const RING_BYTES = 16 << 20;

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
  /** Default RING_BYTES. A test that makes a ring smaller may lose records; any other fails if it does. */
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
  /** What a test that floods may lose: calls, or records of programs too. Default: none; all where a ring is smaller. */
  readonly mayLose?: 'calls' | 'all';
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
  readonly #mayLose: 'none' | 'calls' | 'all';
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
      execRingBytes = RING_BYTES,
      bulkRingBytes = RING_BYTES,
      tracepoints = false,
    } = options;
    const hasRoom = Math.min(execRingBytes, bulkRingBytes) >= RING_BYTES;
    this.#mayLose = options.mayLose ?? (hasRoom ? 'none' : 'all');
    const byCompatExit = !tracepoints && attach.some((name) => name.startsWith('sys_'));
    this.probe = new Probe({
      hierarchy: this.hierarchy,
      patterns: options.patterns?.(this.top) ?? [childrenOf(this.top)],
      execRingBytes,
      bulkRingBytes,
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

  /** Waits until everything that was emitted is here. Throws if records were lost that the test must see. */
  async settle(): Promise<void> {
    const end = Date.now() + WAIT_MS;
    for (;;) {
      this.probe.drain();
      const { emitted, dropped, droppedExec } = this.probe.stats();
      const lost = { none: dropped, calls: droppedExec, all: 0 }[this.#mayLose];
      if (lost > 0) throw new Error(`${lost} records were lost: this process did not read in time`);
      if (this.delivered === emitted) return;
      if (Date.now() > end) throw new Error(`${emitted} emitted, ${this.delivered} delivered`);
      await delay(2);
    }
  }

  /**
   * Returns a function that says how many calls have been refused since then that no record tells of. It throws if there are some and the
   * kernel has not skipped as many programs: since Linux 7.0 it may skip that which reports a call. Before that none may be missing.
   */
  countUntold(): () => number {
    const look = (): [untold: number, skipped: number] => {
      this.probe.forgetRefusals(0);
      return [this.probe.stats().deniedDropped, this.probe.skipped()];
    };
    const before = look();
    return () => {
      const now = look();
      const untold = now[0] - before[0];
      const skipped = Number.parseInt(release()) >= 7 ? now[1] - before[1] : 0;
      if (untold > skipped)
        throw new Error(
          `${untold} refused calls are not told, and ${skipped} programs were skipped`,
        );
      return untold;
    };
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
