// A number that was another process's: nothing of that one shows, whatever became of it.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import type { Process } from '../../src/context/process.ts';
import { ancestorsOf, becomesZombie, readStat } from '../support/kernel-facts.ts';
import { STANDARD_PROGRAMS } from '../support/kernel-probe.ts';
import { stepsProgram, type Step, type TestProcess } from '../support/kernel-process.ts';
import { assertFields, inner, LOOK, look, TreeProbe } from '../support/kernel-tree.ts';

const PR_SET_CHILD_SUBREAPER = 36;
const PROGRAMS = ['one', 'first', 'orphan', 'two', 'second'];
const EVENT: readonly Step[] = ['open', '/etc/hostname', 0, 0];

/** What the tree may not have been told: it knows the new process all the same. */
const TOLD = [
  { what: 'everything was told', without: [] },
  { what: 'ends are not told', without: ['sched_exit'] },
  { what: 'neither births nor ends are told', without: ['sched_fork', 'sched_exit'] },
];

describe('a process that has the number of an ended one', () => {
  let dir: string;
  let own: TreeProbe;
  before(() => {
    dir = realpathSync(mkdtempSync(join(tmpdir(), 'varvel-reuse-')));
    for (const name of PROGRAMS) copyFileSync(stepsProgram(), join(dir, name));
  });
  after(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  afterEach(() => own.close());

  /** Runs that program with these steps. */
  const run = (name: string, ...steps: (readonly Step[])[]): Step[] => [
    ...['execve', join(dir, name), `${name}-0`, ...inner(...steps), ';'],
  ];

  /** A process of one app that ran a program and ended, with its app, which stands still. */
  async function endOne(...steps: readonly Step[]): Promise<[number, Process, TestProcess]> {
    const app = own.kernel.spawn(own.kernel.mkdir('one'), [
      ...['call', 'prctl', PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0, ';', 'setsid', 'cd', '/usr'],
      ...run('one', ['fork', '[', 'cd', '/usr/lib', ...run('first', EVENT, steps), ']', 'pause']),
    ]);
    await app.paused();
    await own.kernel.settle();
    const pid = app.result('fork').ret;
    const { fields, process } = own.last(pid, 'open');
    assert.deepEqual([fields['proc.name'], fields['proc.cwd']], ['first', '/usr/lib/']);
    return [pid, process, app];
  }

  /** The same number in another app: its fields at its first event, after an exec, and those of its child. */
  async function reuse(pid: number, former: Process): Promise<void> {
    const steps: Step[] = [...LOOK, ...run('second', LOOK, ['fork', '[', ...LOOK, ']'])];
    const running = own.kernel.spawn(own.kernel.mkdir('two'), [
      ...['setsid', ...run('two', ['pause', 'forkas', pid, '[', ...steps, ']'], LOOK)],
    ]);
    await running.paused();
    assert.equal(await look(own, running), pid);
    const { process, fields, event } = own.last(pid);
    assert.notEqual(process, former);
    assert.notEqual(event.startBootNs, former.startBootNs);
    assert.deepEqual([fields['proc.name'], fields['proc.pname']], ['two', 'two']);
    assert.equal(process.parent, own.tree.find(running.pid));
    assert.equal(await look(own, running), pid);
    assertFields(own.last(pid, 'execve'));
    const after = own.last(pid);
    assert.deepEqual([after.process, after.fields['proc.name']], [process, 'second']);
    const child = await look(own, running);
    assert.equal(own.last(child).process.parent, process);
    assert.equal(await look(own, running), running.pid);
    running.resume();
    await running.ended();
  }

  for (const { what, without } of TOLD) {
    test(`${what}: the former one is found by its start, until it is forgotten`, async () => {
      own = new TreeProbe({ attach: STANDARD_PROGRAMS.filter((name) => !without.includes(name)) });
      const [pid, former, app] = await endOne();
      await reuse(pid, former);
      assert.equal(own.tree.find(pid, former.startBootNs), former);
      assert.equal(former.image.name, 'first');
      app.resume();
      await app.ended();
      await own.kernel.settle();
      // The longer it is, the more are found to have ended.
      own.forget(3);
      assert.equal(own.tree.find(pid), undefined);
      assert.equal(own.tree.counters().processes, 0);
    });
  }

  test('the former one is forgotten', async () => {
    own = new TreeProbe();
    const [pid, former, app] = await endOne();
    own.forget();
    assert.equal(own.tree.find(pid), undefined);
    await reuse(pid, former);
    app.kill();
    await app.ended();
  });

  test('its child lives on: whoever has the number now did not start it', async () => {
    own = new TreeProbe();
    const [gate, end] = ['gate', 'end'].map((name) => join(dir, name)) as [string, string];
    const orphan = run('orphan', ['until', gate, ...EVENT, 'until', end]);
    const [pid, former, app] = await endOne('forkleft', '[', ...orphan, ']');
    const child = app.result('forkleft').ret;
    await reuse(pid, former);
    writeFileSync(gate, '');
    await app.reported(({ step, pid: by }) => step === 'open' && by === child);
    await own.kernel.settle();
    const above = ['first', 'one', ...ancestorsOf(app.pid).map(({ comm }) => comm)];
    const seen = own.last(child, 'open');
    assert.equal(readStat(child).ppid, app.pid, 'to the kernel it is another’s child');
    assert.equal(seen.process.parent, former);
    assertFields(seen, {
      'proc.ppid': pid,
      'proc.pname': 'first',
      'proc.aname': above.slice(0, (seen.fields['proc.aname'] as unknown[]).length),
    });
    writeFileSync(end, '');
    app.resume();
    await app.ended();
  });

  test('its child has ended, and nobody has asked how', async () => {
    own = new TreeProbe();
    const [pid, former, app] = await endOne('forkleft', '[', 'sleep', 20, 'exit', 3, ']');
    const zombie = app.result('forkleft').ret;
    // Whoever started it ended without waiting: it may end later than the app says that it pauses.
    await becomesZombie(zombie);
    await own.kernel.settle();
    assert.equal(readStat(zombie).ppid, app.pid);
    const { process } = own.last(zombie, 'procexit');
    assert.equal(process.parent, former);
    await reuse(pid, former);
    assert.equal(process.parent, former);
    own.forget();
    assert.deepEqual([own.tree.find(zombie), own.tree.find(pid)], [undefined, undefined]);
    app.kill();
    await app.ended();
  });

  test('within a pid namespace: the number inside says nothing of the process', async () => {
    own = new TreeProbe();
    const CLONE_NEWPID = 0x20000000;
    const again: Step[] = ['forkas', 2, '[', ...run('second', LOOK), ']'];
    const cgroup = own.kernel.mkdir('inside');
    const running = own.kernel.spawn(cgroup, [
      ...['unshare', CLONE_NEWPID],
      ...[
        'fork',
        '[',
        'setsid',
        ...run('one', ['fork', '[', ...run('first', EVENT), ']'], again),
        ']',
      ],
    ]);
    await running.paused();
    await own.kernel.settle();
    const opens = own.seen.filter(({ event }) => event.type === 'open' && event.vpid === 2);
    assert.deepEqual(
      opens.map(({ fields }) => [fields['proc.name'], fields['proc.pname'], fields['proc.vpid']]),
      [
        ['first', 'one', 2],
        ['second', 'one', 2],
      ],
    );
    assert.notEqual(opens[0]!.event.pid, opens[1]!.event.pid);
    assertFields(opens[1]!);
    running.resume();
    await running.ended();
  });
});
