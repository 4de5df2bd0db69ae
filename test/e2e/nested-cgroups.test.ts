import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { detectHierarchy } from '../../src/apps/cgroup-hierarchy.ts';
import { E2eAgent, settled, until, type DetectionLine } from '../support/e2e-agent.ts';

const RULE = 'Sensitive file read';
const { mountPoint } = detectHierarchy();
const PARENT = join(mountPoint, `varvel-nested-${process.pid}`);
/** More than the kernel's map of containers holds. */
const NESTED = 20_000;
const folder = mkdtempSync(join(tmpdir(), 'varvel-nested-'));

after(() => rmSync(folder, { recursive: true, force: true }));

/** Reads a file that a rule is about, from within the cgroup. */
function readSecret(cgroup: string): void {
  const script = `echo $$ > ${cgroup}/cgroup.procs && cat /etc/shadow >/dev/null && cat /etc/hostname >/dev/null`;
  assert.equal(spawnSync('sh', ['-c', script]).status, 0);
}

/** The lines in an app's own log. */
function ownLog(app: string): DetectionLine[] {
  const file = join(folder, `${app}.log`);
  if (!existsSync(file)) return [];
  const whole = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return whole.map((line) => JSON.parse(line) as DetectionLine);
}

/** What a process of the container does there: makes that many cgroups, and removes them. */
const CHURN = `
  const { mkdirSync, rmdirSync } = require('node:fs');
  const [dir, count, what] = process.argv.slice(1);
  for (let at = 0; at < Number(count); at++) (what === 'make' ? mkdirSync : rmdirSync)(dir + '/n' + at);
`;

async function churn(what: 'make' | 'remove', cgroup: string): Promise<void> {
  const inside = `echo $$ > ${cgroup}/cgroup.procs && exec "$0" -e "$1" ${cgroup} ${NESTED} ${what}`;
  const child = spawn('sh', ['-c', inside, process.execPath, CHURN], { stdio: 'ignore' });
  const [code] = (await once(child, 'exit')) as [number | null];
  assert.equal(code, 0);
}

test(`a container makes and removes ${NESTED} cgroups: what runs in them is seen, its neighbours are watched as before`, async (t) => {
  mkdirSync(PARENT);
  const made: string[] = [];
  const app = (name: string): string => {
    const cgroup = join(PARENT, name);
    mkdirSync(cgroup);
    made.push(cgroup);
    return cgroup;
  };
  const loud = app('loud');
  const quiet = app('quiet');
  try {
    await using agent = await E2eAgent.start({
      cgroupApps: `[{pattern: "${PARENT.slice(mountPoint.length)}/*", app: "{handle}", log_file: "${folder}/{handle}.log"}]`,
      config: ['limits: {enabled: false}'],
    });
    let reads = 0;
    let slowestMs = 0;
    /** The quiet one does what is to be seen, and waits until it is in its log. */
    const neighbour = async (): Promise<void> => {
      readSecret(quiet);
      reads++;
      const from = performance.now();
      await until('the neighbour’s detection is in its log', () => ownLog('quiet').length >= reads);
      slowestMs = Math.max(slowestMs, performance.now() - from);
    };
    await neighbour();
    for (const what of ['make', 'remove'] as const) {
      const state = { isDone: false };
      const done = churn(what, loud).finally(() => {
        state.isDone = true;
      });
      do {
        await neighbour();
        await delay(50);
      } while (!state.isDone);
      await done;
      if (what === 'remove') break;
      readSecret(join(loud, `n${NESTED - 1}`));
      await until(
        'the last cgroup’s detection is the container’s',
        () => ownLog('loud').length === 1,
      );
      readSecret(app('late'));
      await until('a new container is watched', () => ownLog('late').length === 1);
    }
    t.diagnostic(
      `${reads} detections of the neighbour, the slowest after ${slowestMs.toFixed(0)} ms`,
    );
    const snapshot = await settled(agent);
    assert.deepEqual([snapshot.kernel.dropped, snapshot.kernel.scopeFull], [0, 0]);
    assert.equal(snapshot.apps.counters.cgroups, 3);
    for (const name of ['loud', 'quiet', 'late']) {
      const lines = ownLog(name);
      assert.ok(
        lines.every((line) => line.rule === RULE && line.app?.['name'] === name),
        name,
      );
    }
    assert.equal(ownLog('quiet').length, reads);
  } finally {
    for (let at = 0; at < NESTED; at++) {
      const left = join(loud, `n${at}`);
      if (existsSync(left)) rmdirSync(left);
    }
    for (const cgroup of made) rmdirSync(cgroup);
    rmdirSync(PARENT);
  }
});
