import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { after, before, describe, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import {
  bootTimeNs,
  Probe,
  selfTest,
  wireVersion,
  type LoaderError,
  type LoaderScopePattern,
  type ProbeOptions,
} from 'ebpf-loader-napi';
import { EVENT_TABLE, KINDS, MORE_HOOKS, WIRE_VERSION } from '../../src/events/table.gen.ts';
import { aliveBpfIds, heldBpfIds, leftBpfIds, type BpfId } from '../support/kernel-bpf-ids.ts';
import {
  findHierarchy,
  KernelProbe,
  STANDARD_PROGRAMS,
  stepsProgram,
} from '../support/kernel-probe.ts';

const FACADE = createRequire(import.meta.url).resolve('ebpf-loader-napi');
const PATTERN: LoaderScopePattern = {
  prefix: '/varvel-test-nothing/',
  leafPrefix: '',
  handle: 'any',
  leafSuffix: '',
  deep: false,
};
const OPTIONS: ProbeOptions = { hierarchy: { kind: 'v2', id: 0 }, patterns: [PATTERN] };

const HOOKS = [...STANDARD_PROGRAMS, 'compat_exit', 'io_uring'].sort();
/** io_uring is three (submission, completion, a full completion queue); sys_connect, after compat_exit, is none. */
const LINKS = HOOKS.length + 3 - 1 - 1;
const CALL_HOOKS = Object.values(EVENT_TABLE)
  .filter(({ kind }) => kind === KINDS.call)
  .map(({ hook }) => hook);
/** What a kernel may be without: modules, calls of Linux 6.6. */
const OPTIONAL = new Set([
  'sys_init_module',
  'sys_finit_module',
  'sys_delete_module',
  'sys_fchmodat2',
]);

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

/** What this process has open, but for the pipes of children that come and go. */
function descriptors(): string[] {
  const targets: string[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      if (!/^(pipe|socket):|^\/proc\//.test(target)) targets.push(target);
    } catch {
      // the listing's own
    }
  }
  return targets.sort();
}

describe('loading and attaching', () => {
  test('every program loads and attaches in this kernel, detaches, and attaches again', () => {
    const probe = new Probe(OPTIONS);
    try {
      const calls = [...CALL_HOOKS, ...Object.values(MORE_HOOKS)].map((hook) => `sys_${hook}`);
      assert.deepEqual([...probe.programs()].sort(), [...new Set([...HOOKS, ...calls])].sort());
      for (const name of HOOKS) probe.attach(name);
      for (const name of HOOKS) probe.attach(name);
      assert.deepEqual(probe.attached(), HOOKS);
      probe.detach('sys_open');
      probe.detach('sys_open');
      probe.detach('sched_fork');
      assert.deepEqual(
        probe.attached(),
        HOOKS.filter((name) => name !== 'sys_open' && name !== 'sched_fork'),
      );
      probe.attach('sys_open');
      assert.ok(probe.attached().includes('sys_open'));
      assert.throws(
        () => probe.attach('sys_nothing'),
        (error: LoaderError) => error.code === 'ENOENT' && error.operation === 'attach sys_nothing',
      );
    } finally {
      probe.close();
    }
  });

  test('the wire version is the one that the decoder reads', () => {
    assert.equal(wireVersion, WIRE_VERSION);
  });

  test('bootTimeNs is CLOCK_BOOTTIME', () => {
    const first = bootTimeNs();
    const uptime = spawnSync('cat', ['/proc/uptime'], { encoding: 'utf8' });
    const seconds = Number(uptime.stdout.split(' ')[0]);
    const second = bootTimeNs();
    assert.ok(Number(first) / 1e9 <= seconds + 0.02 && seconds <= Number(second) / 1e9);
  });

  test('the self-test makes the events that it says, in the cgroup', async () => {
    const probe = new KernelProbe();
    try {
      const cgroup = probe.mkdir('self');
      const pid = selfTest(cgroup.dir, '/etc/hostname');
      await probe.settle();
      assert.deepEqual(
        probe.eventsOf(pid).map((event) => event.type),
        [
          'openat',
          'connect',
          'execve',
          ...probe
            .eventsOf(pid, 'openat')
            .slice(1)
            .map(() => 'openat'),
          'procexit',
        ],
      );
      assert.equal(probe.eventsOf(pid)[0]?.open?.rawPath, '/etc/hostname');
      assert.equal(probe.theEvent(pid, 'connect').call?.socket?.tuple?.remotePort, 9);
      assert.equal(probe.theEvent(pid, 'execve').exec?.filename, '/bin/true');
      for (const [dir, file, detail] of [
        ['/no/such', '/etc/hostname', 'enter the cgroup'],
        [cgroup.dir, '/no/such', 'open the sentinel'],
      ] as const) {
        assert.throws(
          () => selfTest(dir, file),
          (error: LoaderError) => error.code === 'EIO' && error.detail === detail,
        );
      }
    } finally {
      await probe.close();
    }
  });
});

test('every other call attaches to a tracepoint of its own', () => {
  const probe = new Probe(OPTIONS);
  try {
    const missing = probe.programs().filter((name) => {
      try {
        probe.attach(name);
        return false;
      } catch (error) {
        assert.equal((error as LoaderError).code, 'ENOENT', name);
        return true;
      }
    });
    assert.deepEqual(
      missing.filter((name) => !OPTIONAL.has(name)),
      [],
    );
    assert.equal(probe.attached().length, probe.programs().length - missing.length);
  } finally {
    probe.close();
  }
});

describe('refusals', () => {
  let dir: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'varvel-loader-'));
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  test('options of the wrong kind are TypeErrors', () => {
    const bad: [name: string, options: unknown][] = [
      ['nothing', undefined],
      ['no hierarchy', { patterns: [] }],
      ['a hierarchy that is none', { ...OPTIONS, hierarchy: { kind: 'v3', id: 0 } }],
      ['a hierarchy id', { ...OPTIONS, hierarchy: { kind: 'v2', id: 'x' } }],
      ['no patterns', { hierarchy: OPTIONS.hierarchy }],
      ['patterns', { ...OPTIONS, patterns: 5 }],
      ['17 patterns', { ...OPTIONS, patterns: Array.from({ length: 17 }, () => PATTERN) }],
      ['a prefix of 64 bytes', { ...OPTIONS, patterns: [{ ...PATTERN, prefix: '/'.repeat(64) }] }],
      [
        'a prefix of 22 wide characters',
        { ...OPTIONS, patterns: [{ ...PATTERN, prefix: '€'.repeat(22) }] },
      ],
      [
        'a leaf prefix of 32 bytes',
        { ...OPTIONS, patterns: [{ ...PATTERN, leafPrefix: 'x'.repeat(32) }] },
      ],
      [
        'a leaf suffix of 32 bytes',
        { ...OPTIONS, patterns: [{ ...PATTERN, leafSuffix: 'x'.repeat(32) }] },
      ],
      ['a handle', { ...OPTIONS, patterns: [{ ...PATTERN, handle: 'hex' }] }],
      ['a pattern without texts', { ...OPTIONS, patterns: [{}] }],
      ['a ring of odd size', { ...OPTIONS, execRingBytes: 100_000 }],
      ['a small ring', { ...OPTIONS, execRingBytes: 4096 }],
      ['a large ring', { ...OPTIONS, bulkRingBytes: 2 ** 31 }],
      ['a ring of text', { ...OPTIONS, bulkRingBytes: '65536' }],
      ['an object path', { ...OPTIONS, objectPath: 5 }],
    ];
    for (const [name, options] of bad) {
      assert.throws(() => new Probe(options as ProbeOptions), TypeError, name);
    }
  });

  test('arguments of the wrong kind are TypeErrors', () => {
    const probe = new Probe(OPTIONS);
    try {
      const buffer = new ArrayBuffer(1 << 17);
      const callback = (): void => undefined;
      for (const act of [
        () => probe.scopeSet(-1, 'pending', 1),
        () => probe.scopeSet(1.5, 'pending', 1),
        () => probe.scopeSet(1, 'other' as 'pending', 1),
        () => probe.scopeSet(1, 'pending', NaN),
        () => probe.scopeSet(1, 'pending', 32),
        () => probe.scopeSet(1, 'pending', -1),
        () => probe.scopeGet('1' as unknown as number),
        () => probe.scopeDelete(2 ** 60),
        () => probe.start(new ArrayBuffer((1 << 17) - 1), callback),
        () => probe.start(new Uint8Array(1 << 17) as unknown as ArrayBuffer, callback),
        () => probe.start(buffer, undefined as unknown as () => void),
        () => probe.start(buffer, {} as unknown as () => void),
        () => probe.start(buffer, callback, { tickMs: 0 }),
        () => probe.start(buffer, callback, { safetyMs: 0 }),
        () => probe.start(buffer, callback, { tickMs: 1.5 }),
      ]) {
        assert.throws(act, TypeError, String(act));
      }
      probe.start(buffer, callback);
      assert.throws(
        () => probe.start(buffer, callback),
        (error: LoaderError) => error.code === 'EBUSY' && error.operation === 'start the probe',
      );
    } finally {
      probe.close();
    }
  });

  test('an object that is not there, or is something else, is named with what was tried', () => {
    const missing = join(dir, 'missing.o');
    assert.throws(
      () => new Probe({ ...OPTIONS, objectPath: missing }),
      (error: LoaderError) => {
        assert.ok(error instanceof Error);
        assert.deepEqual(
          [error.code, error.errno, error.operation],
          ['ENOENT', 2, `open the probe object ${missing}`],
        );
        assert.equal(
          error.message,
          `cannot open the probe object ${missing}: No such file or directory`,
        );
        return true;
      },
    );
    const text = join(dir, 'text.o');
    writeFileSync(text, 'not an object');
    const empty = join(dir, 'empty.o');
    writeFileSync(empty, '');
    for (const path of [text, empty, stepsProgram(), dir]) {
      const before = descriptors();
      assert.throws(
        () => new Probe({ ...OPTIONS, objectPath: path }),
        (error: LoaderError) =>
          error.operation.includes('probe') && error.errno > 0 && error.code.length > 1,
        path,
      );
      assert.deepEqual(descriptors(), before, path);
    }
  });

  test('without privilege: EPERM, and which step', () => {
    const script = `
      process.setgroups([]); process.setgid(65534); process.setuid(65534);
      try { new (require(${JSON.stringify(FACADE)}).Probe)(${JSON.stringify(OPTIONS)}); }
      catch (error) { console.log(JSON.stringify([error.code, error.operation])); }`;
    const { stdout } = spawnSync(
      process.execPath,
      ['-e', `require(${JSON.stringify(FACADE)}); ${script}`],
      { encoding: 'utf8' },
    );
    assert.deepEqual(JSON.parse(stdout), ['EPERM', 'load the probe into the kernel']);
  });
});

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
    for (const end = Date.now() + 10_000; !state.closed && Date.now() < end;) await delay(2);
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
    const end = Date.now() + 10_000;
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
      timeout: 20_000,
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
