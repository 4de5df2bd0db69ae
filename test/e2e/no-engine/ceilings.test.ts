// A real flood and an agent that may use little: what it sheds, who is told, and that it comes back.
import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { detectHierarchy } from '../../../src/apps/cgroup-hierarchy.ts';
import { E2eAgent, until, type DetectionLine } from '../../support/e2e-agent.ts';
import { UnitCgroup } from '../../support/unit-cgroup.ts';

const { mountPoint } = detectHierarchy();
const PARENT = join(mountPoint, `varvel-ceilings-${process.pid}`);
const APPS = 16;
/** Less than a flood takes at a load of 10, and more than the answers to this test do. */
const CPU_PERCENT = 15;

/** What the agent does for this test would keep it over its ceiling, if it were asked all the time. */
const SELDOM_MS = 1000;

let folder = '';
const cgroups = Array.from({ length: APPS }, (_, index) => join(PARENT, `app${index}`));
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-ceilings-'));
  for (const cgroup of cgroups) mkdirSync(cgroup, { recursive: true });
});
after(async () => {
  await ended(floods);
  for (const cgroup of cgroups)
    await until('the cgroup is empty', () => spawnSync('rmdir', [cgroup]).status === 0);
  spawnSync('rmdir', [PARENT]);
  rmSync(folder, { recursive: true, force: true });
});

const rules = (): string => `
- rule: File of the flood
  desc: A test's own.
  condition: evt.type in (open, openat) and fd.name startswith ${folder}/flood
  output: opened %fd.name by %proc.cmdline
  priority: NOTICE
- rule: Critical command
  desc: A test's own.
  condition: evt.type in (execve, execveat) and proc.args startswith critical-
  output: ran %proc.args
  priority: CRITICAL
`;

const startAgent = (ceilings: string): Promise<E2eAgent> =>
  E2eAgent.start({
    noDefaultRules: true,
    rules: { 'own.yaml': rules() },
    cgroupApps: `[{pattern: "${PARENT.slice(mountPoint.length)}/*", app: "{handle}", log_file: "${folder}/{handle}.log"}]`,
    config: [
      'mode: always',
      'limits: {enabled: false}',
      `ceilings: ${ceilings}`,
      'coverage: {interval: 5s}',
    ],
  });

const inCgroup = (cgroup: string, script: string): readonly [string, string[]] => [
  'sh',
  ['-c', `echo 0 > ${cgroup}/cgroup.procs; ${script}`],
];

const floods: ChildProcess[] = [];

/** Opens a file again and again, as fast as it can. */
function flood(cgroup: string): ChildProcess {
  // Whoever floods must not keep the agent from running: that is for the host to see to.
  const script = `exec nice -n 19 sh -c 'while :; do : < ${folder}/flood; done'`;
  writeFileSync(join(folder, 'flood'), '');
  const [command, args] = inCgroup(cgroup, script);
  const child = spawn(command, args, { stdio: 'ignore' });
  floods.push(child);
  return child;
}

