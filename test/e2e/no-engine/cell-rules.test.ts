// The rules as shipped, on a cell: what the platform's own programs do there, in an app's container and in one that stages an app.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { E2eAgent, settled, until, type DetectionLine } from '../../support/e2e-agent.ts';
import { propertiesOf } from '../../support/garden-server.ts';
import { RuncGarden } from '../../support/runc-garden.ts';

let garden: RuncGarden;
let agent: E2eAgent;

before(async () => {
  garden = await RuncGarden.start();
  const { cell } = garden;
  agent = await E2eAgent.start({
    garden: { socketPath: cell.server.socketPath, cgroupParents: [cell.root], staging: 'watch' },
    config: ['cgroup_hierarchy: v1', 'mode: always'],
  });
});

after(async () => {
  await agent[Symbol.asyncDispose]();
  await garden[Symbol.asyncDispose]();
});

async function container(handle: string, workload: 'app' | 'staging'): Promise<string> {
  await garden.create(handle, propertiesOf({ guid: `guid-${handle}`, workload }), { tools: true });
  garden.installDiego(handle);
  garden.unpack(handle, { '/home/vcap/app/app.js': '', '/home/vcap/profile.d/env.sh': 'A=1' });
  await until(
    'it is watched',
    async () => (await agent.containerStatus(handle))?.state === 'included',
  );
  return handle;
}

/** What is told of the container, but for what the agent says of itself. */
async function told(handle: string): Promise<DetectionLine[]> {
  await settled(agent);
  return agent
    .detections()
    .filter(({ app, rule }) => app?.['guid'] === `guid-${handle}` && !rule.startsWith('Varvel: '));
}

const short = ({ rule, priority, output_fields: fields }: DetectionLine): string =>
  `${priority} ${rule}: ${String(fields['proc.cmdline'])}`;

/** Priorities that page somebody, or are looked at. */
const SEEN = ['Emergency', 'Alert', 'Critical', 'Error', 'Warning', 'Notice'];

test('somebody in cf ssh who asks for the app’s environment is told once', async () => {
  const sshd = '/tmp/lifecycle/diego-sshd';
  const typed = await container('ssh-typed', 'app');
  const text = '/tmp/lifecycle/shell\nexit\nexit\n';
  assert.equal(await garden.execProgram(typed, [sshd, text]).ended, 0);
  assert.deepEqual((await told(typed)).map(short), [
    'Notice Terminal shell in an app container: bash',
  ]);
  const asked = await container('ssh-asked', 'app');
  assert.equal(await garden.execProgram(asked, [sshd, 'exit\n', '/tmp/lifecycle/shell']).ended, 0);
  assert.deepEqual((await told(asked)).map(short), [
    'Notice Terminal shell in an app container: bash -c /tmp/lifecycle/shell',
  ]);
});

for (const language of ['node', 'python', 'go']) {
  test(`staging of a ${language} app, where it is watched, is nothing to look at`, async (t) => {
    const handle = await container(`staging-${language}`, 'staging');
    garden.install(handle, `/tmp/buildpacks/${language}/bin/supply`, `staging/${language}.sh`);
    garden.unpack(handle, { '/tmp/app/.cfignore': '', '/tmp/contents/deps/.keep': '' });
    const command = ['/tmp/lifecycle/builder', `/tmp/buildpacks/${language}/bin/supply`];
    assert.equal(await garden.execProgram(handle, command).ended, 0);
    const lines = await told(handle);
    t.diagnostic(`${lines.length} lines; ${[...new Set(lines.map(short))].join('; ')}`);
    assert.deepEqual(lines.filter(({ priority }) => SEEN.includes(priority)).map(short), []);
  });
}

test('what is no build is told where an app is staged, too', async () => {
  const handle = await container('staging-harm', 'staging');
  const script = 'cat /etc/shadow > /dev/null';
  const command = ['/tmp/lifecycle/builder', '/tmp/buildpacks/0/bin/supply'];
  garden.unpack(handle, { '/tmp/buildpacks/0/bin/supply': `#!/bin/bash\n${script}\n` });
  garden.makeExecutable(handle, '/tmp/buildpacks/0/bin/supply');
  assert.equal(await garden.execProgram(handle, command).ended, 0);
  assert.deepEqual((await told(handle)).map(short), [
    'Warning Sensitive file read: cat /etc/shadow',
  ]);
});
