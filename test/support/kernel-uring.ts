// Requests by io_uring, as uring-calls.c makes them, and their events.
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach } from 'node:test';
import { CALL, KINDS, OPEN, RECORD_FLAGS } from '../../src/events/table.gen.ts';
import type { OpenDetails } from '../../src/events/event.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { KernelProbe } from './kernel-probe.ts';
import { runProgram } from './kernel-program.ts';

const CALLS = [
  ...['openat', 'openat2', 'connect', 'unlinkat', 'renameat', 'renameat2', 'mkdirat'],
  ...['symlinkat', 'linkat', 'socket'],
];

interface Made {
  readonly op: string;
  readonly pid: number;
  readonly ret: number;
  readonly ino: number;
  readonly fd: number;
  readonly port: number;
}
type Ring = 'plain' | 'sqpoll' | 'small' | 'large';

/** 2: nobody may (kernel.io_uring_disabled, 6.6). */
export const forbidden = (): boolean =>
  existsSync('/proc/sys/kernel/io_uring_disabled') &&
  readFileSync('/proc/sys/kernel/io_uring_disabled', 'utf8').trim() === '2';

/** Of this process's tests. */
export let probe: KernelProbe;
/** Where requests are made: another one for each test, with `file`, `sub` and `link`. */
export let dir: string;
let runs = 0;

/** To be called first in a describe: opens and closes the probe, and makes the folders. */
export function uringSuite(): void {
  before((context) => {
    probe = new KernelProbe({
      attach: ['cgroup_mkdir', 'sched_exec', ...CALLS.map((name) => `sys_${name}`)],
    });
    if (!probe.probe.programs().includes('io_uring'))
      return (context as { skip?: (why: string) => void }).skip?.('no tracepoints that fit');
    probe.probe.attach('io_uring');
  });
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'varvel-uring-'));
    writeFileSync(join(dir, 'file'), 'text');
    mkdirSync(join(dir, 'sub'));
    symlinkSync('file', join(dir, 'link'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  after(() => probe.close());
}

/** What the program did, and what was reported of it by way of io_uring. */
export async function run(
  ring: Ring,
  ...requests: (readonly (string | number)[])[]
): Promise<{ made: readonly Made[]; events: readonly WireEvent[] }> {
  const cgroup = probe.mkdir(`run${runs++}`);
  const made = await runProgram<Made>(probe, 'uring-calls.c', cgroup, [
    ...[dir, ring, ...requests.flatMap((one) => [...one, ';'])],
  ]);
  const events = probe.events.filter((event) => event.cgroupId === cgroup.id);
  assert.deepEqual(
    events.map(({ pid }) => pid),
    events.map(() => made[0]?.pid),
  );
  return {
    made,
    events: events.filter((event) => (flagsOf(event) & RECORD_FLAGS.VIA_IO_URING) !== 0),
  };
}

/** Of the record, RECORD_FLAGS. */
function flagsOf(event: WireEvent): number {
  const layout = event.records.short(event.at + 4) === KINDS.open ? OPEN : CALL;
  return event.records.number(event.at + layout.flags);
}
/** Was it reported before its end was known? */
export const isUnknown = (event: WireEvent): boolean =>
  (flagsOf(event) & RECORD_FLAGS.RESULT_UNKNOWN) !== 0;

export function openOf(event: WireEvent | undefined): OpenDetails {
  assert.ok(event?.open);
  return event.open;
}

/** The event is of that request, which opened the file at that path. */
export function assertOpen(
  event: WireEvent | undefined,
  made: Made | undefined,
  path: string,
): void {
  assert.ok(event && made);
  const { file } = openOf(event);
  assert.equal(event.result, made.ret);
  assert.equal(file?.path, path);
  assert.equal(file.ino, statSync(path).ino);
  if (made.ino !== 0) assert.equal(file.ino, made.ino);
  assert.equal(isUnknown(event), false);
}
