// How a probe ends: by close, with its process or its thread; and that nothing of it is left.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { Probe, type LoaderError } from 'ebpf-loader-napi';
import { aliveBpfIds, heldBpfIds, leftBpfIds, type BpfId } from '../support/kernel-bpf-ids.ts';
import { descriptors, FACADE, HOOKS, OPTIONS, PATTERN } from '../support/kernel-loader.ts';
import { findHierarchy } from '../support/kernel-cgroups.ts';
import { KernelProbe } from '../support/kernel-probe.ts';

/** io_uring is three (submission, completion, a full completion queue); system calls, after compat_exit, are none. */
const LINKS = HOOKS.filter((name) => !name.startsWith('sys_')).length + 3 - 1;

/** A program text that loads and attaches everything, says so, and goes on as `then` says. */
function holder(then: string): string {
  return `
    const { Probe } = require(${JSON.stringify(FACADE)});
    const probe = new Probe(${JSON.stringify(OPTIONS)});
    for (const name of ${JSON.stringify(HOOKS)}) probe.attach(name);
    probe.start(new ArrayBuffer(1 << 20), () => {});
    ${then}`;
}

/** Starts it in a process of its own, and gives what it holds in the kernel once it holds it. */
async function hold(
  t: TestContext,
  then: string,
): Promise<{ child: ChildProcessByStdio<Writable, Readable, null>; ids: BpfId[] }> {
  const child = spawn(process.execPath, ['-e', holder(`console.log('held'); ${then}`)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const ids = heldBpfIds(child.pid!);
  assert.equal(ids.filter((one) => one.kind === 'link').length, LINKS);
  assert.deepEqual(aliveBpfIds(ids), ids, 'they can be seen while it lives');
  return { child, ids };
}

describe('the end of a probe', () => {
  test('close() gives everything back; again is nothing; use after it is EBADF', async () => {
    await delay(20); // earlier probes' event loop handles
    const before = { fds: descriptors(), held: heldBpfIds(process.pid) };
    const probe = new Probe(OPTIONS);
    for (const name of HOOKS) probe.attach(name);
    probe.start(new ArrayBuffer(1 << 17), () => undefined);
    probe.detach('sys_open');
    const ids = heldBpfIds(process.pid).filter(
      ({ id, kind }) => !before.held.some((one) => one.id === id && one.kind === kind),
    );
    for (const kind of ['link', 'prog', 'map'])
      assert.ok(
        ids.some((one) => one.kind === kind),
        kind,
      );
    probe.close();
    probe.close();
    await delay(20);
    assert.deepEqual(heldBpfIds(process.pid), before.held);
    assert.deepEqual(descriptors(), before.fds);
    assert.deepEqual(await leftBpfIds(ids), []);
    for (const use of [
      () => probe.attach('sys_open'),
      () => probe.detach('sys_open'),
      () => probe.attached(),
      () => probe.programs(),
      () => probe.scopeSet(1, 'pending', 1),
      () => probe.scopeDelete(1),
      () => probe.scopeGet(1),
      () => probe.scopeEntries(),
      () =>
        probe.setMasks({
          opens: { read: true, write: true, failed: true },
          messages: { newPeer: true, other: true },
          dups: { network: true, other: true },
          sockets: { ordinary: true, local: true, other: true },
          env: true,
        }),
      () => probe.start(new ArrayBuffer(1 << 17), () => undefined),
      () => probe.drain(),
      () => probe.stats(),
    ]) {
      assert.throws(
        use,
        (error: LoaderError) =>
          error.code === 'EBADF' &&
          error.errno === 9 &&
          error.operation === 'use the probe' &&
          error.detail === 'it is closed',
        String(use),
      );
    }
    probe.close();
  });

  test('close() while a batch is handed over: no other follows', async (t) => {
    const probe = new KernelProbe({
      attach: ['cgroup_mkdir', 'sys_openat'],
      bufferBytes: 128 << 10,
    });
    t.after(() => probe.close());
    let afterwards = 0;
    const state = { closed: false };
    probe.onRecord = (records) => {
      if (state.closed) afterwards++;
      if (records.short(4) !== 4 || state.closed) return;
      state.closed = true;
      probe.probe.close();
    };
    const running = probe.spawn(probe.mkdir('close'), ['bursts', '0.3', 1000, 0, '/etc/hostname']);
    await running.ended();
    for (const end = Date.now() + 60_000; !state.closed && Date.now() < end;) await delay(2);
    const once = afterwards; // the rest of the batch that was being read
    await delay(50);
    assert.equal(state.closed, true);
    assert.equal(afterwards, once);
    assert.throws(() => probe.probe.stats(), { code: 'EBADF' });
  });

  test('a started probe that nobody refers to goes on', async (t) => {
    setFlagsFromString('--expose_gc');
    const collect = runInNewContext('gc') as () => void;
    const hierarchy = findHierarchy('v2');
    const top = new KernelProbe({ attach: [] });
    t.after(() => top.close());
    let bytes = 0;
    const forgotten: { close: (() => void) | undefined } = { close: undefined };
    (() => {
      const probe = new Probe({ hierarchy, patterns: [{ ...PATTERN, prefix: `/${top.top}/` }] });
      probe.attach('cgroup_mkdir');
      const weak = new WeakRef(probe);
      forgotten.close = () => weak.deref()?.close();
      probe.start(new ArrayBuffer(1 << 17), (n) => (bytes += n));
    })();
    for (let i = 0; i < 5; i++) {
      collect();
      await delay(10);
    }
    top.mkdir('seen');
    const end = Date.now() + 60_000;
    while (bytes === 0 && Date.now() < end) await delay(5);
    assert.ok(bytes > 0);
    forgotten.close();
  });

  test('an exception in onBatch is an uncaught exception of the process', (t) => {
    const top = new KernelProbe({ attach: [] });
    t.after(() => top.close());
    const options = {
      hierarchy: top.hierarchy,
      patterns: [{ ...PATTERN, prefix: `/${top.top}/` }],
    };
    const script = `
      const { Probe } = require(${JSON.stringify(FACADE)});
      const { mkdirSync } = require('node:fs');
      const probe = new Probe(${JSON.stringify(options)});
      probe.attach('cgroup_mkdir');
      probe.start(new ArrayBuffer(1 << 17), () => { throw new Error('from the batch'); });
      setTimeout(() => mkdirSync(${JSON.stringify(join(top.topDir, 'x'))}), 50);`;
    const plain = spawnSync(process.execPath, ['-e', script], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    assert.equal(plain.status, 1);
    assert.match(plain.stderr, /from the batch/);
  });

  test('SIGKILL, exit without close, and the end of a worker leave nothing in the kernel', async (t) => {
    const killed = await hold(t, '');
    killed.child.kill('SIGKILL');
    await once(killed.child, 'close');
    assert.deepEqual(await leftBpfIds(killed.ids), []);

    // It lives until it has been looked at, however long that takes.
    const exits = await hold(t, `process.stdin.once('data', () => process.exit(3))`);
    exits.child.stdin.write('end');
    const [code] = (await once(exits.child, 'close')) as [number];
    assert.equal(code, 3);
    assert.deepEqual(await leftBpfIds(exits.ids), []);

    const before = heldBpfIds(process.pid);
    const worker = new Worker(
      holder(`require('node:worker_threads').parentPort.postMessage('held')`),
      { eval: true },
    );
    t.after(() => worker.terminate());
    await once(worker, 'message');
    const ids = heldBpfIds(process.pid).filter(
      ({ id, kind }) => !before.some((one) => one.id === id && one.kind === kind),
    );
    assert.equal(ids.filter((one) => one.kind === 'link').length, LINKS);
    await worker.terminate();
    assert.deepEqual(await leftBpfIds(ids), []);
  });

  test('no descriptor and no memory is lost over many lives', async () => {
    const cycle = (): void => {
      const probe = new Probe(OPTIONS);
      probe.attach('cgroup_mkdir');
      probe.start(new ArrayBuffer(1 << 17), () => undefined);
      probe.drain();
      probe.close();
    };
    const failing = (): void => {
      assert.throws(() => new Probe({ ...OPTIONS, objectPath: '/no/such/object' }));
    };
    const maps = (): number =>
      spawnSync('wc', ['-l', `/proc/${process.pid}/maps`], { encoding: 'utf8' })
        .stdout.split(' ')
        .map(Number)[0]!;
    for (let i = 0; i < 2; i++) cycle();
    failing();
    await delay(20);
    const before = { fds: descriptors(), rss: process.memoryUsage().rss, maps: maps() };
    for (let i = 0; i < 6; i++) cycle();
    for (let i = 0; i < 200; i++) failing();
    await delay(20); // handles of the event loop close on its next turn
    const grown = process.memoryUsage().rss - before.rss;
    assert.deepEqual(descriptors(), before.fds);
    assert.ok(grown < 24 << 20, `${grown} bytes more`);
    assert.ok(maps() - before.maps < 60, `${maps() - before.maps} mappings more`);
  });
});
