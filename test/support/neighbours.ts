// Hostile containers beside a quiet one, with the limits of the shipped unit: what became of the quiet one's lines, and
// of the agent. For test/e2e/hostile-neighbour.test.ts and test/bench/neighbours.ts.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { startDockerd, type TestDockerd } from './dockerd.ts';
import { buildApp, E2eAgent, until, type DetectionLine } from './e2e-agent.ts';
import { agentLines, execInContainer, logLines, runContainer } from './e2e-docker.ts';
import type { Attack, HostileApp } from './hostile-attacks.ts';
import { latenciesOf, QUIET_RULES, QuietApp, stepOf, type Latencies } from './quiet-app.ts';
import { UnitCgroup } from './unit-cgroup.ts';

/** The defaults leave a rule 60 lines a minute. These leave the quiet app its own, and a hostile one no more. */
const LIMITS = 'limits: {burst: 200, per_minute: 1500, app_burst: 200, app_per_minute: 1500}';
/** For the lines of an attack to be written, and its limits to begin anew. */
const AFTER_MS = 5000;
/** Only a hang takes as long. */
const MOST_MS = 300_000;
const THROUGH = 'Attack is through';
const RULES = `
- rule: ${THROUGH}
  desc: A test's own.
  condition: evt.type in (open, openat) and fd.name = /through
  output: through in %container.id
  priority: CRITICAL
`;
const LOSSES = ['Varvel: events lost', 'Varvel: lines lost', 'Varvel: detections suppressed'];

/** Records of an app's containers, and what its log says of them. */
export interface Losses {
  /** As the kernel counted. */
  readonly lost: number;
  /** In its notices that events were not seen. */
  readonly told: number;
}

export interface Outcome {
  readonly usual: Latencies;
  readonly meanwhile: Latencies;
  /** Steps of the quiet app, and those of them that are in its log, in order. */
  readonly steps: number;
  readonly stepsInLog: readonly number[];
  /** Lines in its log that the agent wrote of itself, but for those that say that nothing was lost. */
  readonly otherInLog: readonly string[];
  readonly quiet: Losses;
  /** By attack. */
  readonly hostile: readonly Losses[];
  /** Apps that the operator's file tells losses of. */
  readonly blamed: readonly string[];
  /** What each attack did, in its own words. */
  readonly did: readonly string[];
  readonly startMib: number;
  readonly peakMib: number;
  readonly endMib: number;
  readonly oomKills: number;
  /** How often rules were switched off to keep within the ceilings, and own rules were paused. */
  readonly shed: number;
  readonly paused: number;
}

/** While the agent runs and the hostile containers are there. */
export interface Beside {
  readonly agent: E2eAgent;
  /** Containers' cgroups that the agent knew before the hostile containers, those of other engines too. */
  readonly cgroupsBefore: number;
  readonly hostile: readonly Docker.Container[];
  /** In order of the attacks. */
  readonly policyLines: () => Promise<DetectionLine[]>;
  readonly removeHostile: () => Promise<void>;
}

/** An engine and a folder with the containers' program. */
export class Neighbours {
  readonly engine: TestDockerd;
  readonly #folder = mkdtempSync(join(tmpdir(), 'varvel-neighbours-'));
  readonly #appMount = buildApp(this.#folder);

  static async start(): Promise<Neighbours> {
    const engine = await startDockerd({ own: true });
    await engine.importBusybox();
    return new Neighbours(engine);
  }

