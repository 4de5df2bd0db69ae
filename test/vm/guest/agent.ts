import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { detectHierarchy } from '../../../src/apps/cgroup-hierarchy.ts';
import { E2eAgent, until } from '../../support/e2e-agent.ts';

const RULE = 'Sensitive file read';

/** Runs a command in the cgroup. */
function runIn(cgroup: string, command: string): void {
  const { status, stderr } = spawnSync(
    '/bin/sh',
    ['-c', `echo 0 > "$0" && ${command}`, join(cgroup, 'cgroup.procs')],
    {
      encoding: 'utf8',
    },
  );
  assert.equal(status, 0, stderr);
}

test('the agent detects in apps that are cgroups, named as systemd’s driver names them', async () => {
  const { mountPoint } = detectHierarchy();
  const handle = randomBytes(32).toString('hex');
  const slice = join(mountPoint, 'system.slice');
  const app = join(slice, `docker-${handle}.scope`);
  // Of the app's own making, and named like another one.
  const nested = [join(app, 'docker'), join(app, 'docker', randomBytes(32).toString('hex'))];
  // As an operator would: the environment, for what the test's configuration file does not have.
  process.env['VARVEL_RUNTIMES_CGROUP_APPS'] = JSON.stringify([
    { pattern: '/system.slice/docker-*.scope', app: 'shop-{handle}' },
  ]);
  const nowhere = { socketPath: '/run/no-docker.sock', execRoot: '/run/no-docker' };
  await using agent = await E2eAgent.start({ dockerd: nowhere });
  for (const dir of [slice, app, ...nested]) mkdirSync(dir, { recursive: true });
  try {
    runIn(app, 'exec cat /etc/shadow > /dev/null');
    runIn(nested[1]!, 'exec cat /etc/shadow > /dev/null');
    runIn(mountPoint, 'exec cat /etc/shadow > /dev/null');
    const lines = await until(
      'two detections',
      () => {
        const found = agent.detections(RULE);
        return found.length >= 2 && found;
      },
      60_000,
    );
    for (const { app: owner, output_fields: fields } of lines) {
      assert.deepEqual(owner, { name: `shop-${handle}` });
      assert.equal(fields['container.id'], handle.slice(0, 12));
      assert.equal(fields['fd.name'], '/etc/shadow');
    }
    const { code } = await agent.end();
    assert.equal(code, 0);
    assert.equal(agent.detections(RULE).length, 2, 'the host’s own process is no app’s');
  } finally {
    for (const dir of [...nested.reverse(), app, slice]) rmdirSync(dir);
  }
});
