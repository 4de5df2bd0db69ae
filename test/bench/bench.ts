import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { detectHierarchy } from '../../src/apps/cgroup-hierarchy.ts';
import { parseListenAddress } from '../../src/config/listen-address.ts';
import { askAgent } from '../../src/metrics/endpoint-client.ts';
import type { AgentSnapshot } from '../../src/agent/snapshot.ts';
import { cpuMs, timeMs } from './process.ts';
import { BenchRoot } from './root.ts';
import { SHIPPED_NODE_FLAGS } from './shipped.ts';

// The agent as users run it, against a baseline without a probe in the same run. Rounds are interleaved, so that a
// machine that grows slower or faster meanwhile moves all of them alike. The calls are made in a root on overlayfs, as in a
// container. peer.ts measures it beside another engine.

const run = promisify(execFile);
const [, , work = '', label = 'local'] = process.argv;
const ROUNDS = 5;
const HIERARCHY = detectHierarchy('auto');
const PARENT = join(HIERARCHY.mountPoint, `varvel-bench-${process.pid}`);
const IN = join(PARENT, 'in');
const IN2 = join(PARENT, 'in2');
const SYSCALLS = join(work, 'syscalls');
const LISTEN = parseListenAddress(`unix:${work}/metrics.sock`);
const LOAD_SECONDS = 4;
const RATES = [1000, 10_000, 50_000];
/** Before the agent is measured: it runs for days, and most of its first seconds is the compiling of its code. */
const WARM_UP = { rate: 2000, seconds: 10 };

const ROOT = new BenchRoot(work);

/** ns each. */
interface Measured {
  readonly getppid: number;
  readonly read: number;
  readonly openClose: number;
  readonly rename: number;
  readonly forkExec: number;
}

function spread(values: readonly number[]): { median: number; min: number; max: number } {
  const sorted = [...values].sort((a, b) => a - b);
  const round = (value: number | undefined): number => Math.round((value ?? 0) * 10) / 10;
  return {
    median: round(sorted[Math.floor(sorted.length / 2)]),
    min: round(sorted[0]),
    max: round(sorted.at(-1)),
  };
}

async function measure(cgroup?: string): Promise<Measured> {
  const env = { BENCH_ROOT: ROOT.path };
  const where = cgroup === undefined ? [] : [cgroup];
  const { stdout } = await run(SYSCALLS, ['measure', ...where], { env });
  return JSON.parse(stdout) as Measured;
}

interface RunningAgent {
  readonly pid: number;
  readonly lines: string[];
  /** Until it watched and answered. */
  readonly startMs: number;
  stop(): Promise<void>;
}

