// What is to be denied without the agent: when it is named, and when what former agents have left goes.
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { DeniedRecords, type DeniedRecord } from '../../../src/agent/denied-record.ts';
import { PinnedDenial, pinnedDirectories } from '../../../src/agent/pinned-denial.ts';
import type { Logger } from '../../../src/shared/logger.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { lacks } from '../../support/needs.ts';

const STATE_DIR = mkdtempSync(join(tmpdir(), 'varvel-pins-state-'));
after(() => rmSync(STATE_DIR, { recursive: true, force: true }));
const DENIED: DeniedRecord = {
  tables: [{ number: 1, sha256: 'a', rules: ['r'] }],
  containers: [{ cgroupId: 7, level: 2, app: 'shop' }],
};

/** An agent over a file system that is none of BPF's: what the probe would name are plain files. */
function world(t: TestContext, options: { keepMs?: number | 'keep'; root?: string } = {}) {
  const root = options.root ?? mkdtempSync(join(tmpdir(), 'varvel-pins-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const calls: string[] = [];
  const warned: string[] = [];
  const clock = { nowMs: 0 };
  const state: { pinned: string; refuses: boolean } = { pinned: '', refuses: false };
  const denial = new PinnedDenial({
    probe: {
      pin: (directory) => {
        if (state.refuses) throw new UserError('Cannot keep what denies: EPERM.');
        calls.push('pin');
        state.pinned = directory;
        mkdirSync(directory, { recursive: true, mode: 0o700 });
        writeFileSync(join(directory, 'sched_exec'), '');
      },
      unpin: () => calls.push('unpin'),
      noteSeen: (ms) => calls.push(`seen ${ms}`),
    },
    fileSystem: root,
    keepMs: options.keepMs ?? 60_000,
    stateDir: STATE_DIR,
    logger: {
      warn: (_: object, text: string) => warned.push(text),
      error: (_: object, text: string) => warned.push(text),
    } as unknown as Logger,
    say: () => assert.fail('nothing was denied'),
    verdicts: { denied: () => DENIED },
    nowMs: () => clock.nowMs,
  });
  const stopped: boolean[] = [];
  const end = (): void => denial.end({ stop: (how) => stopped.push(how?.keeps === true) });
  return { root, denial, calls, warned, clock, state, stopped, end };
}

/** A second goes by. Something is denied, and each container has its table. */
const tick = (denial: PinnedDenial): void =>
  denial.onTick(
    () => true,
    () => true,
    [],
  );

test('once something is denied it is named each second, and what is denied goes on after the end', (t) => {
  if (lacks(t, 'root')) return;
  const { denial, calls, warned, state, stopped, end, root } = world(t);
  denial.onTick(
    () => false,
    () => true,
    [],
  );
  assert.deepEqual([calls, denial.status()], [[], {}]);
  tick(denial);
  tick(denial);
  assert.deepEqual(calls, ['pin', 'seen 60000', 'pin', 'seen 60000']);
  assert.deepEqual(denial.status(), {
    pinned: { keepMs: 60_000, unavailable: undefined, notRecorded: undefined },
  });
  assert.deepEqual(pinnedDirectories(root, STATE_DIR), [state.pinned]);
  assert.deepEqual(pinnedDirectories(root, '/elsewhere'), [], 'another agent of this host');
  const records = new DeniedRecords(STATE_DIR);
  assert.deepEqual(records.read(state.pinned), { format: 1, ...DENIED });
  end();
  assert.deepEqual(stopped, [true]);
  assert.match(warned.join(), /stays denied without an agent, for 1m .*varvel lift ends it/);
  assert.ok(existsSync(state.pinned));
});

test('to keep it: what is denied goes on without an end', (t) => {
  if (lacks(t, 'root')) return;
  const { denial, calls, warned, stopped, end } = world(t, { keepMs: 'keep' });
  tick(denial);
  // 0 is no limit to the kernel.
  assert.deepEqual(calls, ['pin', 'seen 0']);
  assert.deepEqual(denial.status(), {
    pinned: { keepMs: 'keep', unavailable: undefined, notRecorded: undefined },
  });
  end();
  assert.deepEqual(stopped, [true]);
  assert.match(warned.join(), /stays denied without an agent, until somebody ends it \(probe/);
});

test('by default nothing is named, and all ends with the agent', (t) => {
  const { denial, calls, stopped, end } = world(t, { keepMs: 0 });
  tick(denial);
  end();
  assert.deepEqual([calls, stopped], [[], [false]]);
});

test('what a former agent has left goes once this one denies, after a minute, or when responses are lifted', (t) => {
  if (lacks(t, 'root')) return;
  const { root } = world(t);
  const former = (): string => {
    const { denial, state } = world(t, { root });
    tick(denial);
    const moved = `${state.pinned}-former`;
    renameSync(state.pinned, moved);
    return moved;
  };
  const first = former();
  // Also the record of what has ended with the host.
  new DeniedRecords(STATE_DIR).keep('/before/0123456789abcdef-1-1', DENIED);
  const one = world(t, { root, keepMs: 0 });
  assert.equal(one.denial.hasFormer, true);
  one.denial.onTick(
    () => true,
    () => false,
    [],
  );
  assert.ok(existsSync(first), 'not all containers have their tables');
  tick(one.denial);
  assert.ok(!existsSync(first));
  assert.equal(one.denial.hasFormer, false);
  assert.deepEqual(new DeniedRecords(STATE_DIR).read('/before/0123456789abcdef-1-1'), undefined);

  const second = former();
  const slow = world(t, { root, keepMs: 0 });
  // A start that takes long does not count.
  for (const nowMs of [70_000, 129_999]) {
    slow.clock.nowMs = nowMs;
    slow.denial.onTick(
      () => true,
      () => false,
      [],
    );
    assert.ok(existsSync(second), String(nowMs));
  }
  slow.clock.nowMs = 130_000;
  slow.denial.onTick(
    () => true,
    () => false,
    [],
  );
  assert.ok(!existsSync(second));
  assert.match(slow.warned.join(), /denials end now, after 1m: in containers that have no table/);

  const third = former();
  world(t, { root, keepMs: 0 }).denial.removeFormer([]);
  assert.ok(!existsSync(third));
});

test('what is not root’s alone is not touched: links, and directories that others may write', (t) => {
  if (lacks(t, 'root')) return;
  const { root, denial, state } = world(t);
  tick(denial);
  const [, owner = ''] = /([0-9a-f]{16})-[^/]*$/.exec(state.pinned) ?? [];
  const folder = join(root, 'varvel');
  const target = join(root, 'precious');
  mkdirSync(target, { mode: 0o700 });
  writeFileSync(join(target, 'file'), '');
  symlinkSync(target, join(folder, `${owner}-link`));
  mkdirSync(join(folder, `${owner}-open`));
  chmodSync(join(folder, `${owner}-open`), 0o777);
  assert.deepEqual(pinnedDirectories(root, STATE_DIR), [state.pinned]);
  world(t, { root, keepMs: 0 }).denial.removeFormer([]);
  assert.deepEqual(readdirSync(target), ['file']);
  chmodSync(folder, 0o777);
  assert.deepEqual(pinnedDirectories(root, STATE_DIR), []);
  const refused = world(t, { root });
  refused.denial.onTick(
    () => true,
    () => true,
    [],
  );
  assert.match(
    refused.denial.status().pinned?.unavailable ?? '',
    /varvel is not a directory that only root can change$/,
  );
});

test('a file system that cannot be read ends no agent', (t) => {
  const { root } = world(t);
  symlinkSync('varvel', join(root, 'varvel'));
  const { denial, warned } = world(t, { root, keepMs: 0 });
  assert.equal(denial.hasFormer, false);
  tick(denial);
  assert.deepEqual(warned, [], 'a link counts as not there');
  const unreadable = world(t, { root: join(root, 'x'.repeat(300)), keepMs: 0 });
  unreadable.denial.onTick(
    () => true,
    () => true,
    [],
  );
  assert.match(unreadable.warned.join(), /not known whether a former agent has left something/);
});

test('what cannot be named ends with the agent; that is said once, and tried again a minute later', (t) => {
  if (lacks(t, 'root')) return;
  const { denial, calls, warned, state, clock, stopped, end } = world(t);
  state.refuses = true;
  tick(denial);
  tick(denial);
  assert.deepEqual([calls, warned.length], [['unpin'], 1]);
  assert.equal(denial.status().pinned?.unavailable, 'Cannot keep what denies: EPERM.');
  end();
  assert.deepEqual(stopped, [false]);
  state.refuses = false;
  clock.nowMs = 60_000;
  tick(denial);
  assert.deepEqual(denial.status().pinned?.unavailable, undefined);
});

test('where its record cannot be kept it is named all the same, and that is said once', (t) => {
  if (lacks(t, 'root')) return;
  rmSync(join(STATE_DIR, 'denied'), { recursive: true, force: true });
  writeFileSync(join(STATE_DIR, 'denied'), '');
  t.after(() => rmSync(join(STATE_DIR, 'denied'), { recursive: true }));
  const { denial, calls, warned } = world(t);
  tick(denial);
  tick(denial);
  assert.deepEqual(calls, ['pin', 'seen 60000', 'pin', 'seen 60000']);
  assert.match(
    warned.join(),
    /^without an agent only all denials can be lifted, not those of one app or rule/,
  );
  assert.equal(warned.length, 1);
  assert.equal(denial.status().pinned?.notRecorded, 'ENOTDIR');
});
