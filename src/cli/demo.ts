import { spawn, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Agent } from '../agent/agent.ts';
import { detectHierarchy } from '../apps/cgroup-hierarchy.ts';
import { DEFAULT_RULES_FILE } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import type { LoadedConfig } from '../config/load.ts';
import { createLogger } from '../metrics/logger.ts';
import { ReleaseStack } from '../shared/release-stack.ts';
import { UserError } from '../shared/user-error.ts';
import { checkBtf, checkKernel, checkNamespace, checkPrivileges } from './doctor/host.ts';
import { checkLoader } from './doctor/probe.ts';
import type { Io } from './io.ts';

/**
 * The app: a web shop that logs its requests, and does what an intruder who found a hole in it would make it do, when
 * told to on its standard input. It sends nothing over the network: a UDP connect only picks an address.
 */
const APP = `
const { execFile } = require('node:child_process');
const dgram = require('node:dgram');
const paths = ['/', '/cart', '/item/4711', '/checkout', '/search?q=ring'];
let n = 0;
setInterval(() => console.log('GET ' + paths[n++ % paths.length] + ' 200 ' + (3 + n % 9) + 'ms'), 400);
const attacks = {
  script: () => execFile('/bin/sh', ['-c', 'echo aWQ= | base64 -d | sh']),
  secret: () => execFile('/bin/cat', ['/etc/shadow']),
  metadata: () => { const s = dgram.createSocket('udp4'); s.on('error', () => {}); s.connect(80, '169.254.169.254', () => s.close()); },
};
process.stdin.setEncoding('utf8').on('data', (names) => { for (const name of names.trim().split('\\n')) attacks[name]?.(); });
`;

/** What is done to the app, and what the reader is told of it. */
const ATTACKS = [
  {
    name: 'script',
    story: 'An intruder makes the shop run a hidden script: echo aWQ= | base64 -d | sh',
  },
  { name: 'secret', story: 'The intruder reads the password hashes: cat /etc/shadow' },
  {
    name: 'metadata',
    story: 'The intruder contacts the cloud metadata service at 169.254.169.254',
  },
] as const;

/** The second time: the rules that deny, how the operator says so, and what is in the line of each attack then. */
const OWN_RULE = 'Program that the shop does not run';
const DENIED_RULES = [OWN_RULE, 'Cloud metadata service contacted'];
const responsesTo = (rules: readonly string[]): string =>
  `responses:\n${rules.map((rule) => `  - {match: {rule: ${rule}}, do: deny, mode: enforce}\n`).join('')}`;
const PREVENTED =
  /program ended before its first instruction|connection refused before it was made/;
const DENIAL_WAIT_MS = 20_000;

const APP_NAME = 'shop';
const LINE_WAIT_MS = 5000;

/**
 * `varvel demo`: an app in a cgroup and namespaces of its own, attacked three ways, and its log; then the same attacks once they are
 * denied. Exit code 0 when each attack's detection arrived in the app's log, and each was prevented the second time; 1 otherwise.
 * Throws UserError where this host cannot do it.
 */
export async function runDemo(args: { readonly version: string }, io: Io): Promise<number> {
  if (process.getuid?.() !== 0) {
    throw new UserError(
      'The demo loads a probe into the kernel: run it as root (sudo varvel demo).',
    );
  }
  await refuseWhereNothingIsWatched();
  const release = new ReleaseStack();
  const interrupted = new Promise<'interrupted'>((resolve) => {
    const stop = (): void => resolve('interrupted');
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
    release.defer(() => {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
    });
  });
  try {
    const outcome = await Promise.race([new Demo(args.version, io, release).run(), interrupted]);
    return outcome === 'interrupted' || !outcome ? 1 : 0;
  } finally {
    await release.release();
  }
}

/** Throws UserError with what `varvel doctor` says first of a host on which no agent can work. */
async function refuseWhereNothingIsWatched(): Promise<void> {
  const checks = [checkKernel, checkBtf, checkPrivileges, checkNamespace, checkLoader];
  for (const check of checks) {
    const { state, says, advice } = await check();
    if (state === 'fail') throw new UserError(`${says} ${advice ?? ''}`.trim());
  }
}

class Demo {
  readonly #version: string;
  readonly #io: Io;
  readonly #release: ReleaseStack;
  readonly #folder: string;
  readonly #logFile: string;
  readonly #latenciesMs: number[] = [];
  #shown = 0;

