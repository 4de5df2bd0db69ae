import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseProcStat, TICK_NS } from '../../../src/context/proc-reader.ts';
import { ProcUsage } from '../../../src/context/process-usage.ts';
import { makeProcess } from '../../support/rules-subject.ts';
import { FixtureProc } from './fixture-proc.ts';

const { startTicks } = parseProcStat(readFileSync('/proc/self/stat'))!;
const self = makeProcess({ pid: process.pid, startBootNs: BigInt(startTicks) * TICK_NS });

test('of this process, as /proc has it', () => {
  const usage = new ProcUsage();
  const status = usage.statusOf(self)!;
  const line = (key: string): number =>
    Number(
      new RegExp(`^${key}:\\s*(\\d+)`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))![1],
    );
  assert.equal(status.threads, line('Threads'));
  assert.equal(status.vmSwapKb, line('VmSwap'));
  for (const [seen, key] of [
    [status.vmSizeKb, 'VmSize'],
    [status.vmRssKb, 'VmRSS'],
  ] as const)
    assert.ok(seen > line(key) / 2 && seen < line(key) * 2, `${key}: ${seen}`);
  const open = usage.openFilesOf(self);
  // The listing has one open itself.
  if (open !== undefined) assert.equal(open, readdirSync('/proc/self/fd').length - 1);
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
  assert.equal(usage.fileLimitOf(self), limit === null ? -1 : Number(limit[1]));
  const cgroups = Array.from(usage.cgroupsOf(self)!, ([name, path]) => `${name}:${path}`);
  const lines = readFileSync('/proc/self/cgroup', 'utf8');
  for (const one of cgroups) assert.ok(lines.includes(one.slice(one.indexOf(':'))), one);
  assert.ok(usage.faultsOf(self)!.minor >= process.resourceUsage().minorPageFault / 2);
});

test('none of another process that has its pid, nor of one that has ended', () => {
  const usage = new ProcUsage();
  const later = makeProcess({ pid: process.pid, startBootNs: BigInt(startTicks + 1) * TICK_NS });
  const ended = makeProcess({ pid: 4194304, startBootNs: 0n });
  for (const one of [later, ended]) {
    assert.equal(usage.statusOf(one), undefined);
    assert.equal(usage.openFilesOf(one), undefined);
    assert.equal(usage.fileLimitOf(one), undefined);
    assert.equal(usage.cgroupsOf(one), undefined);
    assert.equal(usage.faultsOf(one), undefined);
  }
});

test('a name that looks like a line of the status tells nothing', () => {
  using fixture = new FixtureProc();
  const comm = ') R 1 (\nThreads:\t99';
  fixture.put({
    pid: 5,
    comm,
    startTicks: 9,
    status: 'Name:\t) R 1 (\\nThreads:\\t99\nVmRSS:\t  7 kB\nThreads:\t2\n',
  });
  const usage = new ProcUsage(fixture.root);
  const one = makeProcess({ pid: 5, startBootNs: 9n * TICK_NS });
  assert.deepEqual(usage.statusOf(one), { vmSizeKb: 0, vmRssKb: 7, vmSwapKb: 0, threads: 2 });
  assert.deepEqual(usage.faultsOf(one), { minor: 0, major: 0 });
});
