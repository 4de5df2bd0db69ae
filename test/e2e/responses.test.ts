// What the operator wants done about detections: with a real process that ends, or does not.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until, type DetectionLine } from '../support/e2e-agent.ts';
import { agentLines, execInContainer, runContainer } from '../support/e2e-docker.ts';

const RULES = `
- rule: Shadow read
  desc: A test's own.
  condition: evt.type in (open, openat, openat2) and evt.is_open_read = true and fd.name = /etc/shadow
  output: shadow read
  priority: ERROR
  tags: [secrets]
`;
/** It waits by itself for what never comes: a sleep would be a process that outlives the shell. */
const READ =
  'rm -f /tmp/never; mkfifo /tmp/never; exec 3<>/tmp/never; read -r a < /etc/shadow; read -r -t SECONDS a <&3; true';
/** SIGKILL, as a shell says it. */
const KILLED = 137;

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

const runApp = (name: string, space: string): Promise<Docker.Container> =>
  runContainer(engine, 'exec sleep 600', {
    labels: { 'varvel.enable': 'true', 'varvel.app': name, 'varvel.space': space },
  });

/** The line that comes next in the app's log, after so many of them. */
async function nextLine(app: Docker.Container, before: number): Promise<DetectionLine> {
  const lines = await until('the read is told', async () => {
    const found = (await agentLines(engine, app)).filter(({ rule }) => rule === 'Shadow read');
    return found.length > before && found;
  });
  return lines[before]!;
}

const outcomeOf = ({ output_fields: fields }: DetectionLine): unknown =>
  fields['varvel.response.outcome'];

test('the operator’s entries: enforced in one space, monitored elsewhere, taken back by a reload', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: [
      'responses: [{match: {tag: secrets}, do: kill}, {match: {rule: Shadow*, priority: error, space: production}, do: kill, mode: enforce}]',
    ],
  });
  const [shop, blog] = [await runApp('shop', 'production'), await runApp('blog', 'staging')];
  try {
    // Only a kill ends it as long as nobody says otherwise.
    assert.equal(await execInContainer(shop, READ.replace('SECONDS', '600')), KILLED);
    const killed = await nextLine(shop, 0);
    assert.match(killed.output, / Error shadow read \| process killed, after this had happened$/);
    assert.equal(outcomeOf(killed), 'done');
    assert.equal((await shop.inspect()).State.Running, true);

    assert.equal(await execInContainer(blog, READ.replace('SECONDS', '1')), 0);
    const monitored = await nextLine(blog, 0);
    assert.match(monitored.output, / \| process would have been killed \(.* monitor mode\)$/);
    assert.equal(outcomeOf(monitored), 'monitored');

    const metrics = await agent.metrics();
    for (const outcome of ['done', 'monitored'])
      assert.ok(
        metrics.includes(`varvel_responses_total{response="kill",outcome="${outcome}"} 1\n`),
        metrics,
      );
    assert.match(
      agent.varvel('status').stdout,
      /^responses: kill done 1 times, kill monitored 1 times$/m,
    );

    const { ok } = (await agent.snapshot()).rules.reloads;
    const taken = readFileSync(agent.configFile, 'utf8').replaceAll(', mode: enforce', '');
    writeFileSync(agent.configFile, taken);
    agent.kill('SIGHUP');
    await until('it is reloaded', async () => (await agent.snapshot()).rules.reloads.ok > ok);
    assert.equal(await execInContainer(shop, READ.replace('SECONDS', '1')), 0);
    assert.equal(outcomeOf(await nextLine(shop, 1)), 'monitored');
  } finally {
    for (const app of [shop, blog]) await app.remove({ force: true });
  }
});
