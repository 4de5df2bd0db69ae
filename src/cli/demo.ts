import { spawn, type ChildProcess } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Agent } from '../agent/agent.ts';
import { detectHierarchy } from '../apps/cgroup-hierarchy.ts';
import { loadConfig } from '../config/load.ts';
import { createLogger } from '../metrics/logger.ts';
import { ReleaseStack } from '../shared/release-stack.ts';
import { UserError } from '../shared/user-error.ts';
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
  shell: () => execFile('/bin/sh', ['-c', 'id']),
  secret: () => execFile('/bin/cat', ['/etc/shadow']),
  metadata: () => { const s = dgram.createSocket('udp4'); s.on('error', () => {}); s.connect(80, '169.254.169.254', () => s.close()); },
};
process.stdin.setEncoding('utf8').on('data', (names) => { for (const name of names.trim().split('\\n')) attacks[name]?.(); });
`;

/** What is done to the app, and what the reader is told of it. */
const ATTACKS = [
  { name: 'shell', story: 'An intruder makes the shop run a shell: sh -c id' },
  { name: 'secret', story: 'The intruder reads the password hashes: cat /etc/shadow' },
  {
    name: 'metadata',
    story: 'The intruder contacts the cloud metadata service at 169.254.169.254',
  },
] as const;

const APP_NAME = 'shop';
const LINE_WAIT_MS = 5000;

/** `varvel demo`: an app in a cgroup of its own, attacked three ways, and its log. Exit code 0 when each attack's
 * detection arrived in the app's log, 1 otherwise. Throws UserError where this host cannot do it. */
export async function runDemo(args: { readonly version: string }, io: Io): Promise<number> {
  if (process.getuid?.() !== 0) {
    throw new UserError(
      'The demo loads a probe into the kernel: run it as root (sudo varvel demo).',
    );
  }
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
    await this.#startAgent(parent);
    this.#say(
      '2',
      `The app "${APP_NAME}" starts in a cgroup of its own. This is its log, as its team sees it:`,
    );
    const app = this.#startApp(parent);
    await this.#watch(1300);
    let found = 0;
    for (const [index, attack] of ATTACKS.entries()) {
      this.#say(String(index + 3), attack.story);
      const before = this.#detections();
      app.stdin?.write(`${attack.name}\n`);
      const end = performance.now() + LINE_WAIT_MS;
      while (this.#detections() === before && performance.now() < end) await this.#watch(50);
      if (this.#detections() > before) found++;
      else this.#io.stdout('   no detection arrived within 5 s\n');
      await this.#watch(900);
    }
    this.#summary(found);
    return found === ATTACKS.length;
  }

  async #startAgent(parent: string): Promise<void> {
    const configFile = join(this.#folder, 'varvel.yaml');
    writeFileSync(
      configFile,
      [
        `run_dir: ${this.#folder}`,
        `state_dir: ${this.#folder}/state`,
        'log_level: error',
        'mode: always',
        // Its container is a cgroup of this host: a Node that was installed since the host began is a program written later.
        'minimum_priority: notice',
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
    const { config } = loadConfig({ file: configFile, env: {} });
    const logger = createLogger({ level: config.logLevel });
    const started = performance.now();
    const agent = await Agent.start({
      config,
      logger,
      output: new PassThrough(),
      version: this.#version,
      onDelivered: (_delivery, _stream, latencyMs) => this.#latenciesMs.push(latencyMs),
    });
    this.#release.defer(() => agent.stop());
    const { rules } = agent.snapshot();
    const ms = Math.round(performance.now() - started);
    this.#io.stdout(`   ${rules.enabled} rules, ready after ${ms} ms\n`);
  }

  #startApp(parent: string): ChildProcess {
    const { mountPoint } = detectHierarchy('auto');
    const directories = [join(mountPoint, parent), join(mountPoint, parent, APP_NAME)];
    for (const directory of directories) {
      mkdirSync(directory);
      this.#release.defer(() => removeCgroup(directory));
    }
    const log = openSync(this.#logFile, 'a');
    const enter = `echo 0 > "$1/cgroup.procs" && exec "$2" server.js`;
    writeFileSync(join(this.#folder, 'server.js'), APP);
    const app = spawn('/bin/sh', ['-c', enter, 'sh', directories[1] ?? '', process.execPath], {
      cwd: this.#folder,
      stdio: ['pipe', log, log],
    });
    closeSync(log);
    const ended = new Promise<void>((resolve) => app.once('close', () => resolve()));
    this.#release.defer(async () => {
      app.kill('SIGKILL');
      await ended;
    });
    return app;
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

  #detections(): number {
    return this.#lines().filter(isDetection).length;
  }

  #say(step: string, text: string): void {
    this.#io.stdout(`\n${paint('1', `${step}. ${text}`, this.#io)}\n`);
  }

  #summary(found: number): void {
    const slowest = Math.max(0, ...this.#latenciesMs).toFixed(1);
    const text = `${found} of ${ATTACKS.length} attacks are in the app's own log, each at most ${slowest} ms after its system call.`;
    this.#io.stdout(`\n${paint(found === ATTACKS.length ? '1;32' : '1;31', text, this.#io)}\n`);
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