async function ended(children: readonly ChildProcess[]): Promise<void> {
  for (const child of children) {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
}

const runCritical = (name: string): void => {
  const [command, args] = inCgroup(cgroups[0]!, `/bin/true critical-${name}; true`);
  assert.equal(spawnSync(command, args).status, 0);
};

/** It is written all the time: what stands behind its last newline may be half of a line. */
const appLines = (): DetectionLine[] =>
  readFileSync(join(folder, 'app0.log'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as DetectionLine);

const shedLines = (): string[] =>
  appLines()
    .filter(({ rule }) => rule === 'Varvel: rules switched off')
    .map(({ output }) => output);

/** In percent of one CPU, over some seconds. */
async function cpuOf(pid: number, seconds: number): Promise<number> {
  const ticks = (): number => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
    return Number(fields[11]) + Number(fields[12]);
  };
  const before_ = ticks();
  await delay(seconds * 1000);
  // USER_HZ is 100 on x86-64.
  return (ticks() - before_) / seconds;
}

async function assertShedAndRestored(
  agent: E2eAgent,
  because: 'cpu' | 'memory',
  children: readonly ChildProcess[],
): Promise<void> {
  try {
    const shed = await until(
      'rules are off',
      async () => {
        const { ceilings } = await agent.snapshot();
        return ceilings.rulesOff > 0 && ceilings;
      },
      60_000,
    );
    assert.deepEqual([shed.because, shed.shed.at(-1), shed.rulesOff], [because, 'Notice', 1]);
    await until('the app is told', () => shedLines().length > 0, 60_000);
    assert.match(
      shedLines()[0]!,
      new RegExp(
        `This container is not watched for: 1 rule of priority Notice and below, since the agent would need more ${because === 'cpu' ? 'CPU time' : 'memory'} than it may have`,
      ),
    );
    await agent.logged(/rules of low priority are off until it is below them again/);
    // Now and then it tries whether rules can be on again, for a moment: the flood goes on.
    await until('its status says it', () =>
      /^NOT WATCHED FOR: 1 rule of priority Notice/m.test(agent.varvel('status').stdout),
    );
    await until('its metrics say it', async () =>
      /^varvel_rules_shed 1$/m.test(await agent.metrics()),
    );
    await until(
      'what only they need is detached',
      async () => !(await agent.snapshot()).hooks.includes('sys_openat'),
    );

    runCritical('one');
    await until('a Critical rule goes on', () =>
      agent.detections('Critical command').some(({ output }) => output.endsWith('critical-one')),
    );
    await until('in the app’s log too', () =>
      appLines().some(({ output }) => output.endsWith('critical-one')),
    );
    await until('a coverage line says it', () =>
      appLines().some(
        ({ rule, output }) =>
          rule === 'Varvel: coverage' &&
          /; not watched for: 1 rule of priority Notice/.test(output),
      ),
    );
  } finally {
    await ended(children);
  }
  await until(
    'rules are on again',
    async () => (await agent.snapshot()).ceilings.rulesOff === 0,
    200_000,
    SELDOM_MS,
  );
  await agent.logged(/the agent is below its ceilings: rules are switched on again/);
  await until('the app is told', () =>
    shedLines().some((line) => line.includes('This container is watched with all rules again')),
  );
  const metrics = await agent.metrics();
  assert.match(metrics, /^varvel_rules_shed 0$/m);
  assert.match(metrics, /^varvel_ceiling_sheds_total [1-9]/m);
  assert.match(metrics, /^varvel_ceiling_restores_total [1-9]/m);
  assert.doesNotMatch(agent.varvel('status').stdout, /NOT WATCHED FOR/);
  // On a busy machine they may be off once more before they stay: what it opens then is not looked at.
  await until(
    'its rules run',
    () => {
      const [command, args] = inCgroup(cgroups[1]!, `exec cat ${folder}/flood-later`);
      spawnSync(command, args);
      return agent
        .detections('File of the flood')
        .some(({ output }) => output.includes('flood-later'));
    },
    200_000,
    SELDOM_MS,
  );
}

test('over its CPU ceiling', async (t) => {
  await using agent = await startAgent(`{cpu_percent: ${CPU_PERCENT}, restore_after: 20s}`);
  runCritical('before');
  await until('it watches', () => agent.detections('Critical command').length === 1);
  const idle = await cpuOf(agent.pid, 2);
  const child = flood(cgroups[0]!);
  const flooded = await cpuOf(agent.pid, 2);
  await until('rules are off', async () => (await agent.snapshot()).ceilings.rulesOff > 0, 60_000);
  const shed = await cpuOf(agent.pid, 3);
  t.diagnostic(
    `percent of a CPU: ${idle.toFixed(0)} idle, ${flooded.toFixed(0)} in the flood, ${shed.toFixed(0)} when rules are off; the ceiling is ${CPU_PERCENT}`,
  );
  await assertShedAndRestored(agent, 'cpu', [child]);
});

test('over its memory ceiling', async (t) => {
  let idle = 0;
  {
    await using probe = await startAgent('{}');
    await delay(2000);
    idle = probe.rssMib();
  }
  rmSync(join(folder, 'app0.log'), { force: true });
  // What it keeps after a flood, some 40 MiB more than at its start with Node 20, has to be less than 80 % of it.
  const ceiling = Math.ceil(idle + 95);
  await using agent = await startAgent(`{memory: ${ceiling}MiB, restore_after: 5s}`);
  runCritical('before');
  await until('it watches', () => agent.detections('Critical command').length === 1);
  const children = cgroups.map((cgroup) => flood(cgroup));
  let highest = 0;
  const timer = setInterval(() => (highest = Math.max(highest, agent.rssMib())), 200);
  try {
    await assertShedAndRestored(agent, 'memory', children);
  } finally {
    clearInterval(timer);
  }
  const { delivery, ceilings } = await agent.snapshot();
  t.diagnostic(
    `MiB: ${idle.toFixed(0)} idle, ${highest.toFixed(0)} at most, ${(ceilings.memoryBytes / 1024 ** 2).toFixed(0)} afterwards; the ceiling is ${ceiling}; lines given up: ${delivery.streams['file']!.dropped}`,
  );
});

test('a memory limit under which a storm could end the agent is told when it starts', async () => {
  await using unit = new UnitCgroup(200 * 1024 ** 2);
  await using agent = await E2eAgent.start({ unit });
  // 256 MiB, and three times the rings.
  await agent.logged(/memory limit of 200 MiB.*Set at least 274 MiB/);
});
