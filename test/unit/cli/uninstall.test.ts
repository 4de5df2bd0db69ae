import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runUninstall } from '../../../src/cli/uninstall.ts';
import { loadConfig } from '../../../src/config/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-uninstall-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const stateDir = join(folder, 'state');

async function uninstall(
  bpfFileSystem = join(folder, 'bpf'),
): Promise<{ code: number; out: string; err: string }> {
  const { config } = loadConfig({
    env: {},
    settings: [
      `run_dir=${folder}/run`,
      `state_dir=${stateDir}`,
      `probe.bpf_filesystem=${bpfFileSystem}`,
    ],
    defaultFile: '/nonexistent',
  });
  let [out, err] = ['', ''];
  const io = {
    stdout: (text: string) => void (out += text),
    stderr: (text: string) => void (err += text),
    isTty: false,
    columns: 80,
  };
  const code = await runUninstall(config, io, []);
  return { code, out, err };
}

const NOTHING = 'Nothing of an agent is left on this host.\n';
const KERNEL = 'Nothing of an agent is in the kernel any more.\n';
const YOURS = 'Configuration, rules and log files are yours, and stay.\n';

test('nothing is left, as there was nothing, or all of it was removed', async () => {
  assert.deepEqual(await uninstall(), { code: 0, out: `${NOTHING}${KERNEL}${YOURS}`, err: '' });
  mkdirSync(stateDir);
  writeFileSync(join(stateDir, 'alive'), '');
  const { code, out } = await uninstall();
  assert.equal(code, 0);
  assert.equal(out, `removed ${stateDir}/alive\nremoved ${stateDir}\n${KERNEL}${YOURS}`);
});

test('what could not be removed is left, and so it says', async () => {
  symlinkSync('/nonexistent', stateDir);
  const failed = await uninstall();
  assert.deepEqual([failed.code, failed.out], [1, `${KERNEL}${YOURS}`]);
  assert.match(failed.err, /^left .*state: it is no folder/);
  rmSync(stateDir);

  mkdirSync(stateDir);
  writeFileSync(join(stateDir, 'mine'), '');
  const left = await uninstall();
  assert.deepEqual([left.code, left.out], [0, `${KERNEL}${YOURS}`]);
  assert.match(left.err, /^left .*state: mine in it is not an agent’s own$/m);
  rmSync(stateDir, { recursive: true });
});

test('what an agent has left paused goes on; what cannot, keeps its mark', async () => {
  const [paused, failing] = ['paused', 'failing'].map((name) => join(folder, name));
  for (const [path, as] of [
    [paused!, 'file'],
    [failing!, 'folder'],
  ] as const) {
    mkdirSync(path);
    if (as === 'file') writeFileSync(join(path, 'cgroup.freeze'), '1\n');
    else mkdirSync(join(path, 'cgroup.freeze'));
    mkdirSync(join(stateDir, 'paused'), { recursive: true });
    symlinkSync(path, join(stateDir, 'paused', String(statSync(path).ino)));
  }
  const failed = await uninstall();
  assert.equal(failed.code, 1);
  assert.match(failed.err, /^left .*state\/paused: EISDIR$/m);
  assert.equal(readFileSync(join(paused!, 'cgroup.freeze'), 'utf8'), '0\n');
  assert.deepEqual(readdirSync(join(stateDir, 'paused')), [String(statSync(failing!).ino)]);
  rmSync(join(failing!, 'cgroup.freeze'), { recursive: true });
  rmSync(failing!, { recursive: true });
  const done = await uninstall();
  assert.equal(done.code, 0);
  assert.match(done.out, /^removed .*state\/paused$/m);
});

test('what denies may go on where the BPF file system cannot be read', async () => {
  const { code, out, err } = await uninstall(join(folder, 'x'.repeat(300)));
  assert.deepEqual([code, out], [1, YOURS]);
  assert.match(err, /^left .*: .*Cannot read .*ENAMETOOLONG/);
});
