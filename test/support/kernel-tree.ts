// The process tree over a real probe, and what rules read of a process beside what /proc says of it.
import assert from 'node:assert/strict';
import { readFileSync, readlinkSync } from 'node:fs';
import { bootTimeNs } from 'ebpf-loader-napi';
import { cgroupIdOf, cgroupPathOfPid } from '../../src/apps/cgroup-hierarchy.ts';
import { ProcUsage } from '../../src/context/process-usage.ts';
import { ProcFs } from '../../src/context/proc-fs.ts';
import type { Process } from '../../src/context/process.ts';
import { ProcessTree, type ProcessTreeOptions } from '../../src/context/process-tree.ts';
import { scanProcesses, type ScanResult } from '../../src/context/scan.ts';
import { ContainerUsers } from '../../src/container-files/users.ts';
import type { RecordBytes } from '../../src/events/batch.ts';
import { readCgroupChange } from '../../src/events/cgroup-record.ts';
import type { KernelEvent } from '../../src/events/event.ts';
import { HEADER, KINDS, LIMITS } from '../../src/events/table.gen.ts';
import { WireEvent } from '../../src/events/wire-event.ts';
import { containerRootReader } from '../../src/host/root-reader.ts';
import { ancestorsOf, readFacts, readStat } from './kernel-facts.ts';
import { KernelProbe, STANDARD_PROGRAMS, type KernelProbeOptions } from './kernel-probe.ts';
import type { Step, TestProcess } from './kernel-process.ts';
import { operand } from './rules-field-reads.ts';

/** What changes a process beside its own programs, attached as rules on these fields have it. */
const MOVES = ['sys_chdir', 'sys_fchdir', 'sys_setsid', 'sys_setpgid'];
const NS_PER_TICK = 10_000_000n;
/** More than the tree keeps what has ended. */
const KEEP_NS = 6_000_000_000n;

const FIELDS = [
  'proc.pid',
  'proc.vpid',
  'proc.ppid',
  'proc.name',
  'proc.exe',
  'proc.exepath',
  'proc.cmdline',
  'proc.pname',
  'proc.aname',
  'proc.cwd',
  'proc.tty',
  'proc.sid',
  'proc.sname',
  'proc.pgid',
  'proc.vpgid',
  'proc.is_sid_leader',
  'proc.is_vpgid_leader',
  'proc.duration',
  'user.uid',
  'user.name',
  'user.loginuid',
] as const;

export type Fields = Readonly<Record<(typeof FIELDS)[number], unknown>>;

/** An event with what rules read of its process at that moment: later events change neither. */
export interface Seen {
  readonly event: WireEvent;
  readonly process: Process;
  readonly fields: Fields;
}

/** A reader of every field, and of the first ancestors one by one. */
const READERS = FIELDS.map((name) => [name, operand(name).reader] as const);
const ANCESTOR_READERS = [1, 2, 3].map((level) => operand(`proc.aname[${level}]`).reader);

/** A `KernelProbe` whose records go through a process tree, as in the agent. */
export class TreeProbe {
  readonly kernel: KernelProbe;
  readonly tree: ProcessTree;
  readonly seen: Seen[] = [];
  /** Events go into `seen`; the tree sees them in any case. */
  keeps = true;
  readonly #reader = new ProcFs();
  readonly #users = new ContainerUsers({
    rootReader: containerRootReader,
    procReader: this.#reader,
  });
  #event: WireEvent | undefined;

  constructor(options: KernelProbeOptions & { readonly tree?: Partial<ProcessTreeOptions> } = {}) {
    this.kernel = new KernelProbe({
      ...options,
      keep: false,
      attach: options.attach ?? [...STANDARD_PROGRAMS, ...MOVES],
    });
    this.tree = new ProcessTree({
      reader: this.#reader,
      isInScope: (pid) => this.isInScope(pid),
      ...options.tree,
    });
    this.kernel.onRecord = (records, at) => {
      this.#take(records, at);
    };
  }

  isInScope(pid: number): boolean | undefined {
    const { kind, id, mount } = this.kernel.hierarchy;
    const hierarchy = { kind, hierarchyId: id, mountPoint: mount };
    let path = cgroupPathOfPid(hierarchy, pid);
    if (path === undefined) return undefined;
    for (; path.length > 1; path = path.slice(0, path.lastIndexOf('/'))) {
      const cgroup = cgroupIdOf(hierarchy, path);
      const state = cgroup === undefined ? undefined : this.kernel.probe.scopeGet(cgroup)?.state;
      if (state !== undefined) return state !== 'excluded';
    }
    return false;
  }

  /** As the agent does at its start. `onLook` is called before each process is looked at. */
  async scan(onLook: () => void = () => undefined): Promise<ScanResult> {
    return await scanProcesses(this.tree, this.#reader, (pid) => {
      onLook();
      return this.isInScope(pid);
    });
  }

  #take(records: RecordBytes, at: number): void {
    if (records.short(at + HEADER.kind) === KINDS.cgroup) {
      this.tree.onCgroupChange(readCgroupChange(records, at));
      return;
    }
    this.#event ??= new WireEvent(records, { unixMinusBootNs: 0n });
    this.#event.moveTo(at, this.kernel.delivered);
    const process = this.tree.onEvent(this.#event);
    if (!this.keeps) return;
    const fields = this.#read(this.#event, process);
    this.seen.push({ event: this.#event.detach(), process, fields });
  }

  #read(event: KernelEvent, process: Process): Fields {
    this.#users.ensure(event.cgroupId, process.pid, process.startBootNs);
    const view = {
      event,
      process,
      container: undefined,
      users: this.#users.names(event.cgroupId),
      domains: { namesOf: () => [], areKnown: () => true },
      usage: new ProcUsage(),
      hostname: '',
      claimedPath: false,
    };
    const fields = Object.fromEntries(
      READERS.map(([name, reader]) => {
        const value = reader.read(view);
        return [name, Array.isArray(value) ? [...(value as unknown[])] : value];
      }),
    ) as Record<(typeof FIELDS)[number], unknown>;
    const ancestors = fields['proc.aname'] as unknown[];
    assert.deepEqual(
      ANCESTOR_READERS.map((reader) => reader.read(view)),
      [0, 1, 2].map((level) => ancestors[level]),
      'one ancestor by its number is the one in the list',
    );
    return fields;
  }

  /** Lets so much time pass that what has ended is forgotten; each turn also finds some of those whose end was not told. */
  forget(turns = 1): void {
    const now = bootTimeNs();
    for (let turn = 1; turn <= turns; turn++) this.tree.tick(now + BigInt(turn) * KEEP_NS);
  }

  /** The last event of the process, of that type. Throws when there is none. */
  last(pid: number, type?: string): Seen {
    const found = this.seen.findLast(
      ({ event }) => event.pid === pid && (type === undefined || event.type === type),
    );
    assert.ok(found, `no ${type ?? 'event'} of ${pid}`);
    return found;
  }

  async close(): Promise<void> {
    await this.kernel.close();
  }
}

