import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { detectHierarchy } from '../../src/apps/cgroup-hierarchy.ts';
import { until, type DetectionLine } from './e2e-agent.ts';
import { temporaryFolder } from './temporary-folder.ts';

const EVERY_MS = 10;

/** Makes the files n-1, n-2, … one every 10 ms, whatever the timers do. */
const PROGRAM = `
const { closeSync, openSync } = require('node:fs');
const started = Date.now();
let made = 0;
setInterval(() => {
  while (made * ${EVERY_MS} < Date.now() - started) closeSync(openSync(process.argv[2] + '/n-' + ++made, 'w'));
}, ${EVERY_MS});
`;

/** An app in a cgroup of its own that makes a file every 10 ms, each of which trips a rule. Dispose it. */
export class NumberedFiles {
  readonly folder = temporaryFolder('varvel-numbered-');
  readonly logFile = join(this.folder, 'app.log');
  readonly #parent: string;
  readonly #cgroup: string;
  readonly #process: ChildProcess;

  constructor(name: string) {
    const { mountPoint } = detectHierarchy();
    this.#parent = `varvel-${name}-${process.pid}`;
    // Containers that are cgroups are told apart by this name.
    this.#cgroup = join(mountPoint, this.#parent, name);
    mkdirSync(this.#cgroup, { recursive: true });
    mkdirSync(join(this.folder, 'files'));
    const program = join(this.folder, 'app.js');
    writeFileSync(program, PROGRAM);
    const enter = `echo 0 > ${this.#cgroup}/cgroup.procs; exec ${process.execPath} ${program} ${this.folder}/files`;
    this.#process = spawn('setpriv', ['--pdeathsig', 'KILL', 'sh', '-c', enter], {
      stdio: 'ignore',
    });
  }

  /** For `runtimes.cgroup.apps`. */
  get cgroupApp(): string {
    return `{pattern: "/${this.#parent}/*", app: ${this.#parent}, log_file: ${this.logFile}}`;
  }

  get rules(): string {
    return `
- rule: Numbered file ${this.#parent}
  desc: A test's own.
  condition: evt.type in (open, openat) and fd.name startswith ${this.folder}/files/n-
  output: made %fd.name
  priority: NOTICE
`;
  }

  /** Unix ms at which each file was made. */
  made(): Map<number, number> {
    const folder = join(this.folder, 'files');
    return new Map(
      readdirSync(folder).map((name) => [
        Number(name.slice(2)),
        statSync(join(folder, name)).mtimeMs,
      ]),
    );
  }

  /** Its own log. What stands behind the last newline may be half written. */
  lines(): DetectionLine[] {
    let text = '';
    try {
      text = readFileSync(this.logFile, 'utf8');
    } catch {
      // No line yet.
    }
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as DetectionLine);
  }

  /** The files that its log tells of. */
  told(): number[] {
    return this.lines().flatMap(({ output }) => {
      const found = /n-(\d+)$/.exec(output)?.[1];
      return found === undefined ? [] : [Number(found)];
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
    await until('the cgroup is empty', () => spawnSync('rmdir', [this.#cgroup]).status === 0);
    spawnSync('rmdir', [join(this.#cgroup, '..')]);
  }
}
