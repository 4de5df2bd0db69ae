// An agent that stands still while one app floods and another works: what each is told, and of whom.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { detectHierarchy } from '../../../src/apps/cgroup-hierarchy.ts';
import { E2eAgent, settled, until, type DetectionLine } from '../../support/e2e-agent.ts';

const LOST = 'Varvel: events lost';
const { mountPoint } = detectHierarchy();
const PARENT = join(mountPoint, `varvel-losses-${process.pid}`);
const folder = mkdtempSync(join(tmpdir(), 'varvel-losses-'));

after(() => rmSync(folder, { recursive: true, force: true }));

const RULES = `
- rule: File that is watched
  desc: A test's own.
  condition: evt.type in (open, openat) and fd.name = ${folder}/watched
  output: opened %fd.name
  priority: NOTICE
`;

function lossesOf(app: string): DetectionLine[] {
  const file = join(folder, `${app}.log`);
  if (!existsSync(file)) return [];
  const whole = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return whole.map((line) => JSON.parse(line) as DetectionLine).filter(({ rule }) => rule === LOST);
}

const numberOf = ({ output_fields: fields }: DetectionLine, name: string): number =>
  Number(fields[`lost.${name}`]);

const countOf = (app: string): number =>
  lossesOf(app).reduce((sum, line) => sum + numberOf(line, 'count'), 0);

/** From and to, as its text says, Unix ms. */
function intervalOf({ output }: DetectionLine): [number, number] {
  const [, from = '', to = ''] = / from (\S+Z) to (\S+Z): /.exec(output) ?? [];
  return [Date.parse(from), Date.parse(to)];
}

test('each app is told its own losses, at their times; that the agent stood still is said as its own', async () => {
  const cgroups = ['loud', 'quiet'].map((name) => join(PARENT, name));
  for (const cgroup of cgroups) mkdirSync(cgroup, { recursive: true });
  const [loud = '', quiet = ''] = cgroups;
  writeFileSync(join(folder, 'file'), '');
  const opens = (cgroup: string, loop: string): readonly [string, readonly string[]] => [
    'sh',
    ['-c', `echo $$ > ${cgroup}/cgroup.procs; ${loop} do : < ${folder}/file; done`],
  ];
  try {
    await using agent = await E2eAgent.start({
      noDefaultRules: true,
      rules: { 'own.yaml': RULES },
      cgroupApps: `[{pattern: "${PARENT.slice(mountPoint.length)}/*", app: "{handle}", log_file: "${folder}/{handle}.log"}]`,
      config: ['probe: {bulk_ring_bytes: 1MiB}'],
    });
    await settled(agent);
    const stoppedMs = Date.now();
    agent.kill('SIGSTOP');
    const flood = spawn(...opens(loud, 'while :;'), { stdio: 'ignore' });
    await delay(1500);
    // More than an eighth of the ring, its share: it is the stop that loses the rest.
    assert.equal(spawnSync(...opens(quiet, 'for i in $(seq 4000);')).status, 0);
    flood.kill('SIGKILL');
    await once(flood, 'exit');
    const goesOnMs = Date.now();
    agent.kill('SIGCONT');
    const snapshot = await settled(agent, 60_000);
    const droppedOf = (app: string): number =>
      snapshot.apps.containers.find((container) => container.app === app)?.dropped ?? 0;
    await until(
      'both are told',
      () => countOf('loud') >= droppedOf('loud') && countOf('quiet') >= droppedOf('quiet'),
      60_000,
    );
    for (const app of ['loud', 'quiet']) {
      assert.ok(droppedOf(app) > 0, app);
      assert.equal(countOf(app), droppedOf(app), 'its own, and no other’s');
      for (const line of lossesOf(app)) {
        const [fromMs, toMs] = intervalOf(line);
        assert.ok(fromMs <= toMs, line.output);
        // The agent's clock may differ by some milliseconds from this process's.
        assert.ok(fromMs >= stoppedMs - 100 && toMs <= goesOnMs + 1000, line.output);
      }
    }
    assert.equal(droppedOf('loud') + droppedOf('quiet'), snapshot.kernel.dropped);
    for (const line of lossesOf('quiet')) {
      assert.equal(numberOf(line, 'own_share'), 0);
      assert.ok(numberOf(line, 'agent_late_ms') > 1000);
      assert.match(line.output, /the agent was up to \d+\.\d s late/);
      assert.doesNotMatch(line.output, /this container makes more/);
    }
    const own = lossesOf('loud').reduce((sum, line) => sum + numberOf(line, 'own_share'), 0);
    assert.ok(own > 0, 'the flood filled its share at once');
    assert.match(lossesOf('loud')[0]?.output ?? '', /because this container makes more of them/);
    await agent.logged(/Records were lost\. The agent did not read them in time \(it was up to/);
  } finally {
    for (const cgroup of [...cgroups, PARENT])
      await until('it is empty', () => spawnSync('rmdir', [cgroup]).status === 0);
  }
});
