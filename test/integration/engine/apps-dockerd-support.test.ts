import { setTimeout as delay } from 'node:timers/promises';
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import test from 'node:test';
import { startDockerd } from '../../support/dockerd.ts';
import { processesNaming } from '../../support/processes.ts';

void test('the private dockerd runs a container, restarts, and leaves nothing behind', async () => {
  const mountsBefore = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const engine = await startDockerd({ own: true });
  const home = dirname(engine.socketPath);
  let id = '';
  try {
    const image = await engine.importBusybox();
    const container = await engine.docker.createContainer({
      Image: image,
      User: '1000',
      Cmd: ['sh', '-c', 'whoami; sleep 60'],
    });
    id = container.id;
    await container.start();
    assert.ok(
      existsSync(`/sys/fs/cgroup/pids/docker/${id}`) || existsSync(`/sys/fs/cgroup/docker/${id}`),
    );
    assert.ok(readdirSync(`${engine.execRoot}/containerd/${id}`).includes(`${id}-stdout`));
    let logs = '';
    for (let i = 0; i < 200 && !logs.includes('app\n'); i++) {
      logs = (await container.logs({ stdout: true, stderr: true })).toString();
      await delay(50);
    }
    assert.match(logs, /app\n/);
    await engine.restart();
    assert.equal((await container.inspect()).State.Running, false);
    await container.start();
  } finally {
    await engine[Symbol.asyncDispose]();
  }
  assert.equal(existsSync(home), false);
  assert.equal(existsSync(`/sys/fs/cgroup/pids/docker/${id}`), false);
  // Mounts of other tests, which run at the same time, come and go below folders of their own.
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const ofOthers = (mount: string): boolean =>
    / \/(tmp|run)\/(vd|varvel)-/.test(mount) && !mount.includes(home);
  assert.deepEqual(
    mounts.filter((mount) => !mountsBefore.includes(mount) && !ofOthers(mount)),
    [],
  );
  assert.deepEqual(processesNaming(home), []);
});
