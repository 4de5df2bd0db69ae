import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { detectHierarchy } from '../../../src/apps/cgroup-hierarchy.ts';
import { startDockerd } from '../../support/dockerd.ts';
import { E2eAgent, until } from '../../support/e2e-agent.ts';
import { logLines, runContainer } from '../../support/e2e-docker.ts';

const RULE = 'Sensitive file read';

// With the cgroupfs driver: the systemd driver needs systemd as the guest's first process. Its names are tested in
// probe.ts and agent.ts.
test('a container of a real Docker engine: detected, attributed, and told so in its own log', async () => {
  await using engine = await startDockerd({ cgroupDriver: 'cgroupfs' });
  await engine.importBusybox();
  await using agent = await E2eAgent.start({ dockerd: engine });
  // The engine has not answered the agent yet, and the container's first act is over before it will.
  const container = await runContainer(
    engine,
    ['sh', '-c', 'read -r line < /etc/shadow; echo ready; exec sleep 60'],
    { name: 'shop-1', labels: { 'varvel.enable': 'true', 'varvel.app': 'shop' } },
  );
  const { mountPoint } = detectHierarchy();
  assert.ok(existsSync(join(mountPoint, 'docker', container.id)), 'it is where it is looked for');
  const line = await until('its detection', () => agent.detections(RULE)[0], 60_000);
  const { output_fields: fields } = line;
  assert.deepEqual(line.app, { name: 'shop' });
  assert.equal(fields['container.id'], container.id.slice(0, 12));
  assert.equal(fields['container.name'], 'shop-1');
  assert.equal(fields['fd.name'], '/etc/shadow');
  const own = await until(
    'the line in its log',
    async () => (await logLines(engine, container)).find((text) => text.includes(line.id)),
    60_000,
  );
  assert.match(own, /Sensitive file read/);
  await agent.end();
  assert.equal(agent.detections(RULE).length, 1);
  await container.remove({ force: true });
});
