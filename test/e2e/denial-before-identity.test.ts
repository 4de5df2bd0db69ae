// What the operator denies to all apps is denied in containers of which the agent does not know yet whose they are: with a real engine
// that keeps it waiting.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { agentLines, execInContainer, runContainer } from '../support/e2e-docker.ts';
import { holdableEngine, type HeldEngine } from '../support/held-engine.ts';
import { KILLED } from './responses-fixture.ts';

let engine: TestDockerd;
let held: HeldEngine;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
  held = await holdableEngine(engine.socketPath);
});
after(async () => {
  await held[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
});

// Containers of other tests' engines are not known to this agent either: nothing of theirs is meant.
const FOLDER = `/tmp/before-${process.pid}-${Date.now()}/`;
const ADDRESS = '192.0.2.217';
const RULES = `
- rule: Elsewhere
  desc: A test's own.
  condition: evt.type = connect and fd.sip = ${ADDRESS}
  output: connection=%fd.name result=%evt.res
  priority: ERROR
- rule: New program run
  desc: A test's own.
  condition: evt.type in (execve, execveat) and evt.rawres = 0 and proc.exepath startswith ${FOLDER}
  output: new program %proc.exepath
  priority: ERROR
- rule: Only of the shop
  desc: A test's own.
  condition: evt.type in (execve, execveat) and evt.rawres = 0 and proc.exepath startswith /var${FOLDER}
  output: program %proc.exepath
  priority: ERROR
`;
const runs = (folder: string): string =>
  `mkdir -p ${folder}; cp /bin/busybox ${folder}; ${folder}busybox true`;
const RUNS_NEW = runs(FOLDER);
const RUNS_OTHER = runs(`/var${FOLDER}`);
const SAYS = (words: string): string => `nc ${ADDRESS} 9 2>&1 </dev/null | grep -q '${words}'`;
const CUT_OFF = SAYS('Operation not permitted');
const NO_ROUTE = SAYS('Network is unreachable');
/** What becomes of both at the container's start. */
const AT_START = `${RUNS_NEW}; echo $? > /at-start; ${CUT_OFF}; echo $? >> /at-start; exec sleep 600`;

const start = (beforeIdentity: 'report' | 'enforce'): Promise<E2eAgent> =>
  E2eAgent.start({
    dockerd: { socketPath: held.socketPath, execRoot: engine.execRoot },
    noDefaultRules: true,
    rules: { 'own.yaml': RULES },
    config: [
      'mode: always',
      `policies: {before_identity: ${beforeIdentity}}`,
      'hold_time: 60s',
      'responses:',
      ...['Elsewhere', 'New program run'].map(
        (rule) => `  - {match: {rule: ${rule}}, do: deny, mode: enforce, fall_back: false}`,
      ),
      '  - {match: {rule: Only of the shop, app: shop}, do: deny, mode: enforce, fall_back: false}',
    ],
  });

/** A container of the shop; the agent does not know whose it is. */
async function unknownShop(agent: E2eAgent): Promise<Docker.Container> {
  held.hold();
  const shop = await runContainer(engine, AT_START, { labels: { 'varvel.app': 'shop' } });
  await until(
    'its start is over',
    async () => (await execInContainer(shop, 'test $(wc -l < /at-start) = 2')) === 0,
  );
  const { containers } = (await agent.snapshot()).apps;
  const own = containers.find(({ cgroupPath }) => cgroupPath.includes(shop.id));
  assert.equal(own?.state, 'pending');
  return shop;
}
/** Exit code 0 if this is what became of both at its start. */
const atStart = (shop: Docker.Container, program: number, connection: number): Promise<number> =>
  execInContainer(shop, `test "$(echo $(cat /at-start))" = "${program} ${connection}"`);

test('enforce: it is denied from the start, the host and the runtime are not, and the lines come once the app is known', async () => {
  await using agent = await start('enforce');
  await until('its table is there', async () => {
    const { tables } = (await agent.snapshot()).kernel.verdicts;
    return tables === 1;
  });
  const shop = await unknownShop(agent);
  try {
    assert.equal(await atStart(shop, KILLED, 0), 0);
    // docker exec is the runtime's: it runs.
    assert.equal(await execInContainer(shop, 'true'), 0);
    assert.equal(await execInContainer(shop, RUNS_OTHER), 0, 'that is denied to one app only');
    mkdirSync(FOLDER);
    copyFileSync('/bin/busybox', join(FOLDER, 'busybox'));
    execFileSync(join(FOLDER, 'busybox'), ['true']);
    // Without a gap until its own table is there.
    const end = new AbortController();
    const tries = (async () => {
      let count = 0;
      for (; !end.signal.aborted; count++) assert.equal(await execInContainer(shop, CUT_OFF), 0);
      return count;
    })();
    held.release();
    const lines = await until('its lines', async () => {
      const found = await agentLines(engine, shop);
      const isThere = ['Elsewhere', 'New program run'].every((name) =>
        found.some(({ rule }) => rule === name),
      );
      return isThere && found;
    });
    await until(
      'it is denied what its app is',
      async () => (await execInContainer(shop, RUNS_OTHER)) === KILLED,
    );
    end.abort();
    assert.ok((await tries) > 0);
    for (const { rule, output_fields: fields, app } of lines) {
      if (rule.startsWith('Varvel: ')) continue;
      // What is denied to this app only has run meanwhile.
      const outcome = rule === 'Only of the shop' ? 'too late' : 'prevented';
      const said = [fields['varvel.response.outcome'], app?.['name']];
      assert.deepEqual(said, [outcome, 'shop'], rule);
    }
    assert.doesNotMatch(agent.varvel('status').stdout, /DENIED WRONGLY/);
  } finally {
    held.release();
    rmSync(FOLDER, { recursive: true, force: true });
    await shop.remove({ force: true });
  }
});

test('a lift in any app holds there, too: it may be that one', async () => {
  await using agent = await start('enforce');
  assert.equal(agent.varvel('lift', '--app', 'shop').code, 0);
  const shop = await unknownShop(agent);
  try {
    assert.equal(await atStart(shop, 0, 1), 0);
  } finally {
    held.release();
    await shop.remove({ force: true });
  }
});

test('report: nothing is denied until it is known whose the container is', async () => {
  await using agent = await start('report');
  const shop = await unknownShop(agent);
  try {
    assert.equal(await atStart(shop, 0, 1), 0);
    assert.equal(await execInContainer(shop, NO_ROUTE), 0);
    held.release();
    await until('it is denied', async () => (await execInContainer(shop, CUT_OFF)) === 0);
  } finally {
    held.release();
    await shop.remove({ force: true });
  }
});
