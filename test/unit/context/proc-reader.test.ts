import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { ProcFs } from '../../../src/context/proc-fs.ts';
import {
  CMDLINE_MAX_BYTES,
  innermostId,
  packCmdline,
  parseProcStat,
  startTicksOf,
} from '../../../src/context/proc-reader.ts';
import { unpackWords } from '../../../src/events/words.ts';
import { FixtureProc } from './fixture-proc.ts';

const parseCmdline = (bytes: Buffer): string[] => unpackWords(packCmdline(bytes));

test('reads a real process', async () => {
  const child = spawn('sleep', ['300'], { argv0: 'a title\nof its own', cwd: '/usr' });
  try {
    await once(child, 'spawn');
    const proc = new ProcFs();
    const pid = child.pid!;
    // In the middle of its exec a process has no command line: to the agent an exec event says it then.
    while (readFileSync(`/proc/${pid}/cmdline`).length === 0) await setTimeout(1);
    assert.ok(proc.pids().includes(pid));
    const stat = proc.stat(pid)!;
    assert.equal(stat.ppid, process.pid);
    assert.equal(stat.comm, 'sleep');
    const snapshot = proc.read(pid, stat.startTicks)!;
    assert.equal(snapshot.image.exe, 'a title\nof its own');
    assert.deepEqual(snapshot.image.args, ['300']);
    assert.match(snapshot.image.exePath, /\/(sleep|coreutils)$/);
    assert.equal(snapshot.image.cwd, '/usr');
    assert.equal(snapshot.vpid, pid);
    assert.equal(snapshot.loginUid, Number(readFileSync('/proc/self/loginuid', 'utf8')) | 0);
    assert.equal(proc.read(pid, stat.startTicks + 1), undefined, 'another start, another process');
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  assert.equal(new ProcFs().stat(child.pid!), undefined);
});

test('a comm that imitates the rest of the line changes no field', () => {
  const line = '17 (x) R 1 1 1 (y) S 42 43 44 34816 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 777 9 9\n';
  const stat = parseProcStat(Buffer.from(line))!;
  assert.deepEqual(stat, {
    pid: 17,
    comm: 'x) R 1 1 1 (y',
    state: 'S',
    ppid: 42,
    pgid: 43,
    sid: 44,
    tty: 34816,
    threads: 3,
    startTicks: 777,
  });
});

test('a comm with a newline, an escape and invalid UTF-8 stays what it is', () => {
  const line = Buffer.concat([
    Buffer.from('17 (a\n\u001b[2J'),
    Buffer.from([0xff, 0xc2]),
    Buffer.from(') S 42 43 44 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 9 9\n'),
  ]);
  assert.equal(parseProcStat(line)!.comm, 'a\n\u001b[2J\udcff\udcc2');
});

test('what is not a stat line is undefined', () => {
  for (const line of ['', '17', '17 (x', '17 (x) ', ')(', '17 (x) S a b c', 'x (y) S 1 1 1 0 0']) {
    assert.equal(parseProcStat(Buffer.from(line)), undefined, line);
  }
});

test('ids of the innermost namespace; Name cannot forge a line', () => {
  const status = 'Name:\tNSpid:\\n9\nState:\tS\nNSpid:\t812\t40\t1\nNSsid:\t\n';
  assert.equal(innermostId(status, 'NSpid', 5), 1);
  assert.equal(innermostId(status, 'NSsid', 5), 5);
  assert.equal(innermostId(status, 'NSpgid', 5), 5);
});

test('command lines: NULs, no NULs, empty arguments, a forged title', () => {
  assert.deepEqual(parseCmdline(Buffer.from('sh\0-c\0\0x\0')), ['sh', '-c', '', 'x']);
  assert.deepEqual(parseCmdline(Buffer.from('nginx: worker process')), ['nginx: worker process']);
  assert.deepEqual(parseCmdline(Buffer.from('title\0\0\0\0\0')), ['title']);
  assert.deepEqual(parseCmdline(Buffer.from('')), []);
  assert.deepEqual(parseCmdline(Buffer.from('\0\0')), []);
});

test('a command line beyond the bound is cut, and says so', () => {
  using fixture = new FixtureProc();
  fixture.put({ pid: 5, comm: 'a', startTicks: 9, cmdline: 'x'.repeat(CMDLINE_MAX_BYTES + 100) });
  const { image } = new ProcFs(fixture.root).read(5, 9)!;
  assert.equal(image.exe.length, CMDLINE_MAX_BYTES);
  assert.equal(image.argsTruncated, true);
});

test('a deleted executable, a memfd, hostile names', () => {
  using fixture = new FixtureProc();
  const proc = new ProcFs(fixture.root);
  fixture.put({ pid: 5, comm: 'a', startTicks: 9, exe: '/tmp/x (deleted)' });
  assert.equal(proc.read(5, 9)!.image.exePath, '/tmp/x');
  fixture.put({ pid: 5, comm: 'a', startTicks: 9, exe: '/memfd:run (deleted)' });
  assert.equal(proc.read(5, 9)!.image.exePath, '/memfd:run');
  assert.equal(proc.read(5, 9)!.image.exeMemfd, true);
  fixture.put({ pid: 5, comm: 'a', startTicks: 9, exe: Buffer.from('/t\n\x1b\xff', 'latin1') });
  assert.equal(proc.read(5, 9)!.image.exePath, '/t\n\x1b\udcff');
});

test('ticks round down as the kernel does', () => {
  assert.equal(startTicksOf(9_999_999n), 0);
  assert.equal(startTicksOf(10_000_000n), 1);
  assert.equal(startTicksOf(123_456_789_012_345n), 12_345_678);
});
