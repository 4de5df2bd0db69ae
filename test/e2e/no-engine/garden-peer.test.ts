// The agent with a Garden on the other side, the tests' own or a real one: whose is what is detected in its containers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { E2eAgent, settled, until, type DetectionLine } from '../../support/e2e-agent.ts';
import { startGardenPeer, type GardenPeer } from '../../support/garden-peer.ts';
import { propertiesOf, type AppProperties } from '../../support/garden-server.ts';

/** The file is not there: that it was asked for is what is looked at. */
const RULES = `
- rule: Mark asked for
  desc: A test's own.
  condition: evt.type in (open, openat) and fd.name startswith /varvel-mark-
  output: mark (file=%fd.name container=%container.id)
  priority: WARNING
`;

const properties = (app: AppProperties): Record<string, string> =>
  propertiesOf({ ...app, tags: { varvel: 'on', ...app.tags } });

const startAgent = (garden: GardenPeer): Promise<E2eAgent> =>
  E2eAgent.start({
    garden: { socketPath: garden.socketPath, cgroupParents: [garden.root] },
    config: ['rescan_interval: 1s', 'limits: {enabled: false}'],
    rules: { 'marks.yaml': RULES },
    noDefaultRules: true,
  });

const mark = (garden: GardenPeer, handle: string, name: string): Promise<void> =>
  garden.run(handle, `cat /varvel-mark-${name} 2>/dev/null; true`);

const linesOf = (agent: E2eAgent, name: string): DetectionLine[] =>
  agent
    .detections()
    .filter(({ output_fields: fields }) => fields['fd.name'] === `/varvel-mark-${name}`);

/** Exactly one line, of this app and container. */
async function isMarked(
  agent: E2eAgent,
  name: string,
  guid: string | undefined,
  handle: string,
): Promise<DetectionLine> {
  const lines = await until(`the mark ${name}`, () => {
    const found = linesOf(agent, name);
    return found.length > 0 ? found : undefined;
  });
  assert.equal(lines.length, 1, name);
  const [line] = lines;
  assert.equal(line?.app?.['guid'], guid, name);
  assert.equal(line?.output_fields['container.id'], handle, name);
  return line;
}

/** Handles are this run's own: a real Garden keeps its containers when a test is killed. */
const unique = (name: string): string => `varvel-test-${process.pid}-${name}`;

test('containers of before and after the agent’s start, an app, a task, one that did not ask, two names for one', async () => {
  await using garden = await startGardenPeer();
  const [old, app, task, silent, doubtful] = ['old', 'app', 'task', 'silent', 'doubtful'].map(
    unique,
  );
  await garden.create(old!, properties({ guid: 'guid-old', index: 7 }));
  await using agent = await startAgent(garden);
  await garden.create(app!, properties({ guid: 'guid-app', index: 3 }));
  await garden.create(task!, properties({ guid: 'guid-task', workload: 'task' }));
  await garden.create(silent!, propertiesOf({ guid: 'guid-silent' }));
  await garden.create(doubtful!, { ...properties({ guid: 'guid-1' }), 'network.app_id': 'guid-2' });
  // An app runs on; where nothing has, a droplet with a policy may still come.
  const silentApp = garden.run(silent!, 'exec sleep 1000000').catch(() => undefined);
  for (const [handle, name] of [
    [old, 'old'],
    [app, 'app'],
    [task, 'task'],
    [silent, 'silent'],
    [doubtful, 'doubtful'],
  ] as const) {
    await mark(garden, handle!, name);
  }
  assert.equal((await isMarked(agent, 'old', 'guid-old', old!)).app?.['instance'], '7');
  assert.equal((await isMarked(agent, 'app', 'guid-app', app!)).app?.['instance'], '3');
  await isMarked(agent, 'task', 'guid-task', task!);
  await isMarked(agent, 'doubtful', undefined, doubtful!);
  await until('it is known that it did not ask', async () => {
    return (await agent.containerStatus(silent!))?.state === 'excluded';
  });
  await mark(garden, silent!, 'silent-again');
  await settled(agent);
  assert.deepEqual([...linesOf(agent, 'silent'), ...linesOf(agent, 'silent-again')], []);
  assert.equal(agent.detections().length, 4);
  await garden[Symbol.asyncDispose]();
  await silentApp;
});

test('a handle that is another app’s now, and properties that change', async () => {
  await using garden = await startGardenPeer();
  await using agent = await startAgent(garden);
  const handle = unique('again');
  await garden.create(handle, properties({ guid: 'guid-first' }));
  await mark(garden, handle, 'first');
  await isMarked(agent, 'first', 'guid-first', handle);
  await garden.destroy(handle);
  await garden.create(handle, properties({ guid: 'guid-second' }));
  await mark(garden, handle, 'second');
  await isMarked(agent, 'second', 'guid-second', handle);

  const changing = unique('changing');
  await garden.create(changing, properties({ guid: 'guid-changing', index: 1 }));
  await mark(garden, changing, 'before');
  assert.equal((await isMarked(agent, 'before', 'guid-changing', changing)).app?.['instance'], '1');
  const later = properties({ guid: 'guid-changing', index: 1, tags: { app_name: 'renamed' } });
  await garden.set(changing, 'log_config', later['log_config']!);
  await until('the change is noticed', async () => {
    return (await agent.containerStatus(changing))?.app === 'renamed';
  });
  await mark(garden, changing, 'after');
  assert.equal(
    (await isMarked(agent, 'after', 'guid-changing', changing)).app?.['name'],
    'renamed',
  );
});
