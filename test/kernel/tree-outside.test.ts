import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Process } from '../../src/context/process.ts';
import { readStat } from '../support/kernel-facts.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';
import { TreeProbe } from '../support/kernel-tree.ts';

const OPEN: readonly Step[] = ['openat', -100, '/etc/hostname', 0, 0];

/** On a busy host a runtime has ended before its records are read, and /proc knows nothing of it. */
describe('a process whose runtime has ended before its records are read', () => {
  let own: TreeProbe;
  let dir: string;
  let runtime: string;
  before(() => {
    own = new TreeProbe();
    dir = realpathSync(mkdtempSync(join(tmpdir(), 'varvel-outside-')));
    runtime = join(dir, 'runtime');
    copyFileSync(stepsProgram(), runtime);
  });
  after(async () => {
    await own.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Runs the runtime to its end, while nobody reads records; returns the process that opened a file. */
  async function run(...steps: readonly Step[]): Promise<Process> {
    const output = execFileSync(runtime, steps.map(String), { encoding: 'utf8', timeout: 60_000 });
    await own.kernel.settle();
    const opened = output.split('\n').find((line) => line.includes('"openat"')) ?? '';
    return own.last((JSON.parse(opened) as { pid: number }).pid, 'openat').process;
  }

  function assertRuntime(process: Process | undefined): void {
    assert.deepEqual([process?.image.name, process?.image.exePath], ['runtime', runtime]);
    const above = process?.parent;
    const own = globalThis.process;
    assert.deepEqual(
      [above?.pid, above?.image.name, above?.image.exePath],
      [own.pid, readStat(own.pid).comm, readlinkSync('/proc/self/exe')],
    );
  }

  test('moved into its cgroup', async () => {
    const { dir: cgroup } = own.kernel.mkdir('moved');
    const app = await run('fork', '[', 'enter', cgroup, ...OPEN, ']');
    assertRuntime(app.parent);
  });

  test('moved, and its parent has ended by the time of its program', async () => {
    const { dir: cgroup } = own.kernel.mkdir('left');
    const [moved, ended] = [join(dir, 'moved'), join(dir, 'ended')];
    const enter: Step[] = ['enter', cgroup, 'mkdir', moved, 'until', ended];
    const left = ['forkleft', '[', ...enter, 'execve', stepsProgram(), 'app', ...OPEN, ';', ']'];
    const app = await run('fork', '[', ...left, 'until', moved, ']', 'mkdir', ended);
    // The runtime forked itself once more: that one has ended, and the first has not.
    const { parent } = app;
    assert.deepEqual([parent?.image.name, parent?.image.exePath], ['runtime', runtime]);
    assertRuntime(parent?.parent);
  });

  test('born into its cgroup', async () => {
    const { dir: cgroup } = own.kernel.mkdir('born');
    const app = await run('clone3', 0, cgroup, '[', ...OPEN, ']');
    assertRuntime(app.parent);
  });
});
