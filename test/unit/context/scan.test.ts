import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { ProcFs } from '../../../src/context/proc-fs.ts';
import { ProcessTree } from '../../../src/context/process-tree.ts';
import { scanProcesses } from '../../../src/context/scan.ts';
import { FixtureProc } from './fixture-proc.ts';
import { execEvent } from './kernel-events.ts';

test('finds real processes in scope and their ancestors, and nobody else', async () => {
  const shell = spawn('sh', ['-c', 'sleep 300 & echo $!; wait']);
  try {
    const [line] = (await once(shell.stdout, 'data')) as [Buffer];
    const sleeper = Number(line.toString());
    const reader = new ProcFs();
    // The shell names its child before the child has become sleep.
    const { startTicks } = reader.stat(sleeper)!;
    while (reader.read(sleeper, startTicks)?.image.args[0] !== '300') await setTimeout(1);
    const tree = new ProcessTree({ reader });
    const result = await scanProcesses(tree, reader, (pid) => pid === sleeper);
    const found = tree.find(sleeper)!;
    assert.equal(found.inScope, true);
    assert.equal(found.setup, false);
    assert.equal(found.origin, 'proc');
    assert.deepEqual(found.image.args, ['300']);
    assert.equal(found.parent?.pid, shell.pid);
    assert.equal(found.parent?.inScope, false);
    assert.equal(found.parent.parent?.pid, process.pid);
    assert.equal(result.inScope, 1);
    assert.ok(result.ancestors >= 2 && result.seen > result.ancestors);
    assert.equal(tree.counters().processes, result.inScope + result.ancestors);
    process.kill(sleeper, 'SIGKILL');
  } finally {
    shell.kill('SIGKILL');
    await once(shell, 'exit');
  }
});

test('a record that arrives during the scan wins over what the scan reads', async () => {
  using fixture = new FixtureProc();
  for (let pid = 100; pid < 400; pid++)
    fixture.put({ pid, comm: 'old', startTicks: pid, cmdline: 'old\0' });
  fixture.put({ pid: 1, comm: 'init', ppid: 0, startTicks: 1 });
  const reader = new ProcFs(fixture.root);
  const tree = new ProcessTree({ reader });
  const scan = scanProcesses(tree, reader, () => true);
  await new Promise((resolve) => setImmediate(resolve));
  const fresh = { pid: 399, start: 3_990_000_123n, comm: 'new' };
  const process = tree.onEvent(execEvent(fresh, 9_000_000_000n, { argv: ['new'] }));
  await scan;
  assert.equal(tree.find(399), process);
  assert.equal(process.image.exe, 'new');
  assert.equal(process.origin, 'probe');
  assert.equal(process.parent?.image.name, 'init');
  assert.equal(tree.find(398)!.image.exe, 'old');
});

test('zombies, reused parents, circles and processes that end meanwhile', async () => {
  using fixture = new FixtureProc();
  fixture.put({ pid: 10, comm: 'zombie', startTicks: 5, state: 'Z' });
  fixture.put({ pid: 11, comm: 'leader', startTicks: 5, state: 'Z', threads: 3 });
  fixture.put({ pid: 12, comm: 'orphan', startTicks: 5, ppid: 13 });
  fixture.put({ pid: 13, comm: 'younger', startTicks: 6, ppid: 1 });
  fixture.put({ pid: 14, comm: 'ping', startTicks: 7, ppid: 15 });
  fixture.put({ pid: 15, comm: 'pong', startTicks: 7, ppid: 14 });
  fixture.put({ pid: 16, comm: 'gone', startTicks: 7 });
  const reader = new ProcFs(fixture.root);
  const tree = new ProcessTree({ reader });
  await scanProcesses(tree, reader, (pid) => {
    if (pid === 16) fixture.remove(16);
    return pid !== 13;
  });
  assert.equal(tree.find(10), undefined);
  assert.equal(tree.find(11)!.image.name, 'leader');
  assert.equal(tree.find(12)!.parent, undefined, 'pid 13 started after its supposed child');
  const parents = [tree.find(14)!.parent?.pid, tree.find(15)!.parent?.pid];
  assert.ok(parents.includes(undefined), 'no circle');
  assert.equal(tree.find(16), undefined);
});

test('a line of parents hundreds deep', async () => {
  using fixture = new FixtureProc();
  for (let i = 0; i < 600; i++) fixture.put({ pid: 10 + i, comm: 'a', startTicks: 5, ppid: 9 + i });
  const reader = new ProcFs(fixture.root);
  const tree = new ProcessTree({ reader });
  await scanProcesses(tree, reader, (pid) => pid === 609);
  assert.equal(tree.counters().processes, 600);
});
