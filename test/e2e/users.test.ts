import assert from 'node:assert/strict';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { writeBusyboxTree } from '../support/busybox-tree.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, pooled, until } from '../support/e2e-agent.ts';
import { importTree } from './attacks/image.ts';

const COUNT = 50;
const AT_A_TIME = 5;

const RULES = `
- rule: File read
  desc: A file that nothing reads but the command of these tests.
  condition: evt.type in (open, openat) and evt.is_open_read = true and fd.name = /etc/group
  output: user=%user.name home=%user.homedir shell=%user.shell uid=%user.uid group=%group.name
  priority: WARNING
`;

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
});
after(() => engine[Symbol.asyncDispose]());

const startAgent = (): Promise<E2eAgent> =>
  E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'names.yaml': RULES },
    streams: ['container: {enabled: false}'],
  });

/** Runs it until it has ended, and the engine has forgotten it. */
async function run(image: string, user: string, command: readonly string[]): Promise<void> {
  const container = await engine.docker.createContainer({
    Image: image,
    User: user,
    Cmd: [...command],
    Labels: { 'varvel.enable': 'true' },
    HostConfig: { NetworkMode: 'none' },
  });
  await container.start();
  const { StatusCode } = (await container.wait()) as { StatusCode: number };
  await container.remove({ force: true });
  assert.equal(StatusCode, 0);
}

test(`${COUNT} containers of an ordinary user that end at once: each detection has the user’s name`, async () => {
  await using agent = await startAgent();
  const image = await engine.importBusybox();
  await pooled([...Array(COUNT).keys()], AT_A_TIME, async () => {
    await run(image, 'app', ['cat', '/etc/group']);
  });
  const lines = await until('every container has its detection', () => {
    const found = agent.detections();
    return found.length >= COUNT ? found : undefined;
  });
  assert.equal(lines.length, COUNT);
  const wrong = lines.filter(
    ({ output }) => !output.includes('user=app home=/home/app shell=/bin/sh uid=1000 group=app'),
  );
  assert.equal(wrong.length, 0, `${wrong.length} without names, such as: ${wrong[0]?.output}`);
});

test('an image whose passwd file leads out of it names nobody', async () => {
  await using agent = await startAgent();
  const outside = join(agent.folder, 'passwd');
  writeFileSync(outside, 'stranger:x:1000:1000::/:/bin/sh\n');
  const image = await importTree(engine, 'varvel-test/leads-out', (tree) => {
    writeBusyboxTree(tree);
    rmSync(join(tree, 'etc/passwd'));
    symlinkSync(outside, join(tree, 'etc/passwd'));
  });
  await run(image, '1000:1000', ['cat', '/etc/group']);
  const line = await until('the detection', () => agent.detections().at(0));
  assert.match(line.output, /user=<NA> .* uid=1000 group=app/);
});
