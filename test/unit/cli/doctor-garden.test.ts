import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { checkGarden } from '../../../src/cli/doctor/garden.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { GardenServer, propertiesOf } from '../../support/garden-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-doctor-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const look = (socket: string, enabled: string, findRoots = (): string[] => ['/cells/garden']) =>
  checkGarden(
    loadConfig({
      env: {},
      settings: [`runtimes.garden.socket=${socket}`, `runtimes.garden.enabled=${enabled}`],
      defaultFile: '/nonexistent',
    }).config,
    findRoots,
  );

test('Garden: off, not this host’s, missing, silent, or there', async () => {
  const nowhere = join(folder, 'none', 'garden.sock');
  assert.equal((await look(nowhere, 'false')).state, 'note');
  const none = await look(nowhere, 'auto');
  assert.deepEqual([none.state, none.advice], ['note', undefined]);
  assert.match(none.says, /No Garden: there is no folder/);
  const wanted = await look(nowhere, 'true');
  assert.equal(wanted.state, 'fail');
  assert.match(wanted.advice ?? '', /monit start garden.*runtimes\.garden\.socket/);

  mkdirSync(join(folder, 'garden'));
  const socket = join(folder, 'garden', 'garden.sock');
  const missing = await look(socket, 'auto');
  assert.equal(missing.state, 'warn');
  assert.match(missing.says, /There is no Garden socket at .*cannot be identified/);

  await using server = new GardenServer(socket);
  await server.start();
  server.create('h', propertiesOf({ guid: 'app-1' }));
  const there = await look(socket, 'auto');
  assert.equal(there.state, 'ok');
  assert.match(
    there.says,
    /answers on .*: 1 containers\. They are looked for in the cgroups \/garden and \/cells\/garden\.$/,
  );
  const inContainer = await look(socket, 'auto', () => {
    throw new UserError('Only a part of the cgroup hierarchy is visible.');
  });
  assert.equal(inContainer.state, 'ok');
  assert.match(inContainer.says, /: 1 containers\. Their cgroups are not visible from here\.$/);
  for (const wrong of ['no JSON', 'wrong types', 'huge', 'hangs up'] as const) {
    server.misbehaviour = wrong;
    const bad = await look(socket, 'auto');
    assert.equal(bad.state, 'warn');
    assert.match(bad.says, /No usable answer from Garden on/);
    assert.equal((await look(socket, 'true')).state, 'fail');
  }
});