/** By the host's own file, which these processes see. */
function userName(uid: number): string {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  return lines.map((line) => line.split(':')).find((one) => one[2] === String(uid))?.[0] ?? '<NA>';
}

/**
 * The fields of an event are what /proc says of the process, which stands still since. `other`: what /proc does not
 * know (any more), as who started a process that has another parent now.
 */
export function assertFields({ event, fields }: Seen, other: Partial<Fields> = {}): void {
  const { pid } = event;
  const facts = readFacts(pid);
  const ancestors = ancestorsOf(pid).map(({ comm }) => comm);
  // How many are looked for where no fork has told of them is bounded, and the child's own line was the longer one.
  const known = (fields['proc.aname'] as unknown[]).length;
  assert.ok(known >= Math.min(ancestors.length, LIMITS.ANCESTORS_MAX - 1), `${known} ancestors`);
  ancestors.length = Math.min(ancestors.length, known);
  const { 'proc.duration': duration, ...rest } = fields;
  assert.equal((event.bootNs - (duration as bigint)) / NS_PER_TICK, facts.startTicks, 'its start');
  const cwd = readlinkSync(`/proc/${pid}/cwd`);
  const [exe = '', ...args] = facts.argv;
  assert.deepEqual(rest, {
    'proc.pid': pid,
    'proc.vpid': facts.vpid,
    'proc.ppid': facts.ppid,
    'proc.name': facts.comm,
    'proc.exe': exe,
    'proc.exepath': readlinkSync(`/proc/${pid}/exe`),
    'proc.cmdline': [facts.comm, ...args].join(' '),
    'proc.pname': ancestors[0],
    'proc.aname': ancestors,
    'proc.cwd': cwd === '/' ? cwd : `${cwd}/`,
    'proc.tty': facts.tty,
    'proc.sid': facts.vsid,
    'proc.sname': readStat(facts.sid).comm,
    'proc.pgid': facts.pgid,
    'proc.vpgid': facts.vpgid,
    'proc.is_sid_leader': facts.vsid === facts.vpid,
    'proc.is_vpgid_leader': facts.vpgid === facts.vpid,
    'user.uid': facts.euid,
    'user.name': userName(facts.euid),
    'user.loginuid': facts.loginUid,
    ...other,
  });
}

/** Steps that make an event, after which the process stands still: for `look`. */
export const LOOK: readonly Step[] = ['open', '/etc/hostname', 0, 0, 'pause'];

/** Lets the program go on to its next LOOK; the fields of that event are what /proc says. Returns its pid on the host. */
export async function look(
  own: TreeProbe,
  running: TestProcess,
  other: Partial<Fields> = {},
): Promise<number> {
  running.resume();
  await running.paused();
  await own.kernel.settle();
  const seen = own.seen.findLast(({ event }) => event.type === 'open');
  assert.ok(seen, 'no event');
  assertFields(seen, other);
  return seen.event.pid;
}

/** Steps as arguments of a program that runs them itself after an exec: the outer one reads no end in them. */
export function inner(...steps: readonly (readonly Step[])[]): Step[] {
  return steps.flat().map((step) => String(step).replaceAll('%', '%25').replaceAll(';', '%3b'));
}
