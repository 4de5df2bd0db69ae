// What is known of a process through exec, by any of its threads, and through the ways in which children run programs.
import assert from 'node:assert/strict';
import { copyFileSync, linkSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readStat } from '../support/kernel-facts.ts';
import { call } from '../support/kernel-calls.ts';
import { stepsProgram, type Step, type TestProcess } from '../support/kernel-process.ts';
import { assertFields, inner, LOOK, look, TreeProbe } from '../support/kernel-tree.ts';

const CHAIN = 200;
const CLONE_NEWPID = 0x20000000;
const program = stepsProgram();

describe('the process tree through exec', () => {
  let own: TreeProbe;
  let dir: string;
  before(() => {
    own = new TreeProbe();
    dir = realpathSync(mkdtempSync(join(tmpdir(), 'varvel-tree-')));
    // One file by many names: each run has another name and path.
    copyFileSync(program, join(dir, 'n0'));
    for (let nth = 1; nth < CHAIN; nth++) linkSync(join(dir, 'n0'), join(dir, `n${nth}`));
  });
  after(async () => {
    await own.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** A session leader that runs these steps. */
  const start = (name: string, ...steps: (readonly Step[])[]): TestProcess =>
    own.kernel.spawn(own.kernel.mkdir(name), [
      ...['setsid', 'execve', program, 'app', ...inner(...steps), ';'],
    ]);

  test(`${CHAIN} programs in turn in one process`, async () => {
    const running = start('chain', ['chain', CHAIN, dir], LOOK, ['execve', program, 'end', ';']);
    const { pid } = running;
    await running.paused();
    await own.kernel.settle();
    const seen = own.seen.filter(({ event }) => event.pid === pid && event.type === 'execve');
    const first = seen[0]!;
    const chain = seen.slice(1);
    const numbers = Array.from({ length: CHAIN }, (_, nth) => CHAIN - 1 - nth);
    const parent = readStat(process.pid).comm;
    assert.deepEqual(
      chain.map(({ fields }) => [
        ...[fields['proc.name'], fields['proc.exe'], fields['proc.exepath'], fields['proc.pname']],
        String(fields['proc.cmdline']).split(' ', 4).join(' '),
      ]),
      numbers.map((nth) => [
        ...[`n${nth}`, `c${nth}`, join(dir, `n${nth}`), parent],
        `n${nth} chain ${nth} ${dir}`,
      ]),
    );
    for (const one of chain) {
      assert.equal(one.process, first.process, 'one process all along');
      assert.equal(one.fields['proc.pid'], pid);
      assert.equal(one.fields['proc.sname'], one.fields['proc.name'], 'it leads its session');
    }
    assertFields(own.last(pid));
    running.resume();
    await running.ended();
    await own.kernel.settle();
    own.forget();
    assert.equal(own.tree.find(pid), undefined);
    const { processes, imageBytes } = own.tree.counters();
    assert.deepEqual([processes, imageBytes], [0, 0], 'nothing is kept of what it ran');
  });

  test('a thread runs a program while others run', async () => {
    const by: Step[] = ['open', '/etc/hostname', 0, 0];
    const running = start(
      'threads',
      ['threads', 3, ...LOOK, 'fork', '[', ...LOOK, ']'],
      [
        'thread',
        '[',
        ...by,
        'execve',
        join(dir, 'n1'),
        'by',
        ...inner(LOOK, ['fork', '[', ...LOOK, ']']),
        ';',
        ']',
      ],
    );
    const { pid } = running;
    await running.paused();
    await own.kernel.settle();
    assertFields(own.last(pid));
    const before = own.last(pid).process;
    await look(own, running);
    assert.equal(await look(own, running), pid);
    const opens = own.seen.filter(({ event }) => event.pid === pid && event.type === 'open');
    const tids = opens.map(({ event }) => event.tid);
    assert.deepEqual([tids.length, tids[0], tids[2]], [3, pid, pid]);
    assert.notEqual(tids[1], pid, 'the thread, before');
    assert.deepEqual(
      [own.last(pid).process, own.last(pid).fields['proc.name'], own.last(pid).fields['proc.exe']],
      [before, 'n1', 'by'],
    );
    const child = await look(own, running);
    assert.equal(own.last(child).process.parent, before);
    assert.deepEqual(
      own.seen.filter(({ event }) => event.pid === pid && event.type === 'procexit'),
      [],
    );
    running.resume();
    await running.ended();
  });

  for (const [way, block] of [
    ['vfork', (steps: readonly Step[]) => ['vfork', '[', 'execve', ...steps, ']']],
    ['posix_spawn', (steps: readonly Step[]) => ['spawn', ...steps]],
    ['fork', (steps: readonly Step[]) => ['fork', '[', 'execve', ...steps, ']']],
  ] as const) {
    test(`a child made by ${way} runs a program: its parent is what it was`, async () => {
      const running = start(way, [
        ...block([join(dir, 'n2'), 'child', ...inner(LOOK), ';']),
        ...LOOK,
      ]);
      const { pid: child } = await running.paused();
      await own.kernel.settle();
      assertFields(own.last(child, 'execve'));
      assertFields(own.last(child, 'open'));
      assert.equal(own.last(child).fields['proc.name'], 'n2');
      assert.equal(await look(own, running), running.pid);
      assert.equal(own.last(running.pid).fields['proc.exe'], 'app');
      running.resume();
      await running.ended();
    });
  }

  for (const [where, before, after] of [
    ['on the host', [], []],
    ['in a pid namespace', ['unshare', CLONE_NEWPID, 'fork', '[', 'setsid'], [']']],
  ] as const) {
    test(`sessions, groups, a terminal, without a program of its own, ${where}`, async () => {
      const leader = call('setpgid', 'child', 0);
      const running = start(
        `sessions ${where}`,
        [...before, ...LOOK],
        ['fork', '[', ...LOOK, 'setsid', 'tty', ...LOOK, 'fork', '[', ...LOOK, ']', ']'],
        ['fork', '[', 'setpgid', ...LOOK, 'fork', '[', ...LOOK, 'setpgid', ...LOOK, ']', ']'],
        // The parent makes its child the leader of a group, as a shell does, and takes another into that group.
        ['child', ...leader, 'fork', '[', ...call('setpgid', 0, 'child'), ...LOOK],
        ['fork', '[', ...LOOK, ']', ']', 'resuid', -1, 65534, 0, ...LOOK, ...after],
      );
      await running.paused();
      await own.kernel.settle();
      for (let more = 9; more > 0; more--) await look(own, running);
      const last = own.seen.at(-1)!;
      assert.equal(last.fields['user.name'], 'nobody');
      running.resume();
      await running.ended();
    });
  }

  test('a script: its own name, and the program that reads it', async () => {
    const script = join(dir, 'script');
    writeFileSync(script, `#!${program} open\n`, { mode: 0o755 });
    // Its path, which the kernel passes on, is what is opened.
    const running = start('script', ['execve', script, 'unseen', 0, 0, 'pause', ';']);
    await running.paused();
    await own.kernel.settle();
    const seen = own.last(running.pid, 'execve');
    assertFields(seen);
    assertFields(own.last(running.pid, 'open'));
    const { 'proc.name': name, 'proc.exe': exe, 'proc.exepath': path } = seen.fields;
    assert.deepEqual([name, exe, path], ['script', program, program]);
    running.resume();
    await running.ended();
  });

  test('a thread runs a program when the first has ended', async () => {
    const by: Step[] = ['pause', 'execve', join(dir, 'n3'), 'by', ...inner(LOOK), ';'];
    const running = start('headless', ['threadleft', '[', ...by, ']'], ['exitthread', 0]);
    await running.paused();
    await own.kernel.settle();
    const known = own.last(running.pid).process;
    assert.equal(await look(own, running), running.pid);
    assert.equal(own.last(running.pid).process, known);
    assert.deepEqual([own.last(running.pid).fields['proc.name'], known.image.exe], ['n3', 'by']);
    running.resume();
    await running.ended();
  });

  test('a vfork child that only ends, or whose program is not there', async () => {
    const running = start('vfork-end', [
      ...[
        'vfork',
        '[',
        'exit',
        4,
        ']',
        'vfork',
        '[',
        'execve',
        '/none',
        'none',
        ';',
        'exit',
        5,
        ']',
      ],
      ...LOOK,
    ]);
    await running.paused();
    await own.kernel.settle();
    const { pid } = running;
    assertFields(own.last(pid));
    const ended = running.results.filter(({ step }) => step === 'vfork');
    assert.deepEqual(
      ended.map(({ status }) => status! >> 8),
      [4, 5],
    );
    for (const { ret } of ended) {
      const { fields, process: child } = own.last(ret, 'procexit');
      assert.equal(child.parent, own.last(pid).process);
      assert.deepEqual(
        [fields['proc.exe'], fields['proc.pname'], fields['proc.ppid'], fields['proc.sname']],
        ['app', basename(program), pid, basename(program)],
      );
    }
    const failed = own.last(ended[1]!.ret, 'execve');
    assert.deepEqual([failed.event.result, failed.fields['proc.exe']], [-2, 'app']);
    running.resume();
    await running.ended();
  });
});
