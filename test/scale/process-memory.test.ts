// What the processes of containers may cost in memory.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ProcFs } from '../../src/context/proc-fs.ts';
import { ProcessTree, type ProcessTreeOptions } from '../../src/context/process-tree.ts';
import type { Process } from '../../src/context/process.ts';
import { packBytes } from '../../src/events/words.ts';
import { FixtureProc } from '../unit/context/fixture-proc.ts';
import { chdirEvent, cloneEvent, execEvent, exitEvent } from '../unit/context/kernel-events.ts';

const at = (ms: number): bigint => BigInt(ms) * 1_000_000n + 1n;

const newTree = (options: Partial<ProcessTreeOptions> = {}): ProcessTree =>
  new ProcessTree({ reader: new ProcFs('/nonexistent'), ...options });

/** As many words of two characters as the probe copies of an environment. */
const BIG_ENV = Array.from({ length: 2730 }, (_, i) =>
  String.fromCharCode(33 + (i % 90), 33 + (Math.floor(i / 90) % 90)),
);
const BIG_ENV_BYTES = 2730 * 3;
const BIG_ENV_PACKED = Buffer.from(BIG_ENV.map((word) => `${word}\0`).join(''));

/** An exec as the probe tells of it: what is packed is a copy each time. */
function run(
  tree: ProcessTree,
  pid: number,
  ms: number,
  { cgroupId = 7, argv = ['app'], env = undefined as readonly string[] | undefined } = {},
): Process {
  const event = execEvent({ pid, start: at(ms) }, at(ms), { argv, ...(env && { env }) });
  const exec = event.exec!;
  const packed = (): ReturnType<typeof exec.packed> => ({
    argv: exec.packed().argv,
    env: env === undefined ? BIG_ENV_PACKED.toString('latin1') : exec.packed().env,
  });
  return tree.onEvent({ ...event, cgroupId, exec: { ...exec, packed } });
}

function usedHeap(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  setFlagsFromString('--no-expose-gc');
  return process.memoryUsage().heapUsed;
}

test('the environment counts, and so does what only the words of a program take', () => {
  const tree = newTree();
  run(tree, 10, 1);
  const { imageBytes } = tree.counters();
  assert.ok(imageBytes >= BIG_ENV_BYTES, String(imageBytes));
  run(tree, 11, 2, { argv: ['app', 'x'.repeat(16_000)] });
  assert.ok(tree.counters().imageBytes >= 2 * imageBytes + 16_000);
});

test('what a program was started with costs about its bytes', () => {
  const tree = newTree();
  const before = usedHeap();
  for (let i = 0; i < 1000; i++) run(tree, 100 + i, i);
  const each = (usedHeap() - before) / 1000;
  const counted = tree.counters().imageBytes / 1000;
  assert.ok(each < 2 * BIG_ENV_BYTES, `${each} bytes each`);
  assert.ok(each < 1.5 * counted, `${each} bytes each, ${counted} are counted`);
});

test('100,000 living processes with large environments stay within the bounds', () => {
  const tree = newTree();
  const before = usedHeap();
  for (let i = 0; i < 100_000; i++) {
    run(tree, 1 + i, i, { cgroupId: 100 + (i % 50) });
    if (i % 1000 === 0) {
      const { processes, imageBytes } = tree.counters();
      assert.ok(processes <= 65_536 && imageBytes <= 88 << 20, `${processes}, ${imageBytes}`);
    }
  }
  const { processes, imageBytes, evicted, imagesCut } = tree.counters();
  assert.ok(processes > 50_000, String(processes));
  assert.ok(imageBytes <= 88 << 20);
  assert.equal(evicted, 100_000 - processes);
  assert.ok(imagesCut > 0);
  const used = (usedHeap() - before) / 2 ** 20;
  assert.ok(used < 150, `${used} MiB`);
});