  constructor(version: string, io: Io, release: ReleaseStack) {
    this.#version = version;
    this.#io = io;
    this.#release = release;
    this.#folder = mkdtempSync(join(tmpdir(), 'varvel-demo-'));
    release.defer(() => rmSync(this.#folder, { recursive: true, force: true }));
    this.#logFile = join(this.#folder, `${APP_NAME}.log`);
  }

  async run(): Promise<boolean> {
    const parent = `varvel-demo-${process.pid}`;
    this.#say('1', 'The agent starts: the probe goes into the kernel, the rules are compiled.');
    const agent = await this.#startAgent(parent);
    this.#say(
      '2',
      `The app "${APP_NAME}" starts in a cgroup and namespaces of its own. This is its log, as its team sees it:`,
    );
    const { app, failed } = this.#startApp(parent);
    return await Promise.race([this.#attackTwice(agent, app), failed]);
  }

  async #attackTwice(agent: Agent, app: ChildProcess): Promise<boolean> {
    await this.#watch(1300);
    const found = await this.#attack(app, 3, /./, ATTACKS);
    if (found < ATTACKS.length) {
      this.#summary(found);
      return false;
    }
    this.#say('6', 'The operator lets the agent deny, by these lines of its configuration:');
    const attacks = (await this.#deny(agent, DENIED_RULES))
      ? ATTACKS
      : ATTACKS.filter(({ name }) => name !== 'metadata');
    const prevented = await this.#attack(app, 7, PREVENTED, attacks);
    this.#summary(found, { prevented, of: attacks.length });
    return prevented === attacks.length;
  }

  /** Attacks it in each way, from this step on. In how many of them a detection arrived with such a line. */
  async #attack(
    app: ChildProcess,
    step: number,
    wanted: RegExp,
    attacks: readonly (typeof ATTACKS)[number][],
  ): Promise<number> {
    let found = 0;
    for (const [index, attack] of attacks.entries()) {
      this.#say(String(index + step), attack.story);
      const before = this.#detections().length;
      const hasArrived = (): boolean =>
        this.#detections()
          .slice(before)
          .some((line) => wanted.test(line));
      app.stdin?.write(`${attack.name}\n`);
      const end = performance.now() + LINE_WAIT_MS;
      while (!hasArrived() && performance.now() < end) await this.#watch(50);
      if (hasArrived()) found++;
      else this.#io.stdout('   no such detection arrived within 5 s\n');
      await this.#watch(900);
    }
    return found;
  }

  /**
   * Changes the configuration, and waits until the kernel has it. False if this host refuses no connections: then what is to be
   * denied is programs alone. Throws UserError if it denies nothing.
   */
  async #deny(agent: Agent, rules: readonly string[]): Promise<boolean> {
    const { configFile, rulesFile } = this.#files();
    const program = JSON.stringify(realpathSync(process.execPath));
    writeFileSync(
      rulesFile,
      `- rule: ${OWN_RULE}
  desc: The shop is one program.
  condition: evt.type in (execve, execveat) and evt.rawres = 0 and not proc.exepath = ${program}
  output: Program that the shop does not run | exe=%proc.exepath command=%proc.cmdline
  priority: ERROR
`,
    );
    const [before = ''] = readFileSync(configFile, 'utf8').split('responses:\n');
    const responses = responsesTo(rules);
    for (const line of responses.trimEnd().split('\n')) this.#io.stdout(`   ${line}\n`);
    writeFileSync(configFile, before + responses);
    await agent.reload();
    const end = performance.now() + DENIAL_WAIT_MS;
    for (;;) {
      const { refusalsUnavailable, verdicts } = agent.snapshot().kernel;
      const refusesNone = refusalsUnavailable?.connection;
      if (refusesNone !== undefined && rules.length > 1) {
        this.#io.stdout(`   This host refuses no connections (${refusesNone}), so without them:\n`);
        await this.#deny(agent, [OWN_RULE]);
        return false;
      }
      const missing = rules.filter((rule) => !verdicts.denying.rules.includes(rule));
      if (missing.length === 0) break;
      if (performance.now() > end)
        throw new UserError(
          `This host does not deny by the rule ${missing.join(' and ')}: varvel doctor says why.`,
        );
      await this.#watch(100);
    }
    await this.#watch(1300);
    return true;
  }

  async #startAgent(parent: string): Promise<Agent> {
    const { configFile, rulesFile } = this.#files();
    writeFileSync(rulesFile, '[]\n');
    writeFileSync(
      configFile,
      [
        `run_dir: ${this.#folder}`,
        `state_dir: ${this.#folder}/state`,
        'log_level: error',
        'mode: always',
        // Its container is a cgroup of this host: a Node that was installed since the host began is a program written later.
        'minimum_priority: notice',
        `rules_files: ${JSON.stringify([DEFAULT_RULES_FILE, rulesFile])}`,
        'runtimes:',
        '  docker: {enabled: false}',
        '  cgroup:',
        '    apps:',
        `      - {pattern: "/${parent}/*", app: "{handle}", log_file: "${this.#folder}/{handle}.log"}`,
        'streams:',
        '  app_file: {format: text}',
        '',
      ].join('\n'),
    );
    const read = (): LoadedConfig => loadConfig({ file: configFile, env: {} });
    const loaded = read();
    const { config } = loaded;
    const logger = createLogger({ level: config.logLevel });
    const started = performance.now();
    const agent = await Agent.start({
      config,
      source: { from: { file: configFile, read }, loaded },
      logger,
      output: new PassThrough(),
      version: this.#version,
      onDelivered: (_delivery, _stream, latencyMs) => this.#latenciesMs.push(latencyMs),
    });
    this.#release.defer(() => agent.stop());
    const { rules } = agent.snapshot();
    const ms = Math.round(performance.now() - started);
    this.#io.stdout(`   ${rules.enabled} rules, ready after ${ms} ms\n`);
    return agent;
  }

