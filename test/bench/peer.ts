// BENCH_PEER=COMMAND npm run bench peer: varvel beside another engine on one machine, never both at once. The command starts the
// other engine, which must print its detections as JSON lines with a `time`, as Falco does with json_output. For example:
// BENCH_PEER='falco -U -o engine.kind=modern_ebpf -o json_output=true -r test/fixtures/falco/rules/falco_rules.yaml'
// The calls are made in a container of Docker, and in one beside it that varvel does not watch. The rounds take turns.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { importDebianImage, whyNoDebianImage } from '../e2e/attacks/debian-image.ts';
import { startDockerd, type TestDockerd } from '../support/dockerd.ts';
import { writeConfig } from '../support/e2e-config.ts';
import { execInContainer, runContainer } from '../support/e2e-docker.ts';
import { FALCO_RULE_FILES } from '../support/falco.ts';
import { machine } from './machine.ts';
import { cpuMs, timeMs } from './process.ts';
import { SHIPPED_NODE_FLAGS } from './shipped.ts';

const FILE = 'test/bench/results/peer.json';
const ROUNDS = 5;
const RATES = [1000, 10_000, 50_000];
const LOAD_SECONDS = 4;
/** A file that no rule is about, and one that each engine has a rule about. */
const [ORDINARY, SENSITIVE] = ['/etc/group', '/etc/shadow'];
const START_MS = 60_000;
/** Until an engine has settled after its first detection. */
const SETTLE_MS = 5000;
const PORTS = { watched: 8080, beside: 8081 } as const;

const CALLS = ['getppid', 'read', 'openClose', 'rename', 'forkExec'] as const;
/** ns each, and requests a second. */
type Calls = Record<(typeof CALLS)[number] | 'nginx', number>;

/** Of one start of an engine. */
interface Figures {
  readonly watched: Calls;
  readonly beside: Calls;
  /** From its start to its first line of a file that was read all the time. */
  readonly firstLineMs: number;
  readonly startCpuMs: number;
  readonly memoryMb: { readonly rss: number; readonly pss: number };
  readonly idleCpuMsPerSecond: number;
  readonly opens: readonly { readonly perSecond: number; readonly cpuMsPerSecond: number }[];
  readonly latencyMs: { readonly lines: number; readonly p50: number; readonly p99: number };
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
const round = (value: number, digits = 0): number => Number(value.toFixed(digits));

/** An engine that runs. */
class Engine {
  /** Of its lines about the sensitive file: from the time that the line says to when it came. ms. */
  readonly latencies: number[] = [];
  readonly #child;
  #rest = '';

  constructor([command = '', ...args]: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const now = performance.timeOrigin + performance.now();
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) {
        // Not those of varvel itself, such as how many of them were only counted.
        if (!/^\{.*"rule":"(?:Read sensitive|Sensitive) file/.test(line)) continue;
        const { time } = JSON.parse(line) as { time: string };
        this.latencies.push(now - timeMs(time));
      }
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async firstLine(): Promise<number> {
    const started = performance.now();
    while (this.latencies.length === 0) {
      if (this.#child.exitCode !== null) throw new Error('the engine has ended');
      if (performance.now() > started + START_MS) throw new Error('the engine detects nothing');
      await delay(5);
    }
    return performance.now() - started;
  }

  memoryMb(): Figures['memoryMb'] {
    const text = readFileSync(`/proc/${this.pid}/smaps_rollup`, 'utf8');
    const of = (key: string): number =>
      round(Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text)?.[1]) / 1024);
    return { rss: of('Rss'), pss: of('Pss') };
  }

  async cpuMsPerSecond(seconds: number, during: () => Promise<unknown>): Promise<number> {
    const before = cpuMs(this.pid);
    await during();
    return round((cpuMs(this.pid) - before) / seconds, 1);
  }

  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await ended;
    // The kernel frees the programs a little later.
    await delay(2000);
  }
}

/** The containers in which the work is done. */
class Work {
  readonly #containers: Record<keyof typeof PORTS, Docker.Container>;
  readonly #folder: string;

  private constructor(containers: Record<keyof typeof PORTS, Docker.Container>, folder: string) {
    this.#containers = containers;
    this.#folder = folder;
  }

