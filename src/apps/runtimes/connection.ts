import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '../../shared/logger.ts';
import { ConnectionBackoff } from './connection-backoff.ts';

export interface ConnectionOptions {
  /** As people know the runtime: `Garden`. */
  readonly runtime: string;
  readonly socket: string;
  /** Lists all containers; rejects when the runtime does not answer. */
  readonly connect: () => Promise<void>;
  /** A sentence: why `connect` rejected, and what to do. */
  readonly explain: (error: unknown) => string;
  readonly logger: Logger;
}

/**
 * Keeps a runtime connected: connects, and reconnects with backoff until stopped. Logs each problem once; `message` has
 * it while it lasts.
 */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #stopped = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #lost: (() => void) | undefined;
  #connected = false;
  #connects = 0;
  /** For `varvel status`: a sentence. */
  message: string;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.message = `${options.runtime} was not asked yet.`;
  }

  get connected(): boolean {
    return this.#connected;
  }

  get connects(): number {
    return this.#connects;
  }

  /** Aborted by `stop`. */
  get signal(): AbortSignal {
    return this.#stopped.signal;
  }

  /** What `message` is when nothing is wrong. */
  get description(): string {
    return `Connected to ${this.#options.runtime} at ${this.#options.socket}`;
  }

  /** Resolves when the first attempt is over; never rejects. */
  start(): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#loop = this.#run(resolve);
    });
  }

  /** A request did not reach the runtime. Of several failures at once, only the first counts. */
  lost(): void {
    this.#lost?.();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#lost?.();
    await this.#loop;
  }

  async #run(firstTry: () => void): Promise<void> {
    const { runtime, socket, logger, connect } = this.#options;
    const backoff = new ConnectionBackoff();
    while (!this.#isStopped()) {
      try {
        // Set before `connect`: a request that fails during it may mean the loss of this connection.
        const lost = new Promise<void>((resolve) => (this.#lost = resolve));
        await connect();
        backoff.connected();
        this.#connects++;
        this.#connected = true;
        this.message = `${this.description}.`;
        logger.info({ socket }, `Connected to ${runtime}.`);
        firstTry();
        await lost;
        this.message = `The connection to ${runtime} at ${socket} was lost; trying again.`;
      } catch (error) {
        if (!this.#isStopped()) this.#failed(error);
      }
      this.#connected = false;
      firstTry();
      const waitMs = backoff.nextMs();
      await delay(waitMs, undefined, { signal: this.signal }).catch(() => undefined);
    }
  }

  #failed(error: unknown): void {
    const sentence = this.#options.explain(error);
    if (this.message !== sentence)
      this.#options.logger.warn({ socket: this.#options.socket }, sentence);
    this.message = sentence;
  }

  #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }
}
