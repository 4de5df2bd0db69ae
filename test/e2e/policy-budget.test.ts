// An app whose own rules cost more than their budget: they pause, everybody else's go on, and everybody concerned is told.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until, type DetectionLine } from '../support/e2e-agent.ts';
import { agentLines, execInContainer, runContainer } from '../support/e2e-docker.ts';

const RULES = `
- macro: reading
  condition: evt.type in (open, openat, openat2) and evt.is_open_read = true
- rule: Shadow read
  desc: A test's own.
  condition: reading and fd.name = /etc/shadow
  output: shadow read
  priority: NOTICE
`;
const GROUP_READ = `
custom_rules:
  - rule: Group read
    desc: The app's own.
    condition: reading and fd.name = /etc/group
    output: group read
    priority: CRITICAL
`;
const RULES_OF_SHOP = 12;
/** Each looks for two words in the whole command line: most of what is let through when it loads. */
const COSTLY =
  GROUP_READ +
  Array.from({ length: RULES_OF_SHOP }, (_, rule) => {
    const tests = Array.from({ length: 2 }, (_, n) => `proc.cmdline icontains zz${rule}x${n}`);
    return `  - {rule: Costly ${rule}, desc: d, output: x, priority: NOTICE, condition: 'evt.type = execve and (${tests.join(' or ')})'}\n`;
  }).join('');
/**
 * At most 1,000 programs, each with 15 KB of arguments: bounded, whatever the agent does. Each of their characters may begin
 * one of the words: where none could, a fast machine keeps within the budget.
 */
const STORM =
  'a=$(head -c 15000 /dev/zero | tr "\\0" z); i=0; while [ $i -lt 1000 ]; do /bin/true $a$i; i=$((i+1)); done';

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

const runApp = (name: string, policy: string): Promise<Docker.Container> =>
  runContainer(engine, 'exec sleep 600', {
    labels: { 'varvel.enable': 'true', 'varvel.app': name, 'varvel.policy': policy },
  });

async function linesOf(app: Docker.Container, rule: string): Promise<DetectionLine[]> {
  return (await agentLines(engine, app)).filter((line) => line.rule === rule);
}
const stateTold = (app: Docker.Container, state: string): Promise<DetectionLine> =>
  until(`its log says that its rules are ${state}`, async () =>
    (await linesOf(app, 'Varvel: own rules')).find(
      ({ output_fields: fields }) => fields['own_rules.state'] === state,
    ),
  );
const toldOnce = (app: Docker.Container, rule: string): Promise<boolean> =>
  until(`${rule} in its log`, async () => (await linesOf(app, rule)).length === 1);

test('costly own rules are paused, told, counted and shown; all others go on; they come back', async () => {
  await using agent = await E2eAgent.start({
    dockerd: engine,
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: ['coverage: {enabled: true, interval: 5s}'],
  });
  const shop = await runApp('shop', COSTLY);
  const other = await runApp('other', GROUP_READ);
  try {
    for (const app of [shop, other]) {
      const [line] = await until('the policy is told', async () => {
        const lines = await linesOf(app, 'Varvel: policy');
        return lines.length > 0 && lines;
      });
      assert.equal(line?.output_fields['policy.state'], 'in force', line?.output);
    }
    const storm = execInContainer(shop, STORM);
    const paused = await stateTold(shop, 'paused');
    assert.equal(paused.priority, 'Warning');
    assert.match(
      paused.output,
      /The own rules of this app are paused for 10 s: they took \d+ ms of CPU time.*more than.* The rule "Costly \d+" cost most: /,
    );
    // What is said while they are paused: for 10 s, whatever the machine does meanwhile.
    const status = agent.varvel('status').stdout;
    const table = agent.varvel('status', '--rules').stdout;
    const metrics = await agent.metrics();
    const id = shop.id.slice(0, 12);
    assert.match(metrics, /^varvel_policies_in_force 2$/m);
    assert.match(metrics, /^varvel_policy_pauses_total [1-9]/m);
    assert.match(
      table,
      new RegExp(`^${id} +shop +${RULES_OF_SHOP + 1} +(PAUSED|on) .* Costly \\d+$`, 'm'),
    );
    assert.match(status, /^policies: 2 in force, 0 refused; own rules paused [1-9]/m);
    const isPausedNow = (): Promise<boolean> =>
      agent.snapshot().then(({ policies }) => policies.paused === 1);
    // The storm may go on: pauses follow each other then, and there is one within which all of this is seen.
    await until('a pause is shown, and the operator’s rules go on in it', async () => {
      if (!(await isPausedNow())) return false;
      const shown = agent.varvel('status').stdout;
      const readsBefore = (await linesOf(shop, 'Shadow read')).length;
      const groupsBefore = (await linesOf(shop, 'Group read')).length;
      assert.equal(
        await execInContainer(shop, 'read -r a < /etc/group; read -r a < /etc/shadow'),
        0,
      );
      await until(
        'the operator’s rule is told',
        async () => (await linesOf(shop, 'Shadow read')).length > readsBefore,
      );
      if (!(await isPausedNow())) return false;
      assert.match(
        shown,
        new RegExp(`^OWN RULES PAUSED: container ${id} of shop, over its budget`, 'm'),
      );
      assert.equal((await linesOf(shop, 'Group read')).length, groupsBefore, 'its own do not run');
      return true;
    });
    assert.equal(await execInContainer(other, 'read -r a < /etc/group'), 0);
    await toldOnce(other, 'Group read');
    assert.deepEqual(await linesOf(other, 'Varvel: own rules'), []);
    assert.equal(await storm, 0);
    const resumed = await stateTold(shop, 'resumed');
    assert.match(
      resumed.output,
      /The own rules of this app run again, with its exceptions and variables$/,
    );
    await until('they are on', async () => !(await isPausedNow()), 120_000);
    const groups = (await linesOf(shop, 'Group read')).length;
    assert.equal(await execInContainer(shop, 'read -r a < /etc/group'), 0);
    await until(
      'its own rule is told again',
      async () => (await linesOf(shop, 'Group read')).length > groups,
    );
    const coverage = await until('a coverage line says that they were paused', async () =>
      (await linesOf(shop, 'Varvel: coverage')).find(
        ({ output_fields: fields }) => fields['coverage.own_rules_paused'] === true,
      ),
    );
    assert.match(coverage.output, /its own rules are paused/);
    assert.match(
      await agent.metrics(),
      /^varvel_rule_evaluation_seconds_total\{rule="Shadow read"\} \d/m,
    );
    assert.equal(agent.running, true);
  } finally {
    await Promise.all([shop, other].map((app) => app.remove({ force: true })));
  }
});
