import type { ContainerRootReader } from '../host/container-root.ts';
import { startTicksOf } from '../context/proc-reader.ts';
import type { ProcReader } from '../context/proc-reader.ts';
import type { Process } from '../context/process.ts';

/** A runtime waits some 20 ms for its engine between putting the root in place and running the app's program. */
const LOOK_MS = 5;

/** Limit on containers per pass; each takes some 50 µs. */
const LOOKS_MAX = 32;

/** Limit on waiting containers; the one that has waited longest is evicted. */
const CONTAINERS_MAX = 1024;

/** Processes of one container's set-up that are remembered; runc has three. */
const PROCESSES_MAX = 8;

export interface SetupRootsOptions {
  readonly rootReader: Pick<ContainerRootReader, 'hasOtherRoot'>;
  readonly procReader: ProcReader;
  /** Whether anybody still wants to look into the container's root. */
  readonly isWanted: (key: number) => boolean;
  /**
   * Reads through the process: its working directory, or its root, which is the container's. Returns whether that
   * worked. Called for the directory again and again, for the root until it works.
   */
  readonly look: (
    key: number,
    pid: number,
    startTicks: number,
    where: 'directory' | 'root',
  ) => boolean;
}

/**
 * Detects when the agent can read a container that is being set up. One that ends within a millisecond can be read at
 * no other time. No record tells when the runtime has put the root in place. So the agent polls the youngest runtime
 * process in the container every few milliseconds. Its root is the container's once it differs from that of its parent,
 * the runtime outside. On an overloaded host the agent may not run between that and the container's end; the working
 * directory comes long before.
 */
export class SetupRoots {
  readonly #options: SetupRootsOptions;
  /** By container, the youngest last. */
  readonly #waiting = new Map<number, Process[]>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SetupRootsOptions) {
    this.#options = options;
  }

  /** A process of the runtime is in the container (the caller's key): one that is `setup`. */
  watch(key: number, process: Process): void {
    if (!this.#options.isWanted(key)) return;
    const processes = this.#waiting.get(key);
    if (processes !== undefined) {
      processes.push(process);
      if (processes.length > PROCESSES_MAX) processes.shift();
      return;
    }
    // The first look at once: on a busy host there may be no second.
    const first = [process];
    if (this.#isOver(key, first)) return;
    this.#waiting.set(key, first);
    if (this.#waiting.size > CONTAINERS_MAX) this.#forgetFirst();
    this.#timer ??= setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** Runs one pass now, besides the timer's. */
  look(): void {
    let left = LOOKS_MAX;
    for (const [key, processes] of [...this.#waiting]) {
      if (left-- === 0) break;
      this.#waiting.delete(key);
      // Moves to the end: the others come first if there are too many.
      if (!this.#isOver(key, processes)) this.#waiting.set(key, processes);
    }
    if (this.#waiting.size === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#waiting.clear();
  }

  #isOver(key: number, processes: Process[]): boolean {
    const { rootReader, procReader, isWanted, look } = this.#options;
    if (!isWanted(key)) return true;
    for (let last = processes.at(-1); last !== undefined; last = processes.at(-1)) {
      const { pid, startBootNs, setup } = last;
      const startTicks = startTicksOf(startBootNs);
      const stat = setup ? procReader.stat(pid) : undefined;
      if (stat?.startTicks === startTicks) {
        if (rootReader.hasOtherRoot(pid, stat.ppid)) return look(key, pid, startTicks, 'root');
        look(key, pid, startTicks, 'directory');
        return false;
      }
      // It has ended, or runs the app's program.
      processes.pop();
    }
    return true;
  }

  #forgetFirst(): void {
    for (const [first] of this.#waiting) {
      this.#waiting.delete(first);
      return;
    }
  }
}