  #files(): { readonly configFile: string; readonly rulesFile: string } {
    return {
      configFile: join(this.#folder, 'varvel.yaml'),
      rulesFile: join(this.#folder, 'rules.yaml'),
    };
  }

  /** `failed` rejects with UserError if it does not run, or ends before the demo. */
  #startApp(parent: string): { readonly app: ChildProcess; readonly failed: Promise<never> } {
    const { mountPoint } = detectHierarchy('auto');
    const directories = [join(mountPoint, parent), join(mountPoint, parent, APP_NAME)];
    for (const directory of directories) {
      mkdirSync(directory);
      this.#release.defer(() => removeCgroup(directory));
    }
    const log = openSync(this.#logFile, 'a');
    writeFileSync(
      join(this.#folder, 'start'),
      'echo 0 > "$1/cgroup.procs" && exec "$2" server.cjs\n',
    );
    writeFileSync(join(this.#folder, 'server.cjs'), APP);
    // As a container's first process: in namespaces of its own before it is in the cgroup.
    const apart = ['--pid', '--mount', '--fork', '--kill-child', '/bin/sh', 'start'];
    const app = spawn('unshare', [...apart, directories[1] ?? '', process.execPath], {
      cwd: this.#folder,
      stdio: ['pipe', log, log],
    });
    closeSync(log);
    const ended = new Promise<void>((resolve) => app.once('close', resolve).once('error', resolve));
    // Written to when it has just ended.
    app.stdin?.on('error', () => undefined);
    const failed = new Promise<never>((_, reject) => {
      app.once('error', ({ message }) =>
        reject(
          new UserError(`The app does not start: ${message}. Install the package util-linux.`),
        ),
      );
      app.once('exit', () =>
        reject(new UserError(`The app has ended: ${this.#lines().at(-1) ?? 'it said nothing'}.`)),
      );
    });
    this.#release.defer(async () => {
      app.kill('SIGKILL');
      await ended;
    });
    return { app, failed };
  }

  /** Shows what the log has got since the last look, for this long. */
  async #watch(ms: number): Promise<void> {
    const end = performance.now() + ms;
    do {
      await new Promise((resolve) => setTimeout(resolve, 25));
      this.#show();
    } while (performance.now() < end);
  }

  #lines(): string[] {
    try {
      // A line that is being written is shown when it is whole.
      return readFileSync(this.#logFile, 'utf8').split('\n').slice(0, -1);
    } catch {
      return [];
    }
  }

  #show(): void {
    const lines = this.#lines();
    for (; this.#shown < lines.length; this.#shown++) {
      const line = lines[this.#shown] ?? '';
      const painted = isDetection(line)
        ? paint('1;31', line, this.#io)
        : paint('2', line, this.#io);
      this.#io.stdout(`   ${painted}\n`);
    }
  }

  #detections(): string[] {
    return this.#lines().filter(isDetection);
  }

  #say(step: string, text: string): void {
    this.#io.stdout(`\n${paint('1', `${step}. ${text}`, this.#io)}\n`);
  }

  #summary(found: number, second?: { readonly prevented: number; readonly of: number }): void {
    const slowest = Math.max(0, ...this.#latenciesMs).toFixed(1);
    const text = [
      `${found} of ${ATTACKS.length} attacks are in the app's own log, each at most ${slowest} ms after its system call.`,
      ...(second === undefined ? [] : [`Then ${second.prevented} of ${second.of} were prevented.`]),
    ].join(' ');
    const isGood = second !== undefined && second.prevented === second.of;
    this.#io.stdout(`\n${paint(isGood ? '1;32' : '1;31', text, this.#io)}\n`);
    this.#io.stdout('Next: "varvel agent --help", and README.md for Docker.\n');
  }
}

function isDetection(line: string): boolean {
  return line.includes(`app=${APP_NAME}`);
}

function paint(code: string, text: string, io: Io): string {
  return io.isTty ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/** Its processes have ended but may not have been reaped yet: the kernel says EBUSY for a moment. */
async function removeCgroup(directory: string): Promise<void> {
  for (let attempt = 0; attempt < 50; attempt++) {
    try {
      rmdirSync(directory);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
