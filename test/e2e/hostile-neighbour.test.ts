// A hostile container beside a quiet one: whatever the one does, the other's Critical lines arrive as usual, none of its
// records is lost, and nobody is blamed for another. The agent has the shipped unit's memory limit and default settings, but
// for limits on lines that leave the quiet app its own.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { E2eAgent, settled, until } from '../support/e2e-agent.ts';
import { execInContainer, logLines, runContainer, type RunOptions } from '../support/e2e-docker.ts';
import { MemoryCgroup } from '../support/memory-cgroup.ts';
import { QUIET_RULES, QuietApp, type QuietWindow } from '../support/quiet-app.ts';

/** As in manifests/systemd/varvel.service. */
const MEMORY_MAX = 512 * 1024 ** 2;
/** Above what the quiet app needs, and far below what an attack makes. */
const LIMITS = 'limits: {burst: 1000, per_minute: 3000, app_burst: 1000, app_per_minute: 3000}';
/** How long the quiet app is watched before each attack: what is usual on this machine, as busy as it is. */
const USUAL_MS = 3000;
/** An app's lines may come this much later than usual. */
const MAX_DELAY_MS = 50;

let engine: TestDockerd;
let folder = '';
before(async () => {
  engine = await startDockerd();
  folder = mkdtempSync(join(tmpdir(), 'varvel-neighbour-'));
  const hostile = join(folder, 'hostile');
  const source = join(import.meta.dirname, '../support/hostile-app.c');
  const built = spawnSync('gcc', ['-D_GNU_SOURCE', '-O2', '-static', '-o', hostile, source], {
    encoding: 'utf8',
  });
  assert.equal(built.status, 0, built.stderr);
});
after(async () => {
  await engine[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** What a hostile container does. */
interface Attack {
  readonly name: string;
  /** Its command; after it the container waits until it is removed. */
  readonly script: string;
  readonly options?: RunOptions;
  /** A varvel.yml of its own. */
  readonly policy?: string;
  /** Of its own rules the container's first line must say. */
  readonly told?: RegExp;
  /** It makes more events than can be taken: that its own are lost is no defect. */
  readonly floods?: boolean;
}

const ruleOf = (name: string, condition: string, output: string): string =>
  `  - ${JSON.stringify({ rule: name, desc: 'd', output, priority: 'NOTICE', condition })}\n`;
/** So many rules; NUMBER in the condition is the rule's own, since like comparisons are made once. */
const rulesOf = (count: number, condition: string, output = 'x'): string =>
  `custom_rules:\n${Array.from({ length: count }, (_, n) => ruleOf(`Own ${n}`, condition.replaceAll('NUMBER', String(n)), output)).join('')}`;

const letters = 'abcdefgh'.split('');
const ATTACKS: readonly Attack[] = [
  {
    name: 'a regular expression that is slow, and six commands with a long argument',
    policy: rulesOf(
      60,
      'evt.type = execve and proc.cmdline regex "[a-z]+ -c true ((a?a?a?a?a?){20}){10}bNUMBER"',
    ),
    script:
      'a=$(head -c 16000 /dev/zero | tr "\\0" a); for i in 1 2 3 4 5 6; do sh -c true $a; done',
    told: /regex/,
  },
  {
    name: 'twenty regular expressions with many states, and one command',
    policy: rulesOf(
      20,
      `evt.type = execve and proc.cmdline regex "(${letters.map((x) => `.*${x}.{0,990}[cd]NUMBER`).join('|')})"`,
    ),
    script: 'sh -c true $(head -c 16000 /dev/zero | tr "\\0" a)',
    told: /regex/,
  },
  {
    name: 'an output with the arguments of all ancestors, 5,880 times',
    policy: rulesOf(
      1,
      'evt.type in (open, openat) and fd.name = /hostile-target',
      '%proc.aargs'.repeat(5000),
    ),
    script: ': > /hostile-target; /hostile args 10 16000',
    told: /output/,
  },
  {
    name: 'an output that is padded to 490 MB',
    policy: rulesOf(
      1,
      'evt.type in (open, openat) and fd.name = /hostile-target',
      '%99999evt.num'.repeat(4900),
    ),
    script: ': > /hostile-target',
    told: /output/,
  },
  {
    name: '7,000 processes with 2,700 environment variables each',
    script: 'sleep 30 | /hostile crowd 7000 2700',
    floods: true,
  },
  {
    name: 'a storm of commands with 16 KB arguments',
    script: '/hostile execs 20 16000',
    floods: true,
  },
  {
    name: '17,500 nested cgroups, made and removed',
    script: '/hostile cgroups 17500 CGROUP',
    options: { hostConfig: { Privileged: true, Binds: ['/sys/fs/cgroup:/cg:rw'] } },
    floods: true,
  },
  {
    name: '50,000 nested cgroups, each made and removed',
    script: '/hostile churn 50000 CGROUP',
    options: { hostConfig: { Privileged: true, Binds: ['/sys/fs/cgroup:/cg:rw'] } },
    floods: true,
  },
  {
    name: 'a flood of opens that a rule is about',
    script: '/hostile opens 10 /etc/shadow',
    floods: true,
  },
];

interface Outcome {
  readonly usual: QuietWindow;
  readonly meanwhile: QuietWindow;
  readonly lostOfQuiet: number;
  readonly lostOfHostile: number;
  readonly peakMib: number;
  readonly endMib: number;
}

const ms = (value: number): string => value.toFixed(value < 10 ? 1 : 0);

/** A row of the table that the closing notes have. */
function row(name: string, { usual, meanwhile, ...rest }: Outcome): string {
  return [
    name,
    `p50 ${ms(usual.p50)} → ${ms(meanwhile.p50)} ms`,
    `p99 ${ms(usual.p99)} → ${ms(meanwhile.p99)} ms, most ${ms(meanwhile.max)}`,
    `missing ${meanwhile.missing.length} of ${meanwhile.steps}`,
    `records lost: quiet ${rest.lostOfQuiet}, hostile ${rest.lostOfHostile}`,
    `agent: peak ${rest.peakMib.toFixed(0)} MiB, ${rest.endMib.toFixed(0)} MiB after it`,
  ].join(' | ');
}

const peakMib = (pid: number): number =>
  Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

async function attack(
  agent: E2eAgent,
  { name, script, options = {}, policy }: Attack,
): Promise<Docker.Container> {
  const { mountPoint } = (await agent.snapshot()).apps.hierarchy;
  const path = join(mountPoint.replace('/sys/fs/cgroup', '/cg'), 'docker/$(cat /id)');
  const container = await runContainer(
    engine,
    `while [ ! -s /id ]; do usleep 10000; done; ${script.replaceAll('CGROUP', path)} > /result 2>&1; echo "through: $(tail -n 1 /result)"; exec sleep 600`,
    {
      ...options,
      labels: {
        'varvel.enable': 'true',
        'varvel.app': 'hostile',
        ...(policy === undefined ? {} : { 'varvel.policy': policy }),
      },
      hostConfig: {
        ...options.hostConfig,
        // One of the machine's cores, as a platform would give: the kernel's scheduler is not what is tested.
        NanoCpus: 1e9,
        Binds: [`${join(folder, 'hostile')}:/hostile:ro`, ...(options.hostConfig?.Binds ?? [])],
      },
    },
  );
  await until(`${name}: known`, async () => {
    const status = await agent.containerStatus(container.id).catch(() => undefined);
    return status?.state === 'included' || !agent.running;
  });
  return container;
}

async function run(t: TestContext, attacked: Attack): Promise<void> {
  const steps = mkdtempSync(join(folder, 'steps-'));
  await using limit = new MemoryCgroup('neighbour', MEMORY_MAX);
  await using agent = await E2eAgent.start({
    dockerd: engine,
    stdout: true,
    rules: { 'quiet.yaml': QUIET_RULES },
    streams: ['container: {enabled: true}'],
    config: [LIMITS, 'coverage: {interval: 5s}'],
  });
  limit.add(agent.pid);
  const quiet = await QuietApp.start(engine, steps);
  let hostile: Docker.Container | undefined;
  try {
    await until(
      'the quiet app is watched',
      () => agent.detections('Step of the quiet app').length > 0,
    );
    const usual = await quiet.during(agent, () => delay(USUAL_MS));
    hostile = await attack(agent, attacked);
    const container = hostile;
    let did = '';
    const meanwhile = await quiet.during(agent, async () => {
      const exec = await container.exec({ Cmd: ['sh', '-c', `echo ${container.id} > /id`] });
      (await exec.start({})).resume();
      did = await until(
        'the attack is through',
        async () =>
          (await logLines(engine, container)).find((line) => line.startsWith('through: ')),
        300_000,
      );
      // What the agent has to do for it may come later.
      await delay(USUAL_MS);
    });
    assert.ok(agent.running, `the agent ended: ${agent.log().slice(-3000)}`);
    const quietStatus = await agent.containerStatus(quiet.container.id);
    const hostileStatus = await agent.containerStatus(container.id);
    const outcome: Outcome = {
      ...{ usual, meanwhile },
      lostOfQuiet: quietStatus?.dropped ?? -1,
      lostOfHostile: hostileStatus?.dropped ?? -1,
      peakMib: peakMib(agent.pid),
      endMib: agent.rssMib(),
    };
    t.diagnostic(`${row(attacked.name, outcome)} | ${did}`);
    assert.equal(limit.oomKills, 0);
    assert.deepEqual(meanwhile.missing, [], 'each of the quiet app’s steps has its line');
    assert.equal(outcome.lostOfQuiet, 0);
    if (attacked.floods !== true) assert.equal(outcome.lostOfHostile, 0);
    assert.ok(
      meanwhile.p50 <= usual.p50 + MAX_DELAY_MS,
      `the quiet app's lines come ${ms(meanwhile.p50)} ms after their events, usually ${ms(usual.p50)}`,
    );
    const blamed = agent
      .detections()
      .filter(({ rule, app }) => rule === 'Varvel: events lost' && app?.['name'] !== 'hostile');
    assert.deepEqual(blamed, [], 'nobody is blamed for another');
    if (attacked.told !== undefined) {
      const told = await until('the hostile app is told of its policy', () =>
        agent.detections('Varvel: policy').find(({ app }) => app?.['name'] === 'hostile'),
      );
      assert.match(told.output, attacked.told);
    }
  } finally {
    if (!agent.running) t.diagnostic(`${attacked.name} | the agent ended`);
    await hostile?.remove({ force: true });
    await quiet.container.remove({ force: true });
    writeFileSync(join(folder, 'last-log'), agent.log());
  }
}

for (const attacked of ATTACKS) test(attacked.name, (t) => run(t, attacked));

test('a container that starts while another has 17,500 nested cgroups is watched', async (t) => {
  await using agent = await E2eAgent.start({ dockerd: engine });
  const options = { hostConfig: { Privileged: true, Binds: ['/sys/fs/cgroup:/cg:rw'] } };
  const script = 'sleep 600 | /hostile hold 17500 CGROUP';
  const hostile = await attack(agent, { name: 'hold', script, options });
  let newcomer: Docker.Container | undefined;
  try {
    await execInContainer(hostile, `echo ${hostile.id} > /id`);
    await until(
      'the cgroups are there',
      async () => {
        const exec = await execInContainer(hostile, 'grep -q up /result');
        return exec === 0;
      },
      300_000,
    );
    await settled(agent, 300_000);
    newcomer = await runContainer(engine, 'cat /etc/shadow; exec sleep 600', {
      labels: { 'varvel.enable': 'true', 'varvel.app': 'newcomer' },
    });
    const { id } = newcomer;
    const own = await until('the newcomer’s detection', () =>
      agent.detections('Sensitive file read').find(({ app }) => app?.['name'] === 'newcomer'),
    );
    assert.equal(own.output_fields['container.id'], id.slice(0, 12));
    const { apps, kernel } = await agent.snapshot();
    t.diagnostic(
      `nested cgroups known ${apps.containers.find(({ fullId }) => fullId === hostile.id)?.nestedCgroups ?? -1}, refused ${apps.counters.refused}, map full ${kernel.scopeFull} times`,
    );
    assert.equal(kernel.scopeFull, 0);
  } finally {
    // Ends the pipe, so that it removes what it has made.
    await execInContainer(hostile, 'killall sleep');
    const { mountPoint } = (await agent.snapshot()).apps.hierarchy;
    const nested = join(mountPoint, 'docker', hostile.id);
    await until(
      'its cgroups are gone',
      () => readdirSync(nested).every((name) => !/^n\d+$/.test(name)),
      300_000,
    );
    await hostile.remove({ force: true });
    await newcomer?.remove({ force: true });
  }
});