async function startAgent({ kernelVerdicts = true } = {}): Promise<RunningAgent> {
  const config = join(work, 'varvel.yaml');
  writeFileSync(
    config,
    [
      `run_dir: ${work}`,
      `state_dir: ${work}/state`,
      'mode: always',
      `probe: {kernel_verdicts: ${kernelVerdicts}}`,
      'log_level: error',
      'runtimes:',
      '  docker: {enabled: false}',
      '  cgroup:',
      `    apps: [{pattern: "/${PARENT.split('/').at(-1) ?? ''}/*"}]`,
      'streams:',
      '  stdout: {enabled: true}',
      '',
    ].join('\n'),
  );
  const startedMs = performance.now();
  const argv = [...SHIPPED_NODE_FLAGS, 'dist/main.js', 'agent', '--config', config];
  const agent = spawn(process.execPath, argv, {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(agent, 'exit');
  const lines: string[] = [];
  let rest = '';
  agent.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  for (let i = 0; ; i++) {
    if (agent.exitCode !== null || i > 3000) throw new Error('the agent did not start');
    try {
      await status();
      break;
    } catch {
      await delay(5);
    }
  }
  return {
    pid: agent.pid ?? 0,
    lines,
    startMs: performance.now() - startedMs,
    async stop() {
      agent.kill('SIGTERM');
      await ended;
    },
  };
}

async function status(): Promise<AgentSnapshot> {
  return JSON.parse(await askAgent(LISTEN as never, '/status')) as AgentSnapshot;
}

function memoryMb(pid: number): { rss: number; anonymous: number } {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const of = (key: string): number =>
    Math.round(Number(new RegExp(`${key}:\\s+(\\d+)`).exec(text)?.[1] ?? 0) / 102.4) / 10;
  return { rss: of('VmRSS'), anonymous: of('RssAnon') };
}

async function load(rate: number, seconds: number, cgroup: string): Promise<number> {
  const { stdout } = await run(SYSCALLS, ['open', String(rate), String(seconds), cgroup]);
  return Number(stdout);
}

/** Opens at a rate for some seconds from `cgroups` at once; what the agent spent and lost meanwhile. */
async function throughput(
  agent: RunningAgent,
  rate: number,
  cgroups: readonly string[],
): Promise<object> {
  const before = await status();
  const cpuBefore = cpuMs(agent.pid);
  const counts = await Promise.all(cgroups.map((cgroup) => load(rate, LOAD_SECONDS, cgroup)));
  await delay(500);
  const after = await status();
  const events = after.received - before.received;
  const dropped = after.kernel.dropped - before.kernel.dropped;
  return {
    offeredPerSecond: Math.round(counts.reduce((a, b) => a + b, 0) / LOAD_SECONDS),
    events,
    keptInKernel: after.kernel.prefiltered - before.kernel.prefiltered,
    agentCpuMsPerSecond: Math.round((cpuMs(agent.pid) - cpuBefore) / LOAD_SECONDS),
    dropped,
    droppedPercent: Math.round((1000 * dropped) / Math.max(1, events + dropped)) / 10,
    agentCpuNsPerEvent: Math.round(((cpuMs(agent.pid) - cpuBefore) * 1e6) / Math.max(1, events)),
  };
}

/** Reads of a sensitive file at a rate; ms from the system call to the line, as the agent's own histogram has no p99. */
async function latency(agent: RunningAgent, perSecond: number, count: number): Promise<object> {
  const from = agent.lines.length;
  const latencies: number[] = [];
  const seen = new Set<string>();
  // the exec makes it the app: what was only moved in is the runtime's set-up
  const loop = `while read -r _; do read -r x < /etc/shadow; done`;
  const reader = `echo 0 > ${IN}/cgroup.procs; exec /bin/bash -c '${loop}'`;
  const child = spawn('/bin/bash', ['-c', reader], { stdio: ['pipe', 'ignore', 'inherit'] });
  await delay(300);
  for (let i = 0; i < count; i++) {
    child.stdin.write('go\n');
    const end = performance.now() + 1000 / perSecond;
    // Looked at every turn of the loop: the time of arrival is what counts.
    while (performance.now() < end) {
      for (const line of agent.lines.slice(from)) {
        if (seen.has(line) || !line.includes('Sensitive file read')) continue;
        seen.add(line);
        const { time } = JSON.parse(line) as { time: string };
        latencies.push(performance.timeOrigin + performance.now() - timeMs(time));
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  child.stdin.end();
  await once(child, 'exit');
  latencies.sort((a, b) => a - b);
  const at = (part: number): number =>
    Math.round((latencies[Math.floor(latencies.length * part)] ?? NaN) * 100) / 100;
  return { perSecond, reads: count, lines: latencies.length, p50ms: at(0.5), p99ms: at(0.99) };
}

async function idleCpuPercent(agent: RunningAgent): Promise<number> {
  await delay(2000);
  const before = cpuMs(agent.pid);
  await delay(10_000);
  return Math.round(((cpuMs(agent.pid) - before) / 10_000) * 1000) / 10;
}

function removeCgroups(): void {
  for (const directory of [IN, IN2, PARENT]) {
    try {
      rmdirSync(directory);
    } catch {
      // not made, or busy for a moment longer: the next run has another name
    }
  }
}

const calls = ['getppid', 'read', 'openClose', 'rename', 'forkExec'] as const;
const none = (): Record<keyof Measured, number[]> => ({
  getppid: [],
  read: [],
  openClose: [],
  rename: [],
  forkExec: [],
});
const added: Record<string, Record<keyof Measured, number[]>> = {
  // In a root of its own that is not watched, while another is.
  outOfScope: none(),
  inScope: none(),
  // The same once there is a table of verdicts: no rule is about what is opened.
  filtered: none(),
};
const base = none();
const starts: number[] = [];

try {
  await ROOT.mount();
  for (let round = 0; round < ROUNDS; round++) {
    const without = await measure();
    const agent = await startAgent();
    starts.push(agent.startMs);
    mkdirSync(IN, { recursive: true });
    await delay(300);
    const outside = await measure();
    const inside = await measure(IN);
    while ((await status()).kernel.verdicts.containers < 1) await delay(50);
    const filtered = await measure(IN);
    await agent.stop();
    for (const call of calls) {
      base[call].push(without[call]);
      added['outOfScope']?.[call].push(outside[call] - without[call]);
      added['inScope']?.[call].push(inside[call] - without[call]);
      added['filtered']?.[call].push(filtered[call] - without[call]);
    }
    console.log(`round ${round + 1} of ${ROUNDS}:`, { without, outside, inside, filtered });
    rmdirSync(IN);
  }

  mkdirSync(IN, { recursive: true });
  mkdirSync(IN2);
  // What opens cost that no rule is about: first each is sent, then they end in the kernel.
  const sending = await startAgent({ kernelVerdicts: false });
  await delay(3000);
  await load(WARM_UP.rate, WARM_UP.seconds, IN);
  const sent: object[] = [];
  for (const rate of RATES) sent.push(await throughput(sending, rate, [IN]));
  const flatOut = await throughput(sending, 0, [IN]);
  const flatOutTwo = await throughput(sending, 0, [IN, IN2]);
  await sending.stop();
  const agent = await startAgent();
  while ((await status()).kernel.verdicts.containers < 2) await delay(50);
  await delay(3000);
  const filtered: object[] = [];
  for (const rate of RATES) filtered.push(await throughput(agent, rate, [IN]));
  const latencies = [await latency(agent, 10, 60), await latency(agent, 200, 400)];
  const memory = memoryMb(agent.pid);
  const idle = await idleCpuPercent(agent);
  await agent.stop();

  const results = {
    date: new Date().toISOString().slice(0, 10),
    machine: {
      cpu: cpus()[0]?.model,
      cores: cpus().length,
      memoryGb: Math.round(totalmem() / 2 ** 30),
      kernel: release(),
      node: process.version,
    },
    root: 'overlayfs',
    noise: Object.fromEntries(calls.map((call) => [call, spread(base[call])])),
    addedNs: Object.fromEntries(
      Object.entries(added).map(([where, values]) => [
        where,
        Object.fromEntries(calls.map((call) => [call, spread(values[call])])),
      ]),
    ),
    opens: { sent, flatOut, flatOutTwo, filtered },
    latency: latencies,
    idleCpuPercent: idle,
    startMs: spread(starts),
    memoryMb: memory,
  };
  mkdirSync('test/bench/results', { recursive: true });
  const file = `test/bench/results/${label}.json`;
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  console.log(JSON.stringify(results, null, 2));
  console.log(`written to ${file}`);
} finally {
  removeCgroups();
  await ROOT.unmount();
}
