import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProcFs } from '../../../src/context/proc-fs.ts';
import { nameOnlyImage } from '../../../src/context/process-image.ts';
import { ProcessNode } from '../../../src/context/process-node.ts';
import { SetupRoots } from '../../../src/container-files/setup-roots.ts';
import { FixtureProc } from '../context/fixture-proc.ts';

const RUNTIME = 50;

/** Containers that a runtime sets up; the roots themselves are compared with live processes by the end-to-end tests. */
function setups() {
  const proc = new FixtureProc();
  const roots = new Set<number>();
  const looks: number[] = [];
  const told: string[] = [];
  const directories: string[] = [];
  const unwanted = new Set<number>();
  let taken = true;
  const watcher = new SetupRoots({
    rootReader: {
      hasOtherRoot(pid, other) {
        assert.equal(other, RUNTIME);
        looks.push(pid);
        return roots.has(pid);
      },
    },
    procReader: new ProcFs(proc.root),
    isWanted: (key) => !unwanted.has(key),
    look(key, pid, startTicks, where) {
      (where === 'root' ? told : directories).push(`${key}: ${pid} ${startTicks}`);
      return taken;
    },
  });
  const process = (pid: number, startTicks = 5): ProcessNode => {
    proc.put({ pid, comm: 'runc:[2:INIT]', startTicks, ppid: RUNTIME });
    const image = nameOnlyImage('runc:[2:INIT]');
    const options = { origin: 'probe', inScope: true } as const;
    const node = new ProcessNode(pid, BigInt(startTicks) * 10_000_000n, image, options);
    node.setup = true;
    return node;
  };
  return {
    watcher,
    proc,
    process,
    roots,
    looks,
    told,
    directories,
    unwanted,
    refuse: () => (taken = false),
    [Symbol.dispose]: () => {
      watcher.stop();
      proc[Symbol.dispose]();
    },
  };
}

test('told once, when the youngest process has its root', () => {
  using s = setups();
  s.watcher.watch(1, s.process(60));
  assert.deepEqual(s.looks, [60], 'the first look is at once');
  s.watcher.watch(1, s.process(61));
  s.watcher.look();
  assert.deepEqual([s.looks, s.told], [[60, 61], []]);
  assert.deepEqual(s.directories, ['1: 60 5', '1: 61 5'], 'its working directory until then');
  s.roots.add(61);
  s.watcher.look();
  s.watcher.look();
  assert.deepEqual(s.told, ['1: 61 5']);
});

test('when the youngest has ended, the one before is looked at', () => {
  using s = setups();
  s.watcher.watch(1, s.process(60));
  s.watcher.watch(1, s.process(61));
  s.proc.remove(61);
  s.watcher.look();
  // Its pid is another process's now: that is nobody's runtime.
  s.proc.put({ pid: 60, comm: 'x', startTicks: 6, ppid: RUNTIME });
  s.watcher.look();
  s.watcher.look();
  assert.deepEqual([s.looks, s.told], [[60, 60], []]);
});

test('the app’s program ends it: it is no part of the set-up', () => {
  using s = setups();
  const node = s.process(60);
  s.watcher.watch(1, node);
  s.roots.add(60);
  node.setup = false;
  s.watcher.look();
  node.setup = true;
  s.watcher.look();
  assert.deepEqual([s.looks, s.told], [[60], []]);
});

test('nobody is looked at whose container is known', () => {
  using s = setups();
  s.unwanted.add(1);
  s.watcher.watch(1, s.process(60));
  s.watcher.watch(2, s.process(61));
  s.unwanted.add(2);
  s.watcher.look();
  assert.deepEqual(s.looks, [61]);
});

test('a process that ended meanwhile is no answer', () => {
  using s = setups();
  s.watcher.watch(1, s.process(60));
  s.roots.add(60);
  s.refuse();
  s.watcher.look();
  s.watcher.look();
  assert.equal(s.told.length, 2);
});

test('of many containers at once 32 are looked at, the others next', () => {
  using s = setups();
  for (let key = 1; key <= 40; key++) s.watcher.watch(key, s.process(100 + key));
  s.looks.length = 0;
  s.watcher.look();
  assert.equal(s.looks.length, 32);
  s.watcher.look();
  assert.equal(new Set(s.looks).size, 40);
});

test('at most 1024 containers and 8 processes of each are remembered', () => {
  using s = setups();
  for (let key = 0; key <= 1024; key++) s.watcher.watch(key, s.process(2000 + key));
  s.looks.length = 0;
  for (let i = 0; i < 33; i++) s.watcher.look();
  assert.ok(!s.looks.includes(2000), 'the oldest was forgotten');
  assert.equal(new Set(s.looks).size, 1024);
  s.watcher.stop();
  const nodes = Array.from({ length: 9 }, (_, i) => s.process(5000 + i));
  for (const node of nodes) s.watcher.watch(1, node);
  s.looks.length = 0;
  for (let i = 1; i < 9; i++) s.proc.remove(5000 + i);
  s.watcher.look();
  assert.deepEqual(s.looks, []);
});
