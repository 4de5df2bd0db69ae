// What an agent leaves that was killed, with lines that wait; and that nothing of it is left after `varvel uninstall`.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { canaryGroups } from '../../src/agent/canary-container.ts';
import { detectHierarchy } from '../../src/apps/cgroup-hierarchy.ts';
import { bpfHolders } from '../support/bpf-holders.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { heldBpfIds, leftBpfIds } from '../support/kernel-bpf-ids.ts';

const { mountPoint } = detectHierarchy();
const PARENT = `varvel-uninstall-${process.pid}`;

/** Every cgroup hierarchy, v1 and v2. */
const cgroupMounts = (): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4]!);

const selfTestCgroups = (): string[] =>
  cgroupMounts().flatMap((mount) =>
    readdirSync(mount)
      .filter((name) => name.startsWith('varvel-selftest-'))
      .map((name) => join(mount, name)),
  );

/** Those that an agent could have made: others' tests may be running. */
const mounts = (): string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - bpf |varvel/.test(line));

const pins = (): string[] => {
  const { stdout } = spawnSync('find', ['/sys/fs/bpf', '-mindepth', '1'], { encoding: 'utf8' });
  return stdout.split('\n').filter((path) => path !== '');
};

/** All below a folder, with the folders. */
const below = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();

test('refused while an agent runs; then files, sockets, cgroups, BPF objects and mounts: nothing is left', async () => {
  const before = { mounts: mounts(), pins: pins() };
  await using agent = await E2eAgent.start({
    // A receiver that is not there: its lines wait.
    streams: ['http: {url: "http://127.0.0.1:9/"}'],
    cgroupApps: `[{pattern: "/${PARENT}/*", app: shop}]`,
    config: ['mode: always'],
  });
  const cgroup = join(mountPoint, PARENT, 'app');
  mkdirSync(cgroup, { recursive: true });
  try {
    const script = `echo 0 > ${cgroup}/cgroup.procs; exec cat /etc/shadow`;
    assert.equal(spawnSync('sh', ['-c', script]).status, 0);
    const spool = join(agent.folder, 'state/spool/http');
    await until('its line waits', () => existsSync(spool) && readdirSync(spool).length > 1);
    await until('the operator has it, in a new file', () => agent.detections().length > 0);
    const state = below(agent.folder);
    const refused = agent.varvel('uninstall');
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      new RegExp(`An agent is running \\(process ${agent.pid}, .*stop it first`),
    );
    assert.deepEqual(below(agent.folder), state, 'nothing was removed');
    assert.ok(agent.running);

    const ids = heldBpfIds(agent.pid);
    assert.ok(ids.length > 10);
    await agent.end('SIGKILL');
    // As an agent leaves it that is killed in its self-test, and one in a run of its canary.
    mkdirSync(join(mountPoint, `varvel-selftest-${agent.pid}`));
    const [canary] = canaryGroups(mountPoint, join(agent.folder, 'state'));
    assert.ok(canary !== undefined);
    mkdirSync(join(canary, 'token'), { recursive: true });
    writeFileSync(join(agent.folder, 'not-ours'), '');

    const { code, stdout, stderr } = agent.varvel('uninstall');
    assert.equal(code, 0, stderr);
    for (const removed of [
      'state/numbers',
      'state/alive',
      'state/owner',
      'state/spool/http/000000000001.spool',
      'state',
      'metrics.sock',
    ])
      assert.ok(
        stdout.includes(`removed ${join(agent.folder, removed)}\n`),
        `${removed} in ${stdout}`,
      );
    assert.ok(stdout.includes(`removed ${canary}/token\nremoved ${canary}\n`), stdout);
    assert.equal(existsSync(canary), false);
    assert.match(stderr, /^left .*: \S+ in it is not an agent’s own$/m);
    assert.deepEqual(
      below(agent.folder),
      ['detections', 'not-ours', 'varvel.yaml'],
      'what is the user’s stays',
    );
    assert.deepEqual(
      selfTestCgroups().filter((path) => path.endsWith(`-${agent.pid}`)),
      [],
    );
    assert.equal(bpfHolders().get(agent.pid), undefined);
    assert.deepEqual(await leftBpfIds(ids), []);
    assert.deepEqual({ mounts: mounts(), pins: pins() }, before);

    const again = agent.varvel('uninstall');
    assert.equal(again.code, 0);
    assert.match(again.stdout, /^Nothing of an agent is in the kernel any more\.$/m);
    assert.match(again.stderr, /^left .*: \S+ in it is not an agent’s own$/m);
    assert.doesNotMatch(again.stdout, /^removed|left on this host/m);
  } finally {
    spawnSync('rmdir', [cgroup, join(mountPoint, PARENT)]);
  }
});

test('a link in the place of the state folder, or in it, is not followed', async () => {
  await using agent = await E2eAgent.start({});
  await agent.end();
  const elsewhere = join(agent.folder, 'elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, 'numbers'), 'mine');
  const state = join(agent.folder, 'state');
  mkdirSync(join(state, 'spool'));
  symlinkSync(elsewhere, join(state, 'spool/http'));
  assert.equal(agent.varvel('uninstall').code, 1);
  rmSync(state, { recursive: true, force: true });
  symlinkSync(elsewhere, state);
  const { code, stderr } = agent.varvel('uninstall');
  assert.equal(code, 1);
  assert.match(stderr, /state: it is no folder/);
  assert.equal(readFileSync(join(elsewhere, 'numbers'), 'utf8'), 'mine');
});
