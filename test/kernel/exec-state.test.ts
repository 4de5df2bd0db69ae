// What a process takes along: environment, working directory; and times of its file and namespace.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { LIMITS } from '../../src/events/table.gen.ts';
import { KernelProbe, STANDARD_PROGRAMS } from '../support/kernel-probe.ts';
import { raw, stepsProgram } from '../support/kernel-process.ts';

const ENOENT = -2;
const EACCES = -13;
const AT_FDCWD = -100;
const NOTHING = { read: false, write: false, failed: false };
const MASKS = {
  opens: NOTHING,
  messages: { newPeer: false, other: false },
  dups: { network: false, other: false },
  sockets: { ordinary: false, local: false, other: false },
  env: true,
};

describe('what a process takes along', () => {
  let probe: KernelProbe;
  let dir: string;
  before(() => {
    probe = new KernelProbe({ attach: [...STANDARD_PROGRAMS, 'sys_chdir', 'sys_fchdir'] });
    dir = realpathSync(mkdtempSync(join(tmpdir(), 'varvel-state-')));
    mkdirSync(join(dir, 'in'));
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  /** The exec of a program with this environment in the scope, made by one that entered before. */
  async function execWith(env: Record<string, string>): Promise<{
    readonly env: readonly string[] | undefined;
    readonly truncated: boolean | undefined;
  }> {
    const cgroup = probe.mkdir(`env-${probe.events.length}`);
    const steps = ['enter', cgroup.dir, 'execve', stepsProgram(), 'again', 'exit', '0', ';'];
    const child = spawn(stepsProgram(), steps, { env });
    await once(child, 'close');
    await probe.settle();
    const event = probe.theEvent(child.pid!, 'execve');
    assert.deepEqual([event.result, event.exec?.argv[0]], [0, 'again']);
    return { env: event.exec?.env, truncated: event.exec?.envTruncated };
  }

  test('the environment, hostile values and all', async () => {
    const env = { PATH: '/bin', EMPTY: '', LINE: 'a\nb\u001b[2J', '=odd': '=x' };
    assert.deepEqual(await execWith(env), {
      env: ['PATH=/bin', 'EMPTY=', 'LINE=a\nb\u001b[2J', '=odd==x'],
      truncated: false,
    });
    assert.deepEqual(await execWith({}), { env: undefined, truncated: false });
  });

  test('the first 8 KiB of a large one, and it is said', async () => {
    const full = { A: 'x'.repeat(LIMITS.ENV_MAX - 3) };
    const { env, truncated } = await execWith(full);
    assert.deepEqual([env?.join('').length, truncated], [LIMITS.ENV_MAX - 1, false]);
    const more = await execWith({ ...full, LAST: '1' });
    assert.deepEqual([more.env?.join('').length, more.truncated], [LIMITS.ENV_MAX - 1, true]);
    const long = await execWith({ FIRST: '1', HUGE: 'y'.repeat(100_000), LAST: '1' });
    assert.equal(long.env?.[0], 'FIRST=1');
    assert.deepEqual([long.env.join('\0').length, long.truncated], [LIMITS.ENV_MAX, true]);
  });

  test('not copied while no rule needs it', async () => {
    probe.probe.setMasks({ ...MASKS, env: false });
    assert.deepEqual(await execWith({ A: '1' }), { env: undefined, truncated: false });
    probe.probe.setMasks(MASKS);
  });

  test('whether the program is the one that the parent runs, where the parent runs it', async () => {
    const CLONE_NEWNS = 0x20000;
    const ownPath = stepsProgram();
    const cgroup = probe.mkdir('parents-program');
    await probe.run(cgroup, [
      ...['fork', '[', 'execve', '/proc/self/exe', 'itself', 'exit', '0', ';', ']'],
      ...['fork', '[', 'execve', ownPath, 'by-path', 'exit', '0', ';', ']'],
      ...['fork', '[', 'execve', '/bin/true', 'another', ';', ']'],
      ...[
        'fork',
        '[',
        'unshare',
        CLONE_NEWNS,
        'execve',
        '/proc/self/exe',
        'elsewhere',
        'exit',
        '0',
      ],
      ...[';', ']', 'fork', '[', 'execve', '/no/such', 'failed', ';', ']'],
    ]);
    const seen = probe.events
      .filter(({ exec, cgroupId }) => exec !== undefined && cgroupId === cgroup.id)
      .map(({ exec }) => [exec?.argv[0], exec?.filename, exec?.parentsProgram]);
    assert.deepEqual(seen, [
      ['itself', '/proc/self/exe', true],
      ['by-path', ownPath, true],
      ['another', '/bin/true', false],
      ['elsewhere', '/proc/self/exe', false],
      ['failed', '/no/such', false],
    ]);
  });

  test('chdir and fchdir: where the process is afterwards', async () => {
    const running = await probe.run(probe.mkdir('cd'), [
      ...['cd', dir, 'cd', 'in', 'cd', '..'],
      ...['openat', AT_FDCWD, 'in', 0o200000, 0, 'fcd', '@', 'fcd', 99],
    ]);
    const seen = probe.eventsOf(running.pid, 'chdir', 'fchdir');
    assert.deepEqual(
      seen.map(({ type, result, call }) => [type, result, call?.directory(1)]),
      [
        ['chdir', 0, dir],
        ['chdir', 0, join(dir, 'in')],
        ['chdir', 0, dir],
        ['fchdir', 0, join(dir, 'in')],
        ['fchdir', -9, join(dir, 'in')],
      ],
    );
    const paths = probe.eventsOf(running.pid, 'chdir').map((event) => event.param('path'));
    assert.deepEqual(paths, [dir, 'in', '..']);
  });

  test('a failed open of a relative path: the directory it starts from', async () => {
    probe.probe.setMasks({ ...MASKS, opens: { read: true, write: true, failed: true } });
    writeFileSync(join(dir, 'in', 'secret'), '', { mode: 0 });
    const strange = join(dir, 'line\nbreak');
    mkdirSync(strange);
    const running = await probe.run(probe.mkdir('failed'), [
      ...['cd', join(dir, 'in'), 'openat', AT_FDCWD, 'none', 0, 0, 'open', '/none', 0, 0],
      ...['openat', AT_FDCWD, dir, 0o200000, 0, 'openat', '@', 'none/at', 0, 0],
      ...['openat', 99, 'none', 0, 0, 'cd', raw(strange), 'open', 'x', 0, 0],
      ...['resuid', 65534, 65534, 65534],
      ...['open', '../in/secret', 0, 0],
    ]);
    const seen = probe.events
      .filter((event) => event.pid === running.pid && event.open !== undefined && event.result < 0)
      .map(({ result, open }) => [result, open?.rawPath, open?.directoryPath]);
    assert.deepEqual(seen, [
      [ENOENT, 'none', join(dir, 'in')],
      [ENOENT, '/none', ''],
      [ENOENT, 'none/at', dir],
      [-9, 'none', ''],
      [ENOENT, 'x', strange],
      [EACCES, '../in/secret', strange],
    ]);
  });
});
