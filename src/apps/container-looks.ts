import type { CgroupHierarchy } from './cgroup-hierarchy.ts';
import { processesOf } from './cgroup-processes.ts';
import type { ContainerRegistry } from './container-registry.ts';
import type { Container } from './identity.ts';
import type { RuntimeName } from './runtimes/runtime.ts';

/** What the file by which an app asks to be watched (the buildpack's) says of a container. */
export interface AppFiles {
  /** Undefined: nobody has looked yet. */
  answerOf(container: Container): 'enabled' | 'none' | undefined;
  /**
   * Looks through one of the processes that run in the container. `empty`: there is nothing yet, and it may still come;
   * `unreachable`: none of them could be looked through, or something is not known yet that it takes; with `isLast` only
   * the former counts.
   */
  lookInto(
    container: Container,
    pids: readonly number[],
    isLast: boolean,
  ): 'answered' | 'empty' | 'unreachable';
  /** Nobody can look any more: there is no file. */
  giveUp(container: Container): void;
  /** The container is no more; of what happened in it something may still be told. */
  ended(runtime: RuntimeName, key: string): void;
  /** The key is another container's from now on. */
  forget(runtime: RuntimeName, key: string): void;
}

const LOOK_MS = 100;
/** Containers looked at in one go, some 0.2 ms each. */
const LOOKS_MAX = 32;
/** A container that cannot be looked into for so long has no file. */
const UNREACHABLE_MS = 3000;
/** Cloud Foundry brings the app into the container when that runs already; no download takes longer. */
const EMPTY_MS = 600_000;
/** Containers that wait; of more the oldest are taken for such without a file. */
const WAITING_MAX = 16_384;

export interface ContainerLooksOptions {
  readonly files: AppFiles;
  readonly registry: ContainerRegistry;
  readonly hierarchy: CgroupHierarchy;
  readonly nowMs: () => number;
  /** The files have an answer for this one, which waited for it. */
  readonly onAnswered: (key: string, container: Container) => void;
}

interface Waiting {
  readonly key: string;
  readonly sinceMs: number;
  container: Container;
}

/**
 * Containers that run and were not looked into when they were set up, because the agent came later or the host was busy:
 * they are looked into through their processes, ten times a second until there is an answer.
 */
export class ContainerLooks {
  readonly #options: ContainerLooksOptions;
  readonly #waiting = new Map<string, Waiting>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ContainerLooksOptions) {
    this.#options = options;
  }

  /** What the files say of the container; one without an answer waits for it, as soon as it has a cgroup. */
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
      // Its cgroups are gone already, and what was detected in them waits.
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

  /** Looks now; otherwise it does by itself. */
  look(): void {
    let left = LOOKS_MAX;
    for (const [name, waiting] of [...this.#waiting]) {
      if (left-- === 0) break;
      // Behind the others, which are next if there are too many.
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

  /** What waits for its answer would wait for good. */
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