  static async start(engine: TestDockerd, folder: string): Promise<Work> {
    const image = await importDebianImage(engine, 'debian');
    const start = (name: keyof typeof PORTS): Promise<Docker.Container> =>
      runContainer(
        engine,
        `sed -i 's/8080/${PORTS[name]}/' /etc/nginx/conf.d/site.conf; nginx; exec sleep infinity`,
        {
          image,
          labels: name === 'watched' ? { 'varvel.enable': 'true', 'varvel.app': 'work' } : {},
          hostConfig: { NetworkMode: 'host', Binds: [`${folder}:/bench`] },
        },
      );
    return new Work({ watched: await start('watched'), beside: await start('beside') }, folder);
  }

  async #run(name: keyof typeof PORTS, command: string, file = ORDINARY): Promise<string> {
    const script = `BENCH_FILE=${file} /bench/syscalls ${command} > /bench/out-${name}`;
    const code = await execInContainer(this.#containers[name], script);
    if (code !== 0) throw new Error(`${command} failed: ${code}`);
    return readFileSync(join(this.#folder, `out-${name}`), 'utf8');
  }

  async calls(name: keyof typeof PORTS): Promise<Calls> {
    const calls = JSON.parse(await this.#run(name, 'measure')) as Omit<Calls, 'nginx'>;
    const url = `http://127.0.0.1:${PORTS[name]}/`;
    const said = execFileSync('wrk', ['-t', '1', '-c', '16', '-d', '4', url], { encoding: 'utf8' });
    return { ...calls, nginx: Number(/Requests\/sec:\s+([\d.]+)/.exec(said)?.[1]) };
  }

  /** Opens a file so many times a second in the container that is watched. */
  opens(perSecond: number, seconds: number, file: string): Promise<string> {
    return this.#run('watched', `open ${perSecond} ${seconds} -`, file);
  }

  async end(): Promise<void> {
    for (const container of Object.values(this.#containers))
      await container.remove({ force: true });
  }
}

async function figuresOf(work: Work, command: readonly string[]): Promise<Figures> {
  const reading = work.opens(20, 20, SENSITIVE);
  const engine = new Engine(command);
  try {
    const firstLineMs = round(await engine.firstLine());
    const startCpuMs = cpuMs(engine.pid);
    await reading;
    await delay(SETTLE_MS);
    const memoryMb = engine.memoryMb();
    const idle = await engine.cpuMsPerSecond(10, () => delay(10_000));
    const watched = await work.calls('watched');
    const beside = await work.calls('beside');
    const opens: Figures['opens'][number][] = [];
    for (const perSecond of RATES) {
      const cpuMsPerSecond = await engine.cpuMsPerSecond(LOAD_SECONDS, () =>
        work.opens(perSecond, LOAD_SECONDS, ORDINARY),
      );
      opens.push({ perSecond, cpuMsPerSecond });
    }
    engine.latencies.length = 0;
    await work.opens(10, 10, SENSITIVE);
    await delay(1000);
    const sorted = [...engine.latencies].sort((a, b) => a - b);
    const at = (part: number): number => round(sorted[Math.floor(sorted.length * part)] ?? NaN, 2);
    return {
      watched,
      beside,
      firstLineMs,
      startCpuMs,
      memoryMb,
      idleCpuMsPerSecond: idle,
      opens,
      latencyMs: { lines: sorted.length, p50: at(0.5), p99: at(0.99) },
    };
  } finally {
    await engine.stop();
  }
}

/** What varvel is started by, with these rule files after none or its own. */
function varvel(engine: TestDockerd, folder: string, name: string, stable: boolean): string[] {
  const [rules = ''] = FALCO_RULE_FILES;
  const configFile = join(folder, `${name}.yaml`);
  writeConfig(
    {
      dockerd: engine,
      stdout: true,
      streams: ['container: {enabled: false}'],
      config: ['log_level: error'],
      ...(stable
        ? { noDefaultRules: true, rules: { 'falco.yaml': readFileSync(rules, 'utf8') } }
        : {}),
    },
    { folder, configFile, operatorFile: join(folder, `${name}.log`) },
  );
  return [process.execPath, ...SHIPPED_NODE_FLAGS, 'dist/main.js', 'agent', '-c', configFile];
}

/** The median of each figure, and of what the calls cost more than in the same round without an engine. */
function summary(bare: readonly Figures['watched'][], all: readonly Figures[]): object {
  const added = (where: 'watched' | 'beside'): object =>
    Object.fromEntries([
      ...CALLS.map((call) => [
        `${call}AddedNs`,
        round(median(all.map((figures, at) => figures[where][call] - (bare[at]?.[call] ?? NaN)))),
      ]),
      [
        'nginxChangePercent',
        round(
          median(all.map((it, at) => 100 * (it[where].nginx / (bare[at]?.nginx ?? NaN) - 1))),
          1,
        ),
      ],
    ]) as object;
  const of = (figure: (it: Figures) => number, digits = 0): number =>
    round(median(all.map(figure)), digits);
  return {
    watched: added('watched'),
    beside: added('beside'),
    firstLineMs: of((it) => it.firstLineMs),
    startCpuMs: of((it) => it.startCpuMs),
    rssMb: of((it) => it.memoryMb.rss),
    pssMb: of((it) => it.memoryMb.pss),
    idleCpuMsPerSecond: of((it) => it.idleCpuMsPerSecond, 1),
    opensCpuMsPerSecond: Object.fromEntries(
      RATES.map((rate, at) => [rate, of((it) => it.opens[at]?.cpuMsPerSecond ?? NaN, 1)]),
    ),
    latencyMs: {
      lines: of((it) => it.latencyMs.lines),
      p50: of((it) => it.latencyMs.p50, 2),
      p99: of((it) => it.latencyMs.p99, 2),
    },
  };
}

const { BENCH_PEER } = process.env;
const missing =
  BENCH_PEER === undefined
    ? 'BENCH_PEER is not set: it is the command that starts the other engine'
    : spawnSync('wrk', ['-v']).error === undefined
      ? whyNoDebianImage()
      : 'wrk is missing: run apt-get install wrk';
if (missing !== undefined || BENCH_PEER === undefined) {
  console.error(`bench: ${missing ?? ''}.`);
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), 'varvel-peer-'));
execFileSync('gcc', [
  '-O2',
  '-Wall',
  '-static',
  '-o',
  join(folder, 'syscalls'),
  'test/bench/syscalls.c',
]);
const docker = await startDockerd();
try {
  const engines: Record<string, readonly string[]> = {
    peer: ['/bin/sh', '-c', `exec ${BENCH_PEER}`],
    'varvel, the same rules': varvel(docker, folder, 'stable', true),
    'varvel, default rules': varvel(docker, folder, 'default', false),
  };
  const work = await Work.start(docker, folder);
  const bare: Calls[] = [];
  const found: Record<string, Figures[]> = {};
  try {
    for (let i = 0; i < ROUNDS; i++) {
      bare.push(await work.calls('watched'));
      for (const [name, command] of Object.entries(engines)) {
        const figures = await figuresOf(work, command);
        (found[name] ??= []).push(figures);
        console.log(`round ${i + 1} of ${ROUNDS}, ${name}:`, JSON.stringify(figures));
      }
    }
  } finally {
    await work.end();
  }
  const calls = [...CALLS, 'nginx'] as const;
  const results = {
    date: new Date().toISOString().slice(0, 10),
    machine: machine(),
    // The program alone: where it is says nothing elsewhere.
    peer: /[^/\s]+(?=\s|$)/.exec(BENCH_PEER)?.[0],
    rounds: ROUNDS,
    bare: Object.fromEntries(
      calls.map((call) => {
        const values = bare.map((it) => it[call]);
        return [
          call,
          {
            median: round(median(values)),
            min: round(Math.min(...values)),
            max: round(Math.max(...values)),
          },
        ];
      }),
    ),
    engines: Object.fromEntries(
      Object.entries(found).map(([name, all]) => [name, summary(bare, all)]),
    ),
  };
  writeFileSync(FILE, `${JSON.stringify(results, null, 2)}\n`);
  console.log(JSON.stringify(results, null, 2));
  console.log(`written to ${FILE}`);
} finally {
  await docker[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
}
