// Rules that ask for a container's age deny on a cell, where Garden tells no start: the age is that of the oldest process above.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { E2eAgent, until } from '../../support/e2e-agent.ts';
import { propertiesOf } from '../../support/garden-server.ts';
import { RuncGarden } from '../../support/runc-garden.ts';
import { KILLED, outcomeOf } from '../responses-fixture.ts';

const RULE = 'Attack tool run';
/** As shipped, but that start scripts run for so long. */
const START_MS = 3000;
const RULES = `
- macro: start_scripts_run
  condition: >
    (container.duration < ${START_MS}000000
     or (proc.pvpid = 1 and proc.ppid.duration < ${START_MS}000000)
     or (proc.is_from_outside = true and proc.vpid = 1 and proc.duration < ${START_MS}000000))
  override: { condition: replace }
`;

let garden: RuncGarden;
let agent: E2eAgent;
before(async () => {
  garden = await RuncGarden.start();
  const { cell } = garden;
  agent = await E2eAgent.start({
    garden: { socketPath: cell.server.socketPath, cgroupParents: [cell.root] },
    rules: { 'start.yaml': RULES },
    config: [
      'cgroup_hierarchy: v1',
      'mode: always',
      `responses: [{match: {rule: ${RULE}}, do: deny, mode: enforce, fall_back: false}]`,
    ],
  });
});
after(async () => {
  await agent[Symbol.asyncDispose]();
  await garden[Symbol.asyncDispose]();
});

/** The app starts a shell that runs the tool, and says how the tool has ended. */
const APP = `cp /bin/busybox /home/nmap
until [ -e /home/go ]; do sleep 0.1; done
sh -c '/home/nmap; echo $?' >/home/code
mv /home/code /home/ended
until [ -e /home/end ]; do sleep 0.1; done`;

test('a young shell of an old app is denied a tool, though nobody tells when the container started', async () => {
  const handle = 'shop';
  await garden.create(handle, propertiesOf({ guid: 'guid-shop', workload: 'app' }));
  const file = (name: string): string => join(garden.rootOf(handle), 'home', name);
  const app = garden.exec(handle, APP);
  await until('the tool is there', () => existsSync(file('nmap')));
  // From now on the app is at least so old. The kernel may be a tenth of a second late.
  await setTimeout(START_MS + 500);
  await until('the kernel denies', async () => {
    const { denying } = (await agent.snapshot()).kernel.verdicts;
    return denying.containers === 1 && denying.rules.includes(RULE);
  });
  writeFileSync(file('go'), '');
  await until('it has ended', () => existsSync(file('ended')));
  assert.equal(Number(readFileSync(file('ended'), 'utf8')), KILLED);
  const lines = await until('it is told', () => {
    const found = agent.detections().filter(({ rule }) => rule === RULE);
    return found.length > 0 && found;
  });
  assert.deepEqual(lines.map(outcomeOf), ['prevented']);
  assert.equal(lines[0]?.app?.['guid'], 'guid-shop');
  const { inVain, tooYoung, afterEffect } = (await agent.snapshot()).kernel.verdicts.denying;
  assert.deepEqual({ inVain, tooYoung, afterEffect }, { inVain: 0, tooYoung: 0, afterEffect: [] });
  writeFileSync(file('end'), '');
  assert.equal(await app.ended, 0);
});
