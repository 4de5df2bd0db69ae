import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentSnapshot } from '../../src/agent/snapshot.ts';
import type { ContainerStatus } from '../../src/apps/status.ts';
import { askAgent } from '../../src/metrics/endpoint-client.ts';
import { UserError } from '../../src/shared/user-error.ts';
import { writeConfig, type E2eAgentOptions } from './e2e-config.ts';
import { until } from './until.ts';

export { until } from './until.ts';

const MAIN = 'dist/main.js';
/** Only a hang takes as long: an emulated machine (test/vm) needs 10 s, several times that on a busy host. */
const START_TIMEOUT_MS = 300_000;

/** A line of a JSON stream, as `streams/format-json.ts` writes it. */
export interface DetectionLine {
  readonly time: string;
  readonly rule: string;
  readonly priority: string;
  readonly source: string;
  readonly hostname: string;
  readonly output: string;
  readonly output_fields: Readonly<Record<string, string | number | boolean | null>>;
  readonly app?: Readonly<Record<string, string>>;
  readonly id: string;
  readonly seq: number;
  readonly incident?: string;
  readonly lineage?: object;
  readonly truncated?: boolean;
}

/** A line of its stdout, and how long after the system call it came. */
export interface Arrival {
  readonly line: DetectionLine;
  /** The line as it was written. */
  readonly text: string;
  readonly latencyMs: number;
}

/** How a process ended, and how long after it was told to. */
export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly ms: number;
}

/**
 * `varvel agent` as a user runs it, in a process of its own, with a configuration file and an operator's file in a
 * folder of its own. Dispose it: it is ended (SIGKILL, if a test left it running) and its folder removed.
 */
export class E2eAgent {
  readonly folder: string;
  readonly configFile: string;
  readonly operatorFile: string;
  readonly #socket: string;
  readonly #options: E2eAgentOptions;
  #process: ChildProcess | undefined;
  #stderr = '';
  readonly arrivals: Arrival[] = [];

  private constructor(options: E2eAgentOptions) {
    this.#options = options;
    this.folder = mkdtempSync(join(tmpdir(), 'varvel-e2e-'));
    this.configFile = join(this.folder, 'varvel.yaml');
    this.operatorFile = join(this.folder, 'detections');
    this.#socket = join(this.folder, 'metrics.sock');
    writeConfig(options, this);
  }

