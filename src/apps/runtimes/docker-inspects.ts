import { waitAfter } from '../../shared/backoff.ts';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import PQueue from 'p-queue';
import { askDocker } from './docker-answers.ts';
import type { DockerClient } from './docker-client.ts';

const MAX_WAITING = 4096;
const ATTEMPTS = 3;
const RETRY_WAITS = { firstMs: 200, maxMs: 10_000 };

export interface DockerInspectsOptions {
  readonly docker: DockerClient;
  readonly concurrency: number;
  /** A new one for each question. */
  readonly timeout: () => AbortSignal;
  /** Ends the waiting between two attempts. */
  readonly stopped: AbortSignal;
  readonly onAnswer: (id: string, info: Docker.ContainerInspectInfo) => void;
  /** The answer was over its bound. */
  readonly onOversized: (id: string) => void;
  /** The engine knows no such container, or none any more. */
  readonly onNotFound: (id: string) => void;
}

/** Counts since the start. */
export interface DockerInspectCounters {
  readonly inspects: number;
  readonly inspectFailures: number;
  /** Inspects dropped because the queue was full; the next rescan asks again. */
  readonly inspectsRefused: number;
}

/** Queue of inspect requests, one per container: at most 4096 wait, with up to three attempts each. */
export class DockerInspects {
  readonly #options: DockerInspectsOptions;
  readonly #queue: PQueue;
  readonly #underWay = new Set<string>();
  readonly #again = new Set<string>();
  readonly #counts = { inspects: 0, inspectFailures: 0, inspectsRefused: 0 };

  constructor(options: DockerInspectsOptions) {
    this.#options = options;
    this.#queue = new PQueue({ concurrency: options.concurrency });
  }

  counters(): DockerInspectCounters {
    return { ...this.#counts };
  }

  /** Call after aborting `stopped`. Resolves when no request is in flight. */
  async stop(): Promise<void> {
    this.#queue.clear();
    await this.#queue.onIdle();
  }

  ask(id: string): void {
    if (this.#isStopped()) return;
    if (this.#underWay.has(id)) {
      // The answer in flight may be older than this request: a start after the creation.
      this.#again.add(id);
      return;
    }
    if (this.#queue.size >= MAX_WAITING) {
      this.#counts.inspectsRefused++;
      return;
    }
    this.#underWay.add(id);
    void this.#queue
      .add(() => this.#askNow(id))
      .catch(() => undefined)
      .finally(() => {
        this.#underWay.delete(id);
        if (this.#again.delete(id)) this.ask(id);
      });
  }

  async #askNow(id: string): Promise<void> {
    const { docker, timeout, stopped, onAnswer, onOversized, onNotFound } = this.#options;
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      this.#counts.inspects++;
      try {
        const info = await askDocker(docker, `/containers/${id}/json`, timeout());
        if (info === undefined) onOversized(id);
        else onAnswer(id, info as Docker.ContainerInspectInfo);
        return;
      } catch (error) {
        if (this.#isStopped()) return;
        if ((error as { statusCode?: unknown }).statusCode === 404) {
          onNotFound(id);
          return;
        }
        this.#counts.inspectFailures++;
        const waitMs = waitAfter(attempt - 1, RETRY_WAITS);
        await delay(waitMs, undefined, { signal: stopped }).catch(() => undefined);
      }
    }
  }

  #isStopped(): boolean {
    return this.#options.stopped.aborted;
  }
}
