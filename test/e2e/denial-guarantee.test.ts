// An entry that is to deny before the effect or not at all: a host that cannot give that does not start with it, and reloads nothing.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import type { E2eAgentOptions } from '../support/e2e-config.ts';
import { execInContainer } from '../support/e2e-docker.ts';
import { KILLED, runApp } from './responses-fixture.ts';

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

const RULES = `
- rule: New program run
  desc: A test's own.
  condition: evt.type in (execve, execveat) and evt.rawres = 0 and proc.exepath startswith /tmp/
  output: new program %proc.exepath
  priority: ERROR
- rule: Something unshared
  desc: A test's own.
  condition: evt.type = unshare and proc.exepath startswith /tmp/
  output: unshare by %proc.exepath
  priority: ERROR
`;
const RUNS_NEW = 'cp /bin/busybox /tmp/busybox; /tmp/busybox true';
/** Some kernels can refuse opens, others cannot; to unshare anything is refused by none. */
const REFUSED =
  /The rule "Something unshared" is to be denied before the effect, with "else: refuse", but this host gives only a report of the event unshare: no kernel lets it be denied/;

const optionsFor = (rule: string): E2eAgentOptions => ({
  dockerd: engine,
  noDefaultRules: true,
  rules: { 'own.yaml': RULES },
  config: [
    `responses: [{match: {rule: "${rule}"}, do: deny, mode: enforce, guarantee: before the effect, else: refuse}]`,
  ],
});

test('where the host cannot give it the agent does not start, and says the rule, the event and why', async () => {
  await assert.rejects(E2eAgent.start(optionsFor('Something *')), (error: Error) => {
    assert.match(error.message, REFUSED);
    assert.match(error.message, /varvel\.yaml:\d+:\d+: The rule/);
    assert.doesNotMatch(error.message, /^\s+at /m, 'no stack trace');
    return true;
  });
});

test('where it can the rule denies, and a reload to one that it cannot leaves it so', async () => {
  await using agent = await E2eAgent.start(optionsFor('New *'));
  const shop = await runApp(engine, 'shop', 'production');
  const denied = (): Promise<unknown> =>
    until('it is denied', async () => (await execInContainer(shop, RUNS_NEW)) === KILLED);
  try {
    await denied();
    const taken = readFileSync(agent.configFile, 'utf8');
    writeFileSync(agent.configFile, taken.replace('New *', '*'));
    agent.kill('SIGHUP');
    await until('it is refused', async () => (await agent.snapshot()).rules.stale);
    assert.match(agent.varvel('status').stdout, REFUSED);
    assert.equal(await execInContainer(shop, RUNS_NEW), KILLED);
    writeFileSync(agent.configFile, taken.replace('New *', '*').replace(', else: refuse', ''));
    await agent.reload();
    await denied();
  } finally {
    await shop.remove({ force: true });
  }
});
