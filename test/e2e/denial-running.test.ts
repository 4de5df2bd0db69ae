// A default rule that asks for all ancestors of a program denies also in apps that ran before the agent.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, until } from '../support/e2e-agent.ts';
import { agentLines, execInContainer, runContainer } from '../support/e2e-docker.ts';
import { KILLED, outcomeOf } from './responses-fixture.ts';

let engine: TestDockerd;
before(async () => {
  engine = await startDockerd();
  await engine.importBusybox();
});
after(() => engine[Symbol.asyncDispose]());

const RULE = 'New program dropped and run';
/** The app itself runs what it is told, and says how that ended. */
const APP = `while :; do
  if [ -e /do ]; then mv /do /doing; sh /doing; echo $? >/ended; mv /ended /result; fi
  sleep 0.1
done`;
const DROPS = 'mkdir /tmp/new; cp /bin/busybox /tmp/new/busybox; /tmp/new/busybox touch /tmp/ran';
const DROPS_A_SCRIPT =
  'printf "#!/bin/sh\\ntouch /tmp/ran\\n" >/tmp/script; chmod 755 /tmp/script; /tmp/script';

/** How what the app was told to do has ended: its exit code. */
async function does(app: Docker.Container, script: string): Promise<number> {
  const told = Buffer.from(script).toString('base64');
  const steps = [
    'rm -rf /result /tmp/ran /tmp/new /tmp/script',
    `echo ${told} | base64 -d >/todo && mv /todo /do`,
    'until [ -e /result ]; do sleep 0.1; done',
    'exit $(cat /result)',
  ];
  return await execInContainer(app, steps.join('; '));
}
const hasRun = async (app: Docker.Container): Promise<boolean> =>
  (await execInContainer(app, '[ -e /tmp/ran ]')) === 0;

test('what an app drops does not run, though it is older than the agent, nor does a script, nor under the next agent', async () => {
  const shop = await runContainer(engine, APP, {
    labels: { 'varvel.enable': 'true', 'varvel.app': 'shop' },
  });
  try {
    assert.equal(await does(shop, DROPS), 0);
    assert.equal(await hasRun(shop), true, 'without an agent it runs');
    await using agent = await E2eAgent.start({
      dockerd: engine,
      config: [`responses: [{match: {rule: ${RULE}}, do: deny, mode: enforce, fall_back: false}]`],
    });
    const denies = async (): Promise<void> => {
      await until(
        'the kernel denies',
        async () => (await agent.snapshot()).kernel.verdicts.denying.containers === 1,
      );
      for (const script of [DROPS, DROPS_A_SCRIPT]) {
        assert.equal(await does(shop, script), KILLED, script);
        assert.equal(await hasRun(shop), false, script);
      }
    };
    await denies();
    const lines = await until('both are told', async () => {
      const found = (await agentLines(engine, shop)).filter(({ rule }) => rule === RULE);
      return found.length >= 2 && found;
    });
    assert.deepEqual(lines.map(outcomeOf), ['prevented', 'prevented']);
    assert.equal(await does(shop, 'echo /bin/busybox is of the image; busybox true'), 0);
    // A new agent has not seen what the app runs either.
    await agent.replace();
    await denies();
    const { denying } = (await agent.snapshot()).kernel.verdicts;
    assert.equal(denying.inVain, 0);
  } finally {
    await shop.remove({ force: true });
  }
});
