import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { detectHierarchy } from '../../src/apps/cgroup-hierarchy.ts';
import { GardenServer } from './garden-server.ts';

/** In which the processes of a cgroup have left it; only a hang takes as long. */
const EMPTY_MS = 30_000;

/** A process that was put into a container. */
export interface CellProcess {
  readonly pid: number;
  /** What it printed, when it has ended well; rejects when it has not. */
  readonly ended: Promise<string>;
}

/**
 * What a Cloud Foundry cell is to the agent: cgroups as Garden makes them, in a real hierarchy of this host, real
 * processes in them, and Garden's API beside. Garden's root is in a cgroup of the test's own, as on a cell it is in a
 * service's. Dispose it: processes are killed, cgroups removed.
 */
export class GardenCell {
  /** Garden's root in the hierarchy. */
  readonly root: string;
  readonly server: GardenServer;
  readonly folder: string;
  readonly #mountPoint: string;
  readonly #made: string[] = [];
  readonly #running = new Set<() => void>();

  constructor(hierarchy: 'v1' | 'v2') {
    this.#mountPoint = detectHierarchy(hierarchy).mountPoint;
    this.folder = mkdtempSync(join(tmpdir(), 'varvel-cell-'));
    this.server = new GardenServer(join(this.folder, 'garden.sock'));
    this.root = `/varvel-cell-${process.pid}-${hierarchy}/garden`;
    this.mkdir('/');
  }

  /** Makes a cgroup below Garden's root, and those above it. */
  mkdir(path: string): void {
    let at = '';
    for (const name of `${this.root}${path}`.split('/').filter((part) => part !== '')) {
      at += `/${name}`;
      try {
        mkdirSync(join(this.#mountPoint, at));
        this.#made.push(at);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
  }

  /** Removes a cgroup below Garden's root, and those in it. Nobody may be in there. */
  async rmdir(path: string): Promise<void> {
    const whole = `${this.root}${path}`;
    const below = this.#made.filter((made) => made === whole || made.startsWith(`${whole}/`));
    for (const made of below.reverse()) await this.#remove(made);
  }

  /** Runs a command in a cgroup below Garden's root: it enters from outside and then becomes the command, as in runc. */
  run(path: string, command: readonly string[]): CellProcess {
    const script = 'echo $$ > "$0" && exec "$@"';
    const child = spawn('sh', ['-c', script, this.#procs(path), ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const kill = (): void => void child.kill('SIGKILL');
    this.#running.add(kill);
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    const ended = once(child, 'close').then(([code]) => {
      this.#running.delete(kill);
      if (code !== 0) throw new Error(`${command.join(' ')} ended with ${String(code)}: ${output}`);
      return output;
    });
    ended.catch(() => undefined);
    return { pid: child.pid ?? 0, ended };
  }

  /** Moves a process, as Garden does between `good` and `bad`. */
  move(pid: number, path: string): void {
    writeFileSync(this.#procs(path), String(pid));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const kill of this.#running) kill();
    await this.server.stop();
    for (const path of [...this.#made].reverse()) await this.#remove(path);
    rmSync(this.folder, { recursive: true, force: true });
  }

  #procs(path: string): string {
    return join(this.#mountPoint, this.root, path, 'cgroup.procs');
  }

  async #remove(path: string): Promise<void> {
    await removeCgroup(join(this.#mountPoint, path));
    const at = this.#made.indexOf(path);
    if (at >= 0) this.#made.splice(at, 1);
  }
}

/** Removes it if it is there. A process leaves its cgroup some time after its parent has heard of its end. */
export async function removeCgroup(folder: string): Promise<void> {
  for (const deadline = Date.now() + EMPTY_MS; ;) {
    try {
      rmdirSync(folder);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY' || Date.now() > deadline) throw error;
      await delay(5);
    }
  }
}
