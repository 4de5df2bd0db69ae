import assert from 'node:assert/strict';
import { readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Ancestor, Credentials } from '../../src/events/event.ts';
import { HEADER, LIMITS } from '../../src/events/table.gen.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';

/** USER_HZ, the unit of starttime in /proc/PID/stat. */
const NS_PER_TICK = 10_000_000n;

/** What /proc says of a process or (as `task`) a thread of it; ids are the host's. */
export interface ProcFacts {
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
  readonly tty: number;
  readonly startTicks: bigint;
  readonly uid: number;
  readonly euid: number;
  readonly gid: number;
  readonly egid: number;
  readonly capInheritable: bigint;
  readonly capPermitted: bigint;
  readonly capEffective: bigint;
  /** In the innermost pid namespace. */
  readonly vpid: number;
  readonly vtid: number;
  readonly vpgid: number;
  readonly vsid: number;
  readonly userNamespace: number;
  readonly mountNamespace: number;
  readonly loginUid: number;
  readonly argv: readonly string[];
}

function readText(path: string): string {
  return readFileSync(path, 'latin1');
}

function readStatFields(path: string): { comm: string; fields: string[] } {
  const stat = readText(path);
  const commEnd = stat.lastIndexOf(')');
  return {
    comm: stat.slice(stat.indexOf('(') + 1, commEnd),
    fields: stat.slice(commEnd + 2).split(' '),
  };
}

/** What /proc says of any process, also of one that we may not look into. */
export interface StatFacts {
  readonly pid: number;
  readonly comm: string;
  /** One letter, as proc(5) has them. */
  readonly state: string;
  readonly ppid: number;
  readonly startTicks: bigint;
}

/** Reads /proc/PID/stat. */
export function readStat(pid: number): StatFacts {
  const { comm, fields } = readStatFields(`/proc/${pid}/stat`);
  const [state = '', ppid] = fields;
  return { pid, comm, state, ppid: Number(ppid), startTicks: BigInt(fields[19] ?? '') };
}

/** Waits until it has ended and nobody has asked how; its `procexit` was emitted before. */
export async function becomesZombie(pid: number): Promise<void> {
  const end = Date.now() + 10_000;
  while (readStat(pid).state !== 'Z') {
    assert.ok(Date.now() < end, `${pid} has not ended`);
    await delay(2);
  }
}

/** The parents that /proc knows, nearest first. */
export function ancestorsOf(pid: number): StatFacts[] {
  const chain: StatFacts[] = [];
  for (let at = readStat(pid).ppid; at > 0;) {
    const facts = readStat(at);
    chain.push(facts);
    at = facts.ppid;
  }
  return chain;
}

/** A list of ancestors, none of them in scope, is what /proc says of the living process `parent` and those above it. */
export function assertOutside(ancestors: readonly Ancestor[], parent: number): void {
  const chain = [readStat(parent), ...ancestorsOf(parent)].slice(0, LIMITS.ANCESTORS_MAX);
  assert.deepEqual(
    ancestors.map(({ startBootNs, ...rest }) => ({ ...rest, start: startBootNs / NS_PER_TICK })),
    chain.map(({ pid, comm, startTicks }, index) => {
      const exePath = index < LIMITS.ANCESTOR_EXES ? programOf(pid) : undefined;
      const told = exePath !== undefined && exePath.length < LIMITS.ANCESTOR_EXE_MAX;
      return { pid, comm, inScope: false, start: startTicks, ...(told ? { exePath } : {}) };
    }),
  );
}

/** The file that it runs; undefined for a kernel thread. */
function programOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined;
  }
}