  private constructor(engine: TestDockerd) {
    this.engine = engine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /**
   * Watches the quiet app for `usualMs`, runs the attacks at once, each in a container of its own, waits until the agent has
   * taken what they did, and tells what came of it. `then` may look further before all is removed. `again`: they ran before, in
   * containers of their own, so that nothing is new to the agent. Throws when the agent ends.
   */
  async run(
    attacks: readonly Attack[],
    usualMs: number,
    then: (beside: Beside, outcome: Outcome) => Promise<void> = () => Promise.resolve(),
    { again = false } = {},
  ): Promise<Outcome> {
    await using unit = new UnitCgroup();
    await using agent = await E2eAgent.start({
      dockerd: this.engine,
      unit,
      stdout: true,
      rules: { 'quiet.yaml': QUIET_RULES, 'through.yaml': RULES },
      streams: ['container: {enabled: true}'],
      config: [LIMITS, 'coverage: {interval: 5s}'],
    });
    const startMib = agent.rssMib();
    const quiet = await QuietApp.start(
      this.engine,
      mkdtempSync(join(this.#folder, 'quiet-')).concat('/steps'),
      this.#appMount,
    );
    let hostile: Docker.Container[] = [];
    const removeHostile = async (): Promise<void> => {
      const removed = hostile;
      hostile = [];
      await Promise.all(removed.map((container) => container.remove({ force: true })));
    };
    try {
      await awaited(agent, 'the quiet app is watched', () =>
        agent.arrivals.some(({ line }) => stepOf(line) !== undefined),
      );
      const cgroupsBefore = (await agent.snapshot()).apps.counters.cgroups;
      if (again) await this.#attackBefore(agent, attacks);
      const usualFrom = Date.now();
      await delay(usualMs);
      const from = Date.now();
      for (const attack of attacks) hostile.push(await this.#container(agent, attack));
      const did = await Promise.all(
        attacks.map((attack, at) => this.#attack(agent, attack, hostile[at]!)),
      );
      const to = Date.now();
      const steps = await quiet.stop();
      const inLog = async (): Promise<number[]> =>
        (await agentLines(this.engine, quiet.container)).flatMap((line) => stepOf(line) ?? []);
      // What is missing then is told, below.
      const allSteps = async (): Promise<boolean> => (await inLog()).length >= steps;
      await until('all steps are told', allSteps, 60_000).catch(() => undefined);
      const lossesOf = async (container: Docker.Container): Promise<Losses> => ({
        lost: (await agent.containerStatus(container.id))?.dropped ?? -1,
        told: toldLosses(await agentLines(this.engine, container)),
      });
      await until('all losses are told', async () => {
        const all = await Promise.all(hostile.map(lossesOf));
        return all.every(({ lost, told }) => told >= lost);
      }).catch(() => undefined);
      if (!agent.running) throw new Error('the agent ended');
      const lines = agent.detections();
      const count = (rule: string, text: RegExp): number =>
        lines.filter((line) => line.rule === rule && text.test(line.output)).length;
      const outcome: Outcome = {
        usual: latenciesOf(agent, usualFrom, from),
        meanwhile: latenciesOf(agent, from, to),
        steps,
        stepsInLog: await inLog(),
        otherInLog: (await agentLines(this.engine, quiet.container))
          .filter((line) => stepOf(line) === undefined && !saysAllWasSeen(line))
          .map(({ output }) => output),
        quiet: await lossesOf(quiet.container),
        hostile: await Promise.all(hostile.map(lossesOf)),
        blamed: [
          ...new Set(
            lines
              .filter(({ rule }) => LOSSES.includes(rule))
              .map(({ app }) => app?.['name'] ?? 'nobody'),
          ),
        ],
        did,
        startMib,
        peakMib: peakMib(agent.pid),
        endMib: agent.rssMib(),
        oomKills: unit.oomKills(),
        shed: count('Varvel: rules switched off', /./),
        paused: count('Varvel: own rules', /paused/),
      };
      await then(
        {
          agent,
          cgroupsBefore,
          hostile,
          removeHostile,
          policyLines: () =>
            Promise.all(hostile.map((container) => this.#policyLine(agent, container))),
        },
        outcome,
      );
      return outcome;
    } finally {
      await removeHostile();
      await quiet.container.remove({ force: true });
    }
  }

  async #attackBefore(agent: E2eAgent, attacks: readonly Attack[]): Promise<void> {
    for (const attack of attacks) {
      const container = await this.#container(agent, attack);
      await this.#attack(agent, attack, container);
      await container.remove({ force: true });
    }
    await delay(AFTER_MS);
  }

  async #container(agent: E2eAgent, { policy, hostConfig }: Attack): Promise<Docker.Container> {
    const container = await runContainer(this.engine, 'exec sleep 600', {
      labels: {
        'varvel.enable': 'true',
        'varvel.app': 'hostile',
        ...(policy === undefined ? {} : { 'varvel.policy': policy }),
      },
      hostConfig: {
        ...hostConfig,
        // One of the machine's cores, as a platform would give: the kernel's scheduler is not what is looked at.
        NanoCpus: 1e9,
        Binds: [this.#appMount, ...(hostConfig?.Binds ?? [])],
      },
    });
    await awaited(agent, 'the hostile container is known', async () => {
      const status = await agent.containerStatus(container.id).catch(() => undefined);
      return status?.state === 'included';
    });
    return container;
  }

  /** Attacks, and waits until the agent has taken all that it did. */
  async #attack(agent: E2eAgent, attack: Attack, container: Docker.Container): Promise<string> {
    const { apps } = await agent.snapshot();
    const status = apps.containers.find(({ fullId }) => fullId === container.id);
    const cgroup = join(apps.hierarchy.mountPoint, status?.cgroupPath ?? '');
    const told = (rule: string, one: Docker.Container): boolean =>
      agent.arrivals.some(
        ({ line }) =>
          line.rule === rule && line.output_fields['container.id'] === one.id.slice(0, 12),
      );
    const run = async (script: string): Promise<string> => {
      const own = script.replaceAll('CGROUP', cgroup);
      const code = await execInContainer(container, `{ ${own}; } > /result 2>&1`);
      const read = await execInContainer(container, 'tail -n 1 /result > /proc/1/fd/1');
      if (code !== 0 || read !== 0) throw new Error(`${attack.name}: ended with ${code}: ${own}`);
      const lines = await logLines(this.engine, container);
      return lines.filter((line) => !line.startsWith('{')).at(-1) ?? '';
    };
    const app: HostileApp = {
      container,
      run,
      readShadow: async (script) => {
        await run(script);
        await awaited(agent, 'its read is told', () => told('Sensitive file read', container));
      },
      newcomer: async () => {
        const one = await runContainer(this.engine, 'cat /etc/shadow; exec sleep 600', {
          labels: { 'varvel.enable': 'true', 'varvel.app': 'newcomer' },
        });
        try {
          await awaited(agent, 'a new one is watched', () => told('Sensitive file read', one));
          return (await agent.containerStatus(one.id))?.dropped ?? -1;
        } finally {
          await one.remove({ force: true });
        }
      },
    };
    const result = await attack.run(app);
    // It may be lost as well: it is one of many records of a container that has used up its share.
    await awaited(agent, 'what came after the attack is told', async () => {
      await execInContainer(container, ': > /through');
      return told(THROUGH, container);
    });
    return result;
  }

  async #policyLine(agent: E2eAgent, container: Docker.Container): Promise<DetectionLine> {
    return await awaited(agent, 'the hostile app is told of its policy', async () => {
      const lines = await agentLines(this.engine, container);
      return lines.find(({ rule }) => rule === 'Varvel: policy');
    });
  }
}

/** Waits, and throws at once when the agent ends. */
function awaited<Value>(
  agent: E2eAgent,
  what: string,
  probe: () => Promise<Value | undefined | false> | Value | undefined | false,
): Promise<Value> {
  return until(
    what,
    () => {
      if (!agent.running) throw new Error(`the agent ended: ${agent.log().slice(-3000)}`);
      return probe();
    },
    MOST_MS,
  );
}

const toldLosses = (lines: readonly DetectionLine[]): number =>
  lines
    .filter(({ rule }) => rule === 'Varvel: events lost')
    .reduce((sum, { output_fields: fields }) => sum + Number(fields['lost.count']), 0);

const saysAllWasSeen = ({ rule, output_fields: fields }: DetectionLine): boolean =>
  rule === 'Varvel: coverage' && fields['coverage.lost'] === 0;

const peakMib = (pid: number): number =>
  Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

const ms = (value: number): string => value.toFixed(value < 10 ? 1 : 0);

/** Steps that are not in the quiet app's log. */
export const missingSteps = ({ steps, stepsInLog }: Outcome): number =>
  steps - new Set(stepsInLog).size;

/** A row of a table: what the quiet app and the agent felt. */
export function rowOf(name: string, outcome: Outcome): string {
  const { usual, meanwhile, steps, quiet, hostile, peakMib, endMib, shed, paused } = outcome;
  return [
    name,
    `p50 ${ms(usual.p50)} → ${ms(meanwhile.p50)} ms`,
    `p99 ${ms(usual.p99)} → ${ms(meanwhile.p99)} ms, most ${ms(meanwhile.max)}`,
    `${missingSteps(outcome)} of ${steps} lines missing`,
    `records lost: quiet ${quiet.lost}, hostile ${hostile.map(({ lost }) => lost).join(' and ')}`,
    `agent alive: ${peakMib.toFixed(0)} MiB at most, ${endMib.toFixed(0)} after it; own rules paused ${paused} times, rules switched off ${shed} times`,
    outcome.did.join('; '),
  ].join(' | ');
}
