// A process that does what a test says, by kernel-steps.c.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { programOf } from './kernel-program.ts';

const WAIT_MS = 10_000;

/** One line that kernel-steps.c printed: the step, who made it, its result or -errno, and what it knows. */
export interface StepResult {
  readonly step: string;
  /** As the process itself sees them (its pid namespace). */
  readonly pid: number;
  readonly tid: number;
  readonly ret: number;
  /** Opens: fstat. */
  readonly ino?: number;
  readonly major?: number;
  readonly minor?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mode?: number;
  /** Calls that waited for a child: its wait status. */
  readonly status?: number;
  /** ids: as seen in the process's user and pid namespaces. */
  readonly euid?: number;
  readonly egid?: number;
  readonly pgid?: number;
  readonly sid?: number;
  /** connect: the socket, and both its names. */
  readonly fd?: number;
  readonly local?: { readonly ip: string; readonly port: number };
  readonly remote?: { readonly ip: string; readonly port: number };
}

/** Steps that only prepare: one that fails is a broken test, not a result. */
const PREPARING = new Set(
  'enter cd chroot mount pivot unshare mkdir unlink comm resuid resgid caps setsid setpgid tty memfd bindun'.split(
    ' ',
  ),
);

/** An argument of kernel-steps.c; `raw` makes one from bytes or from text with reserved characters. */
export type Step = string | number;

/** A step argument from any bytes (no NUL): kernel-steps.c decodes it. */
export function raw(bytes: Buffer | string): string {
  return [...Buffer.from(bytes)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}

/** Path of the compiled kernel-steps.c. A guest kernel (test/vm) is given one. */
export function stepsProgram(): string {
  return process.env['KERNEL_STEPS_PROGRAM'] ?? programOf('kernel-steps.c');
}

/** A running kernel-steps.c. Its standard input closes with this process, which ends one that pauses. */
export class TestProcess {
  readonly pid: number;
  readonly results: StepResult[] = [];
  #stderr = '';
  #pausesSeen = 0;
  #broken: string | undefined;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #closed: Promise<unknown>;

  constructor(argv: readonly string[]) {
    this.#child = spawn(stepsProgram(), argv, { stdio: 'pipe' });
    if (this.#child.pid === undefined) throw new Error('kernel-steps did not start');
    this.pid = this.#child.pid;
    createInterface(this.#child.stdout).on('line', (line) => {
      const result = JSON.parse(line) as StepResult;
      this.results.push(result);
      if (PREPARING.has(result.step) && result.ret < 0) this.#broken ??= line;
    });
    this.#child.stderr.on('data', (text: Buffer) => (this.#stderr += text.toString()));
    this.#child.stdin.on('error', () => undefined); // it may end without having read
    this.#closed = once(this.#child, 'close');
  }

  /** Waits until it (or a child of its) pauses once more. */
  async paused(): Promise<StepResult> {
    const end = Date.now() + WAIT_MS;
    for (;;) {
      const pauses = this.results.filter((result) => result.step === 'pause');
      const next = pauses[this.#pausesSeen];
      if (next !== undefined) {
        this.#pausesSeen++;
        return next;
      }
      if (this.#broken !== undefined || Date.now() > end || this.#child.exitCode !== null) {
        throw new Error(`kernel-steps did not pause: ${this.describe()}`);
      }
      await delay(2);
    }
  }

  resume(): void {
    this.#child.stdin.write('\n');
  }

  /** Resolves when it has ended and all its output is here. */
  async ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    await this.#closed;
    if (this.#broken !== undefined) throw new Error(`a preparing step failed: ${this.#broken}`);
    return { code: this.#child.exitCode, signal: this.#child.signalCode };
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Waits until it has reported such a result. */
  async reported(is: (result: StepResult) => boolean, waitMs = WAIT_MS): Promise<void> {
    const end = Date.now() + waitMs;
    while (!this.results.some(is)) {
      if (Date.now() > end) throw new Error(`not reported: ${this.describe()}`);
      await delay(2);
    }
  }

  /** The nth result of the step. Throws with all output when there is none. */
  result(step: string, nth = 0): StepResult {
    const found = this.results.filter((result) => result.step === step)[nth];
    if (found === undefined) throw new Error(`no result of ${step}: ${this.describe()}`);
    return found;
  }

  describe(): string {
    const { exitCode, signalCode } = this.#child;
    return `${JSON.stringify(this.results)} ${this.#stderr} exit ${String(exitCode ?? signalCode)}`;
  }
}
