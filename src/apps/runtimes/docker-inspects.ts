import { waitAfter } from '../../shared/backoff.ts';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import PQueue from 'p-queue';
import { askDocker } from './docker-answers.ts';
import type { DockerClient } from './docker-client.ts';

const MAX_WAITING = 4096;
const ATTEMPTS = 3;
const RETRY_WAITS = { firstMs: 200, maxMs: 10_000 };

/** What the inspects stand on, and who is told. */
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
  /** Inspects that found the queue full; the next rescan asks again. */
  readonly inspectsRefused: number;
}

/** Containers that the engine is asked for, one by one: at most 4096 wait, and each is asked for three times. */
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

  /** After the signal `stopped`: resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#queue.clear();
    await this.#queue.onIdle();
  }

  ask(id: string): void {
    if (this.#isStopped()) return;
    if (this.#underWay.has(id)) {
      // What it is asked for now may be newer than the answer under way: a start after the creation.
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
