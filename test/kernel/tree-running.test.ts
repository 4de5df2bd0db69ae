// Processes that ran before the agent: known from /proc, then followed by what the probe tells.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { childrenOf, KernelProbe, type TestCgroup } from '../support/kernel-probe.ts';
import { stepsProgram, type Step, type TestProcess } from '../support/kernel-process.ts';
import { assertFields, inner, LOOK, look, TreeProbe } from '../support/kernel-tree.ts';

const CHILDREN = 200;
const program = stepsProgram();
const again: Step[] = ['execve', program, 'again', ...inner(LOOK), ';'];

describe('processes that ran before the agent', () => {
  /** Makes the cgroups; nothing is attached, so that nobody has seen what happened in them. */
  let former: KernelProbe;
  let own: TreeProbe | undefined;
  let dir: string;
  before(() => {
    former = new KernelProbe({ attach: [] });
  });
  after(() => former.close());
  beforeEach(() => {
    dir = realpathSync(mkdtempSync(join(tmpdir(), 'varvel-running-')));
  });
  afterEach(async () => {
    await own?.close();
    own = undefined;
    rmSync(dir, { recursive: true, force: true });
  });

  /** A session leader that runs these steps; when it stands still the first time, somebody begins to watch. */
  async function start(
    cgroup: TestCgroup,
    ...steps: (readonly Step[])[]
  ): Promise<[TreeProbe, TestProcess]> {
    const then = inner(...steps);
    const running = former.spawn(cgroup, ['setsid', 'execve', program, 'app', ...then, ';']);
    await running.paused();
    own = new TreeProbe({ patterns: () => [childrenOf(former.top)] });
    own.kernel.probe.scopeSet(cgroup.id, 'included', cgroup.level);
    return [own, running];
  }

  test('then exec, fork, another working directory, exec by a thread', async () => {
    mkdirSync(join(dir, 'in'));
    const [own, running] = await start(
      former.mkdir('running'),
      ['threads', 2, 'pause', ...LOOK],
      ['fork', '[', ...LOOK, ...again, ']'],
      ['cd', dir, 'cd', 'in', ...LOOK, 'fork', '[', ...LOOK, ']'],
      ['thread', '[', ...again, ']'],
    );
    await own.scan();
    const { pid } = running;
    assert.equal(own.tree.find(pid)?.origin, 'proc');
    assert.equal(await look(own, running), pid);
    const child = await look(own, running);
    assert.notEqual(child, pid);
    assert.equal(await look(own, running), child);
    assertFields(own.last(child, 'execve'));
    assert.equal(await look(own, running), pid, 'in its new directory');
    assert.equal(own.last(pid).fields['proc.cwd'], `${join(dir, 'in')}/`);
    await look(own, running); // a child there
    const known = own.last(pid).process;
    assert.equal(await look(own, running), pid, 'run by a thread');
    assert.equal(own.last(pid, 'execve').process, known);
    assert.equal(own.last(pid).fields['proc.exe'], 'again');
    running.resume();
    await running.ended();
  });

  test('some that end while they are looked at', async () => {
    const gate = join(dir, 'gate');
    execFileSync('mkfifo', [gate]);
    const children = Array<Step[]>(CHILDREN).fill(['forkleft', '[', 'open', gate, 0, 0, ']']);
    const [own, running] = await start(
      former.mkdir('ending'),
      ...children,
      ['pause'],
      ['reap', 'pause', ...LOOK],
    );
    const pids = running.results.filter(({ step }) => step === 'forkleft').map(({ ret }) => ret);
    assert.equal(pids.length, CHILDREN);
    let opened: number | undefined;
    running.resume();
    await own.scan(() => (opened ??= openSync(gate, 'r+')));
    await running.paused();
    closeSync(opened!);
    await look(own, running);
    own.forget();
    assert.deepEqual(
      pids.filter((pid) => own.tree.find(pid) !== undefined),
      [],
      'those that ended are forgotten',
    );
    assert.equal(own.tree.counters().missedExits, 0, 'each end was told');
    running.resume();
    await running.ended();
  });

  test('one of which only its child was heard so far', async () => {
    const [own, running] = await start(
      former.mkdir('parent'),
      ['pause', 'fork', '[', ...LOOK, ']'],
      LOOK,
    );
    assert.notEqual(await look(own, running), running.pid);
    assert.equal(await look(own, running), running.pid);
    running.resume();
    await running.ended();
  });

  test('one that moves into the scope after its child', async () => {
    own = new TreeProbe();
    const { dir: cgroup } = own.kernel.mkdir('late');
    const child = ['fork', '[', 'enter', cgroup, ...again, ']'];
    const late = inner(child, ['enter', cgroup, 'cd', dir, ...LOOK]);
    const running = own.kernel.spawn(undefined, ['setsid', 'execve', program, 'app', ...late, ';']);
    await running.paused();
    assert.equal(await look(own, running), running.pid);
    assertFields(own.last(running.pid, 'chdir'));
    running.resume();
    await running.ended();
  });

  test('one whose first thread has ended', async () => {
    const [own, running] = await start(
      former.mkdir('headless'),
      ['threadleft', '[', 'pause', ...LOOK, ']'],
      ['exitthread', 0],
    );
    const { pid } = running;
    const { tid } = running.results.find(({ step }) => step === 'pause')!;
    assert.notEqual(tid, pid);
    await own.scan();
    running.resume();
    await running.paused();
    await own.kernel.settle();
    const { fields } = own.last(pid);
    assert.deepEqual(
      [fields['proc.name'], fields['proc.exe'], fields['proc.exepath'], fields['proc.cwd']],
      [basename(program), 'app', program, `${process.cwd()}/`],
    );
    running.resume();
    await running.ended();
  });
});