  /** Starts it; resolves when it watches. Throws an Error with what it said when it ends, or after 300 s: an emulated guest takes minutes. */
  static async start(options: E2eAgentOptions): Promise<E2eAgent> {
    const agent = new E2eAgent(options);
    try {
      await agent.run();
      return agent;
    } catch (error) {
      await agent[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts it (again), with the same configuration; resolves when it answers. */
  async run(): Promise<void> {
    const child = this.spawn();
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await this.#answers())) {
      if (hasEnded(child) || Date.now() > deadline) {
        throw new Error(`the agent did not start:\n${this.#stderr.slice(-4000)}`);
      }
      await delay(30);
    }
  }

  /** A command that gives the one after it a hosts file of its own, in a mount namespace. */
  #ownHosts(): string[] {
    const { hosts } = this.#options;
    if (hosts === undefined) return [];
    const file = join(this.folder, 'hosts');
    writeFileSync(file, [readFileSync('/etc/hosts', 'utf8'), ...hosts, ''].join('\n'));
    return ['unshare', '--mount', 'sh', '-c', `mount --bind ${file} /etc/hosts && exec "$@"`, 'sh'];
  }

  /**
   * Starts another one with the same configuration in this one's place; resolves when it answers, with the process that was
   * before, which ends by itself.
   */
  async replace(): Promise<ChildProcess> {
    const before = this.#process;
    if (before === undefined) throw new Error('the agent was not started');
    this.#process = undefined;
    const child = this.spawn('--replace');
    await until(
      'the new one answers',
      async () => {
        if (hasEnded(child)) throw new Error(`it did not start:\n${this.#stderr.slice(-4000)}`);
        return await this.snapshot().then(
          ({ pid }) => pid === child.pid,
          () => false,
        );
      },
      START_TIMEOUT_MS,
    );
    return before;
  }

  /** Starts it without waiting for anything. */
  spawn(...more: readonly string[]): ChildProcess {
    if (this.#process !== undefined && !hasEnded(this.#process)) throw new Error('it runs already');
    // A test process that dies takes its agent along.
    const command = ['setpriv', '--pdeathsig', 'KILL', process.execPath, MAIN, 'agent'];
    const limited = this.#options.unit?.entering ?? [];
    const argv = [
      ...limited,
      ...this.#ownHosts(),
      ...command,
      '--config',
      this.configFile,
      ...more,
    ];
    const child = spawn(argv[0]!, argv.slice(1), {
      stdio: ['ignore', this.#options.stdout === true ? 'pipe' : 'ignore', 'pipe'],
    });
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on('line', (text) => {
        const line = JSON.parse(text) as DetectionLine;
        this.arrivals.push({ line, text, latencyMs: Date.now() - Date.parse(line.time) });
      });
    }
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-1_000_000);
    });
    this.#process = child;
    return child;
  }

  get pid(): number {
    const pid = this.#process?.pid;
    if (pid === undefined) throw new Error('the agent was not started');
    return pid;
  }

  get running(): boolean {
    return this.#process !== undefined && !hasEnded(this.#process);
  }

  /** Its own log so far: structured lines. */
  log(): string {
    return this.#stderr;
  }

  /** Waits until it has logged that: a line may come later than what it counts, which is asked another way. */
  async logged(what: RegExp): Promise<void> {
    await until(
      () => `it logs ${String(what)}; it has logged ${this.#stderr}`,
      () => what.test(this.#stderr),
    );
  }

  /** Everything it counts, asked over its socket. */
  async snapshot(): Promise<AgentSnapshot> {
    return JSON.parse(await this.#ask('/status')) as AgentSnapshot;
  }

  /** On a busy machine an answer may take longer than a user would wait: it is asked again. */
  async #ask(path: string): Promise<string> {
    const end = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        return await askAgent({ kind: 'unix', path: this.#socket }, path);
      } catch (error) {
        const isSlow = error instanceof UserError && error.message.includes('does not answer');
        if (!isSlow || Date.now() >= end) throw error;
      }
    }
  }

  /** `varvel status`, in a process of its own. */
  varvel(...args: readonly string[]): { code: number | null; stdout: string; stderr: string } {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [MAIN, ...args, '--config', this.configFile],
      { encoding: 'utf8', timeout: START_TIMEOUT_MS },
    );
    return { code: status, stdout, stderr };
  }

  /** Has it read its configuration and rules again, and waits until they are in force. */
  async reload(): Promise<void> {
    const { ok } = (await this.snapshot()).rules.reloads;
    this.kill('SIGHUP');
    await until('it is reloaded', async () => (await this.snapshot()).rules.reloads.ok > ok);
  }

  async containerStatus(fullId: string): Promise<ContainerStatus | undefined> {
    const { apps } = await this.snapshot();
    return apps.containers.find((container) => container.fullId === fullId);
  }

  /** Prometheus' text. */
  metrics(): Promise<string> {
    return this.#ask('/metrics');
  }

  /** Lines of the operator's file. Fails if the last one is not ended. */
  operatorLines(): string[] {
    if (!existsSync(this.operatorFile)) return [];
    // What is written at once is not seen at once: a reader may come between its pages.
    for (let tries = 1; ; tries++) {
      const text = readFileSync(this.operatorFile, 'utf8');
      if (text === '') return [];
      if (text.endsWith('\n')) return text.slice(0, -1).split('\n');
      if (tries === 200) throw new Error('the last line of the operator file is not whole yet');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }

  /** The operator's file, parsed; every line must be JSON. If the file has text, what came on stdout. */
  detections(rule?: string): DetectionLine[] {
    const lines =
      this.#options.fileFormat === 'text'
        ? this.arrivals.map(({ line }) => line)
        : this.operatorLines().map((line) => JSON.parse(line) as DetectionLine);
    return rule === undefined ? lines : lines.filter((line) => line.rule === rule);
  }

  /** Resident memory in MiB. */
  rssMib(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
  }

  kill(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** Signals it and waits for its end, at most a minute. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ending> {
    const child = this.#process;
    if (child === undefined) throw new Error('the agent was not started');
    const started = performance.now();
    if (!hasEnded(child)) {
      const ended = once(child, 'exit', { signal: AbortSignal.timeout(60_000) });
      child.kill(signal);
      await ended;
    }
    return { code: child.exitCode, signal: child.signalCode, ms: performance.now() - started };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.running) await this.end('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #answers(): Promise<boolean> {
    try {
      await this.snapshot();
      return true;
    } catch {
      return false;
    }
  }
}

/** How long nothing changes in an agent at rest, and in how many of its answers: one that stood still meanwhile gives one. */
const REST_MS = 300;
const REST_ANSWERS = 5;

/** Waits until the agent has taken and delivered everything: nothing is read, held or written for 300 ms. */
export async function settled(agent: E2eAgent, timeoutMs = 120_000): Promise<AgentSnapshot> {
  let last = '';
  let since = 0;
  let answers = 0;
  let held = 0;
  return await until(
    () => `the agent comes to rest; ${held} are held or wait, the last state is ${last}`,
    async () => {
      const now = await agent.snapshot();
      const waiting =
        now.waiting.events.held +
        now.waiting.detections.held +
        Object.values(now.delivery.streams).reduce((sum, { waiting: w }) => sum + w, 0);
      held = waiting;
      const state = JSON.stringify([now.kernel.emitted, now.received, now.delivery, waiting]);
      if (state !== last || waiting > 0) {
        last = state;
        since = performance.now();
        answers = 0;
        return undefined;
      }
      answers++;
      return performance.now() - since >= REST_MS && answers >= REST_ANSWERS ? now : undefined;
    },
    timeoutMs,
  );
}

/** Runs at most `width` of the jobs at a time; rejects with the first error. */
export async function pooled<Item>(
  items: readonly Item[],
  width: number,
  job: (item: Item) => Promise<void>,
): Promise<void> {
  const waiting = [...items];
  const lane = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await job(item);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

/** The value below which `share` (0 to 1) of the values are. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Builds test/support/e2e-app.c into the agent's folder; returns the bind mount that shows it as /app in a container. */
export function buildApp(folder: string): string {
  const app = join(folder, 'app');
  const source = join(import.meta.dirname, 'e2e-app.c');
  const { status, stderr } = spawnSync('gcc', ['-O2', '-static', '-o', app, source], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`e2e-app.c does not compile: ${stderr}`);
  return `${app}:/app:ro`;
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
