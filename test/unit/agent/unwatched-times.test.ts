import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { SignOfLife } from '../../../src/agent/sign-of-life.ts';
import { UnwatchedTimes, type FoundCgroup } from '../../../src/agent/unwatched-times.ts';
import type { Container } from '../../../src/apps/identity.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { containerOf } from '../streams/delivery-fixture.ts';
import { lacks } from '../../support/needs.ts';

let home: string;
beforeEach(() => (home = mkdtempSync(join(tmpdir(), 'varvel-alive-'))));
afterEach(() => rmSync(home, { recursive: true, force: true }));

const S = 1_000_000_000n;
/** The host booted at 1,000 s of Unix time; the agent's clock began 100 s later. */
const CLOCKS = { unixMinusBootNs: 1000n * S, bootMinusMonotonicNs: 100n * S, attachedMs: () => 0 };

/** When an engine has had its time to say all of a container. */
const NOW_MS = 10_000;

const cgroup = (
  more: Partial<FoundCgroup> = {},
  container: Partial<Container> = {},
): FoundCgroup => ({
  cgroupId: 7,
  resolution: { state: 'included', container: containerOf(container) },
  sinceMs: 5_000,
  isNew: false,
  goneAtMs: undefined,
  ...more,
});

function times(stopped = false) {
  const said: Detection[] = [];
  const unwatched = new UnwatchedTimes({
    ...CLOCKS,
    last: { bootNs: 90n * S, stopped },
    startedMs: 4_000,
    say: (line) => said.push(line),
  });
  return { unwatched, said };
}

test('told once, from the last sign of life to the moment at which the container is watched', () => {
  const { unwatched, said } = times();
  const pending = { state: 'pending' as const, rootCgroupId: 7, sinceMs: 0 };
  unwatched.onTick([cgroup({ resolution: pending })], NOW_MS);
  assert.equal(said.length, 0, 'whose it is is not known yet');
  unwatched.onTick([cgroup()], NOW_MS);
  unwatched.onTick([cgroup(), cgroup({ cgroupId: 8 })], NOW_MS);
  assert.equal(said.length, 1);
  const line = said[0]!;
  assert.equal(
    line.output,
    'Nobody watched this container from 1970-01-01T00:18:10.000000000Z to 1970-01-01T00:18:25.000000000Z: the agent ended unexpectedly. What happened meanwhile is not known',
  );
  assert.deepEqual([line.rule, line.priority], ['Varvel: not watched', 'Warning']);
  assert.deepEqual(unwatched.counts(), { seconds: 15, containers: 1 });
});

test('a container in scope is watched once the hooks of system calls are attached', () => {
  const said: Detection[] = [];
  const unwatched = new UnwatchedTimes({
    ...CLOCKS,
    attachedMs: () => 5_250,
    last: { bootNs: 90n * S, stopped: false },
    startedMs: 4_000,
    say: (line) => said.push(line),
  });
  const later = cgroup({ cgroupId: 8, sinceMs: 7_000 }, { fullId: 'later' });
  unwatched.onTick([cgroup(), later], NOW_MS + 5_000);
  assert.match(said[0]?.output ?? '', / to 1970-01-01T00:18:25\.250000000Z: /);
  assert.match(said[1]?.output ?? '', / to 1970-01-01T00:18:27\.000000000Z: /);
});

test('after a stop it is a notice; each app is told', () => {
  const { unwatched, said } = times(true);
  unwatched.onTick(
    [
      cgroup({}, { fullId: 'a' }),
      cgroup({ cgroupId: 8 }, { fullId: 'b' }),
      cgroup({ cgroupId: 9, goneAtMs: 1 }, { fullId: 'c' }),
    ],
    NOW_MS,
  );
  assert.deepEqual(
    said.map(({ priority, container, outputFields }) => [
      priority,
      container?.fullId,
      outputFields['unwatched.why'],
    ]),
    [
      ['Notice', 'a', 'stopped'],
      ['Notice', 'b', 'stopped'],
    ],
  );
});

test('a younger container is told from its start, unless an earlier run of it may have been there', () => {
  const started = 1_095_000;
  for (const [container, fromS] of [
    [{ runtime: 'docker', startedAtMs: started, ranBefore: false }, 1095],
    [{ runtime: 'cri', startedAtMs: started }, 1095],
    [{ runtime: 'docker', startedAtMs: started, ranBefore: true }, 1090],
    [{ runtime: 'docker', startedAtMs: started }, 1090],
    [{ runtime: 'garden' }, 1090],
    [{ runtime: 'cri', startedAtMs: 1_000_000 }, 1090],
  ] as const) {
    const { unwatched, said } = times();
    unwatched.onTick([cgroup({}, container)], NOW_MS);
    assert.deepEqual(
      said.map(({ outputFields }) => outputFields['unwatched.from']),
      [BigInt(fromS) * S],
      JSON.stringify(container),
    );
  }
});

