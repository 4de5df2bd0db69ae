// A host with more containers than can be watched: the one that there is no room for is told so.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { detectHierarchy } from '../../../src/apps/cgroup-hierarchy.ts';
import { LIMITS } from '../../../src/events/table.gen.ts';
import { E2eAgent, until, type DetectionLine } from '../../support/e2e-agent.ts';

const { mountPoint } = detectHierarchy();
const PARENT = join(mountPoint, `varvel-full-${process.pid}`);
const folder = mkdtempSync(join(tmpdir(), 'varvel-full-'));
const log = join(folder, 'late.log');

after(() => rmSync(folder, { recursive: true, force: true }));

function ownLines(): DetectionLine[] {
  if (!existsSync(log)) return [];
  const whole = readFileSync(log, 'utf8').split('\n').slice(0, -1);
  return whole.map((line) => JSON.parse(line) as DetectionLine);
}

const rulesOf = (): string[] => ownLines().map(({ rule }) => rule);

test('a container that finds the map full is told that it is not watched, and when it is', async () => {
  // Names that cannot be part of a log file: these containers are known, and excluded.
  const others = Array.from({ length: LIMITS.SCOPE_MAX }, (_, at) => join(PARENT, `a b${at}`));
  const late = join(PARENT, 'late');
  const made: string[] = [];
  const make = (cgroup: string): void => {
    mkdirSync(cgroup, { recursive: true });
    made.push(cgroup);
  };
  try {
    others.forEach(make);
    await using agent = await E2eAgent.start({
      cgroupApps: `[{pattern: "${PARENT.slice(mountPoint.length)}/*", app: "{handle}", log_file: "${folder}/{handle}.log"}]`,
      config: ['coverage: {interval: 5s}', 'rescan_interval: 5s'],
    });
    make(late);
    await until('it is told', () => rulesOf().length > 0, 120_000);
    const [line] = ownLines();
    assert.equal(line?.rule, 'Varvel: no room');
    assert.equal(line.priority, 'Warning');
    assert.match(line.output, /This container is not watched: the host has more containers/);
    const { apps, kernel } = await agent.snapshot();
    const status = apps.containers.find(({ cgroupPath }) => cgroupPath.endsWith('/late'));
    assert.equal(status?.unwatched, true);
    assert.match(status.reason, /NOT WATCHED: this host has more containers/);
    assert.ok(kernel.scopeFull > 0);
    assert.match(await agent.metrics(), /^varvel_cgroups\{state="unwatched"\} [1-9]/m);

    for (const cgroup of others.slice(0, 10)) rmdirSync(cgroup);
    await until('it is watched', () => rulesOf().length > 1, 120_000);
    assert.match(ownLines()[1]?.output ?? '', /it is watched from now on/);
    const read = `echo $$ > ${late}/cgroup.procs && cat /etc/shadow > /dev/null && cat /etc/hostname > /dev/null`;
    assert.equal(spawnSync('sh', ['-c', read]).status, 0);
    await until('what it does is seen', () => rulesOf().includes('Sensitive file read'), 60_000);
  } finally {
    for (const cgroup of [...made, PARENT]) if (existsSync(cgroup)) rmdirSync(cgroup);
  }
});
