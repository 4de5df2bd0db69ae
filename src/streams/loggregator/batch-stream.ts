import { status, type Client, type ClientWritableStream, type ServiceError } from '@grpc/grpc-js';
import { INGRESS, type EnvelopeBatch } from './api.ts';

/** How long the end of a stream may take. */
const END_MS = 1_000;

/**
 * Sends batches with the call that the platform's agent does not acknowledge (`Ingress.BatchSender`): a batch counts as taken
 * when the connection has it. Later losses are unknown, both when the agent's queue is full and when the connection breaks.
 */
export class BatchStream {
  readonly #call: ClientWritableStream<EnvelopeBatch>;
  readonly #ended: Promise<void>;
  #broken: Error | undefined;
  #isEnding = false;

  constructor(client: Client) {
    const { path, requestSerialize, responseDeserialize } = INGRESS.BatchSender;
    let onEnd: (error: ServiceError | null) => void = () => undefined;
    this.#ended = new Promise((resolve) => {
      onEnd = (error) => {
        this.#broken = this.#isEnding && isEndOfFile(error) ? undefined : failureOf(error);
        resolve();
      };
    });
    this.#call = client.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      (error: ServiceError | null) => onEnd(error),
    );
    // Told to the callback above as well.
    this.#call.on('error', () => undefined);
  }

  /** Why it broke by itself; undefined while it is open. Which batch was the reason is not known. */
  get broken(): Error | undefined {
    return this.#broken;
  }

  /** Resolves when the connection has the batch; rejects when the stream ends before, or after `timeoutMs`. */
  async write(batch: EnvelopeBatch, timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.cancel();
        reject(new Error(`it took nothing for ${timeoutMs / 1000} s`));
      }, timeoutMs);
    });
    const written = new Promise<void>((resolve) => {
      this.#call.write(batch, () => resolve());
    });
    try {
      await Promise.race([this.#ended, written, late]);
      // A call that fails also reports what waits as written.
      if (this.#broken !== undefined) throw this.#broken;
    } finally {
      clearTimeout(timer);
      late.catch(() => undefined);
    }
  }

  /** Ends the stream after all writes. The agent answers with `2 UNKNOWN: EOF`, which is not an error here. */
  async end(): Promise<void> {
    this.#isEnding = true;
    this.#call.end();
    const timer = setTimeout(() => this.cancel(), END_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  /** Ends it at once. */
  cancel(): void {
    this.#call.cancel();
  }
}

const isEndOfFile = (error: ServiceError | null): boolean =>
  error?.code === status.UNKNOWN && error.details === 'EOF';

const failureOf = (error: ServiceError | null): Error =>
  new Error(
    `the stream of lines broke (${error?.details ?? 'it was ended'}); the last lines sent on it may be lost`,
  );