test('nothing is told of what began while the agent watched, or when no agent was there before', () => {
  const { unwatched, said } = times();
  unwatched.onTick([cgroup({}, { runtime: 'cri', startedAtMs: 1_105_000 })], NOW_MS);
  unwatched.onTick([cgroup({ cgroupId: 8, sinceMs: 64_001 }, { fullId: 'later' })], NOW_MS);
  const first = new UnwatchedTimes({
    ...CLOCKS,
    last: undefined,
    startedMs: 0,
    say: () => assert.fail('told'),
  });
  first.onTick([cgroup()], NOW_MS);
  assert.deepEqual([said, first.counts()], [[], { seconds: 0, containers: 0 }]);
  // The agent that this one replaces watched on until after this one began.
  const replaced = new UnwatchedTimes({
    ...CLOCKS,
    startedMs: 0,
    say: () => assert.fail('told'),
    last: { bootNs: 106n * S, stopped: true },
  });
  replaced.onTick([cgroup()], NOW_MS);
});

test('nothing is told of a container that was made while this agent watched, however soon', () => {
  for (const [container, isTold] of [
    [{ runtime: 'garden' }, false],
    [{ runtime: 'cri' }, false],
    [{ runtime: 'docker', startedAtMs: 1_104_000, ranBefore: false }, false],
    // A run before was not watched.
    [{ runtime: 'docker', startedAtMs: 1_104_000, ranBefore: true }, true],
    [{ runtime: 'cgroup' }, true],
  ] as const) {
    const { unwatched, said } = times();
    unwatched.onTick([cgroup({ isNew: true }, container)], NOW_MS);
    assert.equal(said.length, isTold ? 1 : 0, JSON.stringify(container));
  }
});

test('a container that had another cgroup before is told, though this one is new', () => {
  const { unwatched, said } = times();
  const older = cgroup({ cgroupId: 8, goneAtMs: 6_000 }, { runtime: 'garden' });
  unwatched.onTick([cgroup({ isNew: true }, { runtime: 'garden' }), older], NOW_MS);
  assert.equal(said.length, 1);
});

const open = (bootId = 'this boot', warned: unknown[] = [], troubles: unknown[] = []): SignOfLife =>
  new SignOfLife(
    { inside: home },
    {
      bootId,
      logger: { ...SILENT_LOGGER, warn: (fields) => warned.push(fields) },
      onTrouble: (error) => error !== undefined && troubles.push(error),
    },
  );

test('the next agent of the same boot reads the last sign, and one of another boot does not', () => {
  const first = open();
  assert.equal(first.last, undefined);
  first.write({ bootNs: 5n, stopped: false });
  first.write({ bootNs: 7_000_000_001n, stopped: false });
  const file = join(home, 'alive');
  assert.deepEqual([statSync(file).size, statSync(file).mode & 0o777], [256, 0o600]);
  assert.deepEqual(open().last, { bootNs: 7_000_000_001n, stopped: false });
  first.write({ bootNs: 8n, stopped: true });
  assert.deepEqual(open().last, { bootNs: 8n, stopped: true });
  assert.equal(open('another boot').last, undefined);
});

test('a file that is damaged, a link or a folder says nothing, and is said to be so', () => {
  const file = join(home, 'alive');
  for (const damage of [
    () => writeFileSync(file, '{"format":1}'),
    () => writeFileSync(file, 'x'.repeat(10_000)),
    () => writeFileSync(file, ' '.repeat(100)),
    () => symlinkSync('/etc/passwd', file),
    () => mkdirSync(join(file, 'x'), { recursive: true }),
  ]) {
    damage();
    const warned: unknown[] = [];
    const sign = open('this boot', warned);
    assert.deepEqual([sign.last, warned.length, sign.isKept], [undefined, 1, true]);
    sign.write({ bootNs: 1n, stopped: false });
    assert.match(readFileSync(file, 'utf8'), /"bootNs":"1"/);
    sign.close();
    rmSync(file);
  }
  assert.match(readFileSync('/etc/passwd', 'utf8'), /^root:/);
});

test('on a full disk it is not kept, and what is there already is written in place', (t) => {
  if (lacks(t, 'mount')) return;
  using disk = new SmallDisk(64);
  const options = (troubles: unknown[]) => ({
    bootId: 'this boot',
    logger: SILENT_LOGGER,
    onTrouble: (error: unknown) => void troubles.push(error),
  });
  disk.fill();
  const troubles: unknown[] = [];
  const sign = new SignOfLife({ inside: disk.path }, options(troubles));
  assert.equal(sign.isKept, false);
  assert.match(String(troubles[0]), /ENOSPC/);
  disk.free();
  sign.keepIn({ inside: disk.path });
  assert.deepEqual([sign.isKept, troubles[1]], [true, undefined]);
  disk.fill();
  sign.write({ bootNs: 3n, stopped: false });
  sign.close();
  assert.equal(new SignOfLife({ inside: disk.path }, options([])).last?.bootNs, 3n);
});

test('what an engine has not said yet of a container’s start is waited for, five seconds', () => {
  for (const unsaid of [{ startedAtMs: undefined, ranBefore: false }, { ranBefore: undefined }]) {
    const docker = { runtime: 'docker' as const, startedAtMs: 1_100_000, ranBefore: false };
    const { unwatched, said } = times();
    unwatched.onTick([cgroup({}, { ...docker, ...unsaid })], 9_999);
    assert.deepEqual([said.length, unwatched.waits], [0, true]);
    unwatched.onTick([cgroup({}, docker)], 9_999);
    assert.equal(unwatched.waits, false);
    assert.equal(said[0]?.outputFields['unwatched.from'], 1_100n * S);
    const never = times();
    never.unwatched.onTick([cgroup({}, { ...docker, ...unsaid })], 10_000);
    assert.equal(never.said[0]?.outputFields['unwatched.from'], 1_090n * S);
  }
});