/** Reads the facts of a process that stands still, or of its thread `tid`. */
export function readFacts(pid: number, tid: number = pid): ProcFacts {
  const dir = `/proc/${pid}/task/${tid}`;
  const { comm, fields } = readStatFields(`${dir}/stat`);
  const status = new Map(
    readText(`${dir}/status`)
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const numbers = (key: string): number[] => (status.get(key) ?? '').split(/\s+/).map(Number);
  const capabilities = (key: string): bigint => BigInt(`0x${status.get(key) ?? ''}`);
  const last = (key: string): number => numbers(key).at(-1) ?? NaN;
  const namespace = (kind: string): number =>
    Number(/\d+/.exec(readlinkSync(`${dir}/ns/${kind}`))?.[0]);
  const argv = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
  argv.pop();
  return {
    pid,
    tid,
    comm,
    ppid: Number(fields[1]),
    pgid: Number(fields[2]),
    sid: Number(fields[3]),
    tty: Number(fields[4]),
    // The leader's: the start that names the process, not the thread's own.
    startTicks: readStat(pid).startTicks,
    uid: numbers('Uid')[0] ?? NaN,
    euid: numbers('Uid')[1] ?? NaN,
    gid: numbers('Gid')[0] ?? NaN,
    egid: numbers('Gid')[1] ?? NaN,
    capInheritable: capabilities('CapInh'),
    capPermitted: capabilities('CapPrm'),
    capEffective: capabilities('CapEff'),
    vpid: last('NStgid'),
    vtid: last('NSpid'),
    vpgid: last('NSpgid'),
    vsid: last('NSsid'),
    userNamespace: namespace('user'),
    mountNamespace: namespace('mnt'),
    loginUid: Number(readText(`/proc/${pid}/loginuid`)) | 0,
    argv,
  };
}

/** What a header is compared with. */
export interface ExpectedHeader {
  readonly facts: ProcFacts;
  readonly cgroupId: number;
  readonly result: number;
  /** bootTimeNs() before and after. */
  readonly from: bigint;
  readonly to: bigint;
  /** Ids in the process's user namespace; default: those of the host. */
  readonly inside?: { uid: number; gid: number; euid: number; egid: number };
  /** The parent's start; default: read from /proc now. */
  readonly parentStartTicks?: bigint;
}

/** Every header field of the event against what /proc said. */
export function assertHeader(event: WireEvent, expected: ExpectedHeader): void {
  const { facts } = expected;
  const parentStartTicks = expected.parentStartTicks ?? readStat(facts.ppid).startTicks;
  const inside = expected.inside ?? facts;
  const { credentials } = event;
  assert.deepEqual(
    {
      cgroupId: event.cgroupId,
      pid: event.pid,
      tid: event.tid,
      vpid: event.vpid,
      vtid: event.vtid,
      ppid: event.ppid,
      startTicks: event.startBootNs / NS_PER_TICK,
      parentStartTicks: event.parentStartBootNs / NS_PER_TICK,
      result: event.result,
      comm: Buffer.from(event.comm).toString('latin1'),
      tty: event.tty,
      mountNamespace: event.records.number(event.at + HEADER.mntns),
      credentials: plainCredentials(credentials),
    },
    {
      cgroupId: expected.cgroupId,
      pid: facts.pid,
      tid: facts.tid,
      vpid: facts.vpid,
      vtid: facts.vtid,
      ppid: facts.ppid,
      startTicks: facts.startTicks,
      parentStartTicks,
      result: expected.result,
      comm: facts.comm,
      tty: facts.tty,
      mountNamespace: facts.mountNamespace,
      credentials: {
        uid: inside.uid,
        gid: inside.gid,
        euid: inside.euid,
        egid: inside.egid,
        hostUid: facts.uid,
        hostGid: facts.gid,
        hostEuid: facts.euid,
        hostEgid: facts.egid,
        loginUid: facts.loginUid,
        userNamespace: facts.userNamespace,
        capEffective: facts.capEffective,
        capPermitted: facts.capPermitted,
        capInheritable: facts.capInheritable,
      },
    },
  );
  assert.ok(event.bootNs >= expected.from && event.bootNs <= expected.to, 'time of the event');
  assert.ok(event.cpu >= 0 && event.cpu < cpuCount(), `cpu ${event.cpu}`);
}

function cpuCount(): number {
  return readText('/proc/stat').match(/^cpu\d+/gm)?.length ?? 0;
}

/** Credentials read one by one: an event's are getters over its record. */
function plainCredentials(c: Credentials): Credentials {
  return {
    uid: c.uid,
    gid: c.gid,
    euid: c.euid,
    egid: c.egid,
    hostUid: c.hostUid,
    hostGid: c.hostGid,
    hostEuid: c.hostEuid,
    hostEgid: c.hostEgid,
    loginUid: c.loginUid,
    userNamespace: c.userNamespace,
    capEffective: c.capEffective,
    capPermitted: c.capPermitted,
    capInheritable: c.capInheritable,
  };
}
