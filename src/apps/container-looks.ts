import type { CgroupHierarchy } from './cgroup-hierarchy.ts';
import { processesOf } from './cgroup-processes.ts';
import type { ContainerRegistry } from './container-registry.ts';
import type { Container } from './identity.ts';
import type { RuntimeName } from './runtimes/runtime.ts';

/** The policy files by which apps opt in, such as the buildpack's. */
export interface AppFiles {
  /** Undefined: nobody has looked yet. */
  answerOf(container: Container): 'enabled' | 'none' | undefined;
  /**
   * Looks for the file through one of the container's processes. `empty`: there is no file yet, and one may still come.
   * `unreachable`: no process could be used, or a needed fact is not known yet; with `isLast` only the former counts.
   */
  lookInto(
    container: Container,
    pids: readonly number[],
    isLast: boolean,
  ): 'answered' | 'empty' | 'unreachable';
  /** Ends the search: unless a look has found a file, there is none. */
  giveUp(container: Container): void;
  /** The container has ended; some of its events may still be on the way. */
  ended(runtime: RuntimeName, key: string): void;
  /** The key now belongs to another container. */
  forget(runtime: RuntimeName, key: string): void;
}

const LOOK_MS = 100;
/** Limit on containers per pass; each takes some 0.2 ms. */
const LOOKS_MAX = 32;
/** A container that cannot be looked into for so long has no file. */
const UNREACHABLE_MS = 3000;
/** Cloud Foundry downloads the app into the running container; no download takes longer. */
const EMPTY_MS = 600_000;
/** Limit on waiting containers; past it, the oldest counts as one without a file. */
const WAITING_MAX = 16_384;

export interface ContainerLooksOptions {
  readonly files: AppFiles;
  readonly registry: ContainerRegistry;
  readonly hierarchy: CgroupHierarchy;
  readonly nowMs: () => number;
  /** Called when the files have an answer for a container that waited. */
  readonly onAnswered: (key: string, container: Container) => void;
}

interface Waiting {
  readonly key: string;
  readonly sinceMs: number;
  container: Container;
}

/**
 * Looks for the policy files of running containers whose set-up the agent missed: it started later, or the host was
 * busy. Looks through their processes, ten times a second until there is an answer.
 */
export class ContainerLooks {
  readonly #options: ContainerLooksOptions;
  readonly #waiting = new Map<string, Waiting>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ContainerLooksOptions) {
    this.#options = options;
  }

  /** The files' answer for the container. Without one, it is queued as soon as it has a cgroup. */
  answerOf(key: string, container: Container): 'enabled' | 'none' | undefined {
    const { files, registry, nowMs } = this.#options;
    const answer = files.answerOf(container);
    const name = nameOf(container.runtime, key);
    if (answer !== undefined) {
      this.#waiting.delete(name);
      return answer;
    }
    const waiting = this.#waiting.get(name);
    if (waiting !== undefined) waiting.container = container;
    else if (registry.hasCgroup(container.runtime, key)) {
      this.#waiting.set(name, { key, container, sinceMs: nowMs() });
      this.#timer ??= setInterval(() => this.look(), LOOK_MS).unref();
      if (this.#waiting.size > WAITING_MAX) this.#giveUpFirst();
    } else if (registry.pendingOf(container.runtime, key).length > 0) {
      // Its cgroups are gone already, and its held events wait for the answer.
      files.giveUp(container);
      return files.answerOf(container);
    }
    return undefined;
  }

  /** The files have an answer for the container with this key. */
  answered(runtime: RuntimeName, key: string): void {
    const waiting = this.#waiting.get(nameOf(runtime, key));
    if (waiting === undefined) return;
    this.#waiting.delete(nameOf(runtime, key));
    this.#options.onAnswered(key, waiting.container);
  }

  forget(runtime: RuntimeName, key: string): void {
    this.#giveUp(runtime, key);
    this.#options.files.forget(runtime, key);
  }

  ended(runtime: RuntimeName, key: string): void {
    this.#giveUp(runtime, key);
    this.#options.files.ended(runtime, key);
  }

  isWaiting(runtime: RuntimeName, key: string): boolean {
    return this.#waiting.has(nameOf(runtime, key));
  }

  /** Runs one pass now, besides the timer's. */
  look(): void {
    let left = LOOKS_MAX;
    for (const [name, waiting] of [...this.#waiting]) {
      if (left-- === 0) break;
      // Moves to the end, so that the others come first if there are too many.
      this.#waiting.delete(name);
      this.#waiting.set(name, waiting);
      if (this.#isOver(waiting)) this.answered(waiting.container.runtime, waiting.key);
    }
    if (this.#waiting.size === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #isOver({ key, container, sinceMs }: Waiting): boolean {
    const { files, nowMs } = this.#options;
    const ageMs = nowMs() - sinceMs;
    const isLast = ageMs >= UNREACHABLE_MS;
    const pids = processesOf(this.#options, container.runtime, key);
    const found = pids && files.lookInto(container, pids, isLast);
    if (found === 'answered') return true;
    if (found === 'empty' ? ageMs < EMPTY_MS : found === 'unreachable' && !isLast) return false;
    files.giveUp(container);
    return true;
  }

  #giveUpFirst(): void {
    for (const [, { key, container }] of this.#waiting) {
      this.#giveUp(container.runtime, key);
      return;
    }
  }

  /** Whatever waits for the answer would wait forever. */
  #giveUp(runtime: RuntimeName, key: string): void {
    const waiting = this.#waiting.get(nameOf(runtime, key));
    if (waiting === undefined) return;
    this.#options.files.giveUp(waiting.container);
    this.answered(runtime, key);
  }
}

function nameOf(runtime: RuntimeName, key: string): string {
  return `${runtime} ${key}`;
}
