import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';

const RULE = 'Sensitive file read';
const NAMES = [1, 2, 3].map((level) => `proc.aname[${level}]`);
const FILES = [1, 2, 3].map((level) => `proc.aexepath[${level}]`);
const RULES = `
- rule: ${RULE}
  output: "%container.full_id ${[...NAMES, ...FILES].map((field) => `%${field}`).join(' ')}"
  override: {output: append}
`;

let engine: TestDockerd;
let image: string;

before(async () => {
  engine = await startDockerd();
  image = await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

/** Runs a container to its end, until the engine has forgotten it; returns its id. */
async function runToItsEnd(): Promise<string> {
  const container = await engine.docker.createContainer({
    Image: image,
    Cmd: ['sh', '-c', 'cat /etc/shadow; true'],
    Labels: { 'varvel.enable': 'true', 'varvel.app': 'short' },
    HostConfig: { AutoRemove: true, NetworkMode: 'none' },
  });
  await container.start();
  await until('the container is gone', async () => {
    const left = await engine.docker.listContainers({ all: true });
    return !left.some(({ Id }) => Id === container.id);
  });
  return container.id;
}

test('the runtime above an app is known, also to an agent that stood still for the whole life of its container', async () => {
  await using agent = await E2eAgent.start({ dockerd: engine, rules: { 'more.yaml': RULES } });
  for (const late of [false, true]) {
    if (late) agent.kill('SIGSTOP');
    const id = await runToItsEnd();
    if (late) agent.kill('SIGCONT');
    const { output_fields: fields } = await until('its detection', () =>
      Promise.resolve(
        agent.detections().find((one) => one.output_fields['container.full_id'] === id),
      ),
    );
    const of = (names: readonly string[]): unknown[] => names.map((name) => fields[name]);
    assert.deepEqual(of(NAMES), ['sh', 'runc', 'containerd-shim'], `late: ${late}`);
    const [shell, ...above] = of(FILES);
    assert.equal(shell, '/bin/busybox');
    assert.match(above.join(' '), /^\/\S+\/runc \/\S+\/containerd-shim-runc-v2$/, `late: ${late}`);
  }
});
