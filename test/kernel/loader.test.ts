import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  bootTimeNs,
  Probe,
  selfTest,
  wireVersion,
  type LoaderError,
  type ProbeOptions,
} from 'ebpf-loader-napi';
import { EVENT_TABLE, KINDS, MORE_HOOKS, WIRE_VERSION } from '../../src/events/table.gen.ts';
import { descriptors, FACADE, HOOKS, OPTIONS, PATTERN } from '../support/kernel-loader.ts';
import { KernelProbe } from '../support/kernel-probe.ts';
import { stepsProgram } from '../support/kernel-process.ts';
import { INSTRUCTIONS_MAX, verifiedInstructions } from '../support/verified-instructions.ts';

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

  test('the verifier stays far from its limit in every program', () => {
    const probe = new Probe(OPTIONS);
    try {
      const counts = verifiedInstructions();
      assert.ok(counts.length >= HOOKS.length, `${counts.length} programs`);
      const largest = Math.max(...counts);
      assert.ok(largest < INSTRUCTIONS_MAX, `${largest} instructions`);
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
