import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkCri } from '../../../src/cli/doctor/cri.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { CriServer } from '../../support/cri-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-doctor-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const socket = join(folder, 'cri.sock');
const look = (...settings: string[]) =>
  checkCri(loadConfig({ env: {}, settings, defaultFile: '/nonexistent' }).config);

test('Kubernetes’ runtime: not wanted, missing, no CRI, or there, with and without a log to write to', async () => {
  assert.equal((await look()).state, 'note');
  const given = `runtimes.cri.socket=${socket}`;
  assert.equal((await look(given, 'runtimes.cri.enabled=false')).state, 'note');
  const missing = await look(given);
  assert.equal(missing.state, 'fail');
  assert.match(missing.says, /There is no CRI socket at .*cri\.sock: start containerd or CRI-O/);

  const server = new CriServer(socket);
  await server.start();
  try {
    server.misbehaviour = 'no such service';
    const other = await look(given);
    assert.deepEqual([other.state, /does not speak CRI v1/.test(other.says)], ['fail', true]);
    server.misbehaviour = undefined;
    const noLogs = await look(given);
    assert.equal(noLogs.state, 'warn');
    assert.match(noLogs.says, /fake 1\.2\.3 answers on .*: 0 containers\. Their own logs cannot/);
    assert.match(
      noLogs.advice ?? '',
      /runtimes\.cri\.state_dir.*CRI-O.*streams\.container\.enabled/,
    );
    assert.equal((await look(given, 'streams.container.enabled=false')).state, 'ok');
    mkdirSync(join(folder, 'io.containerd.runtime.v2.task'));
    assert.equal((await look(given)).state, 'ok');
  } finally {
    server.stop();
  }
});
