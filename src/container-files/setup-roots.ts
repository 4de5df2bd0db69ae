import type { ContainerRootReader } from '../host/container-root.ts';
import { startTicksOf } from '../context/proc-reader.ts';
import type { ProcReader } from '../context/proc-reader.ts';
import type { Process } from '../context/process.ts';

/** Between the root's being in place and the app's program a runtime waits for its engine's word: some 20 ms. */
const LOOK_MS = 5;

/** Containers looked at in one go, some 50 µs each. */
const LOOKS_MAX = 32;

/** Containers that wait; when there are more, the one that has waited longest does no more. */
const CONTAINERS_MAX = 1024;

/** Processes of one container's set-up that are remembered; runc has three. */
const PROCESSES_MAX = 8;

export interface SetupRootsOptions {
  readonly rootReader: Pick<ContainerRootReader, 'hasOtherRoot'>;
  readonly procReader: ProcReader;
  /** Whether anybody still wants to look into the container's root. */
  readonly isWanted: (key: number) => boolean;
  /**
   * The process can be looked through: at its working directory, or at its root, which is the container's. Returns whether
   * that could be done. Called for the directory again and again, for the root until it could.
   */
  readonly look: (
    key: number,
    pid: number,
    startTicks: number,
    where: 'directory' | 'root',
  ) => boolean;
}

/**
 * Tells when one can look into a container that is being set up: one that ends within a millisecond can be looked into at
 * no other time. No record tells when a runtime has put the root in place, so the youngest of its processes in the
 * container is looked at every few milliseconds meanwhile, and never otherwise: its root is the container's when it is
 * another than that of its parent, which is the runtime outside. On a host with more work than processors this process
 * may not run between that and the container's end; the working directory comes long before.
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

  /** Looks now; otherwise it does by itself. */
  look(): void {
    let left = LOOKS_MAX;
    for (const [key, processes] of [...this.#waiting]) {
      if (left-- === 0) break;
      this.#waiting.delete(key);
      // Behind the others, which are next if there are too many.
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