test('a container that needs much gives up its own arguments, not those of others', () => {
  const tree = newTree({
    imageBounds: { wordBytes: 1 << 20, factBytes: 8 << 20 },
  });
  const options = { argv: ['server', '--port', '80'], env: ['A=1', 'PATH=/bin'] };
  const quiet = Array.from({ length: 20 }, (_, i) =>
    run(tree, 10 + i, i, { cgroupId: 1, ...options }),
  );
  const greedy = Array.from({ length: 2000 }, (_, i) =>
    run(tree, 1000 + i, 100 + i, { cgroupId: 2, argv: ['x', String(i)] }),
  );
  const { imageBytes, imagesCut, evicted, processes } = tree.counters();
  assert.ok(imageBytes <= 9 << 20, String(imageBytes));
  assert.deepEqual([evicted, processes], [0, 2020]);
  assert.ok(imagesCut > 1500);
  assert.deepEqual([...tree.takeCuts()], [[2, imagesCut]], 'and it is known whose they were');
  assert.equal(tree.takeCuts().size, 0);
  for (const { image } of quiet) {
    assert.deepEqual(
      [image.exe, image.args, image.argsTruncated, image.env],
      ['server', ['--port', '80'], false, ['A=1', 'PATH=/bin']],
    );
  }
  const { image: oldest } = greedy[0]!;
  assert.deepEqual(
    [oldest.exe, oldest.exePath, oldest.args, oldest.argsTruncated, oldest.env],
    ['x', '/usr/bin/app', [], true, undefined],
  );
  const { image: newest } = greedy.at(-1)!;
  assert.deepEqual([newest.args, newest.argsTruncated], [['1999'], false]);
  assert.equal(newest.env?.length, BIG_ENV.length);
});

test('processes are forgotten when their paths alone are too much', () => {
  const tree = newTree({ imageBounds: { wordBytes: 100_000, factBytes: 100_000 } });
  for (let i = 0; i < 1000; i++) {
    run(tree, 100 + i, i);
    assert.ok(tree.counters().imageBytes <= 200_000);
  }
  const { evicted, processes } = tree.counters();
  assert.ok(evicted > 500 && processes > 10, `${evicted}, ${processes}`);
});

test('programs that ended are given up before any that runs is forgotten', () => {
  const tree = newTree({ imageBounds: { wordBytes: 1 << 20, factBytes: 8 << 20 } });
  const server = run(tree, 9, 0, { cgroupId: 1, argv: ['server', 'a'] });
  for (let i = 0; i < 5000; i++) {
    const actor = { pid: 100 + i, start: at(i) };
    run(tree, actor.pid, i, { argv: ['a', 'x'.repeat(16_000)] });
    tree.onEvent({ ...exitEvent(actor, at(i)), cgroupId: 7 });
    assert.ok(tree.counters().imageBytes <= 9 << 20);
  }
  assert.deepEqual([tree.counters().evicted, server.image.args], [0, ['a']]);
});

test('forks and moves share what a program was started with, and nothing is counted when all have ended', () => {
  const tree = newTree();
  const parent = { pid: 10, start: at(0) };
  run(tree, 10, 0);
  const { imageBytes: one } = tree.counters();
  for (let i = 1; i <= 50; i++) {
    const child = { pid: 10 + i, start: at(i) };
    tree.onEvent(cloneEvent(parent, at(i), child));
    const moved = tree.onEvent(chdirEvent(child, at(i + 1), `/tmp/${i}`));
    assert.equal(moved.image.env?.length, BIG_ENV.length);
  }
  assert.ok(tree.counters().imageBytes < one + 50 * 2048, String(tree.counters().imageBytes));
  for (let i = 0; i <= 50; i++) tree.onEvent(exitEvent({ pid: 10 + i, start: at(i) }, at(100)));
  tree.tick(at(60_000));
  assert.deepEqual([tree.counters().processes, tree.counters().imageBytes], [0, 0]);
});

test('arguments are the same however long ago they were asked for', () => {
  const tree = newTree();
  const processes = Array.from({ length: 3000 }, (_, i) =>
    run(tree, 10 + i, i, { argv: ['a', String(i), '', 'é\n'], env: [`N=${i}`, 'NN=x', 'E='] }),
  );
  const prefix = packBytes('N=');
  for (let round = 0; round < 2; round++) {
    for (const [i, { image }] of processes.entries()) {
      assert.deepEqual([image.exe, ...image.args], ['a', String(i), '', 'é\n']);
      assert.equal(image.variable?.(prefix), String(i));
    }
  }
  const { image } = processes[0]!;
  const variable = (name: string) => image.variable?.(packBytes(`${name}=`));
  assert.deepEqual([variable('NN'), variable('E'), variable('NO')], ['x', '', '']);
});

test('what /proc shows of an ancestor counts when it has been looked at', () => {
  using fixture = new FixtureProc();
  fixture.put({ pid: 5, comm: 'init', startTicks: 0, cmdline: `init\0${'x'.repeat(20_000)}\0` });
  const tree = newTree({ reader: new ProcFs(fixture.root) });
  const ancestors = [{ pid: 5, startBootNs: 1n, comm: 'init', inScope: true }];
  const app = tree.onEvent(
    execEvent({ pid: 9, start: at(1), ppid: 5, parentStart: 1n }, at(1), { ancestors }),
  );
  const before = tree.counters().imageBytes;
  assert.equal(app.parent?.image.args[0]?.length, 20_000);
  assert.ok(tree.counters().imageBytes >= before + 20_000);
});
