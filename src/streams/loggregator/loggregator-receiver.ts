import { status } from '@grpc/grpc-js';
import type { LoggregatorStreamConfig } from '../../config/receiver-config.ts';
import type { Logger } from '../../shared/logger.ts';
import type { OutgoingLine, Receiver, ReceiverCounters, SendResult } from '../receiver.ts';
import type { Delivery } from '../stream.ts';
import { envelopeOf } from './envelope.ts';
import { IngressConnection, type IngressOptions } from './ingress-connection.ts';

/** Envelopes of one call: as many as the platform's own clients send. */
const MAX_BATCH = 100;

export interface LoggregatorOptions extends IngressOptions {
  /** Of our lines: `VARVEL`. */
  readonly sourceType: string;
}

/** Counters of the receiver. */
export interface LoggregatorCounters extends ReceiverCounters {
  /** Lines that may not have arrived: the platform's agent has no acknowledged call. */
  readonly unacknowledged: number;
  /** Tags of apps' that have no place in an envelope. */
  readonly droppedTags: number;
}

/**
 * The platform's log system, reached through this host's forwarder agent. Acknowledged lines are in that agent's own queue,
 * which can still overflow; the rate limit of the caller prevents that.
 */
export class LoggregatorReceiver implements Receiver {
  readonly name = 'loggregator';
  readonly audience = 'tenant';
  readonly maxBatch = MAX_BATCH;
  readonly #sourceType: string;
  readonly #ingress: IngressConnection;
  #connectFailures = 0;
  #droppedTags = 0;
  /** Fewer than MAX_BATCH after an answer that they were too many bytes. */
  #atOnce = MAX_BATCH;

  constructor(options: LoggregatorOptions, logger: Logger) {
    this.#sourceType = options.sourceType;
    this.#ingress = new IngressConnection(options, logger);
  }

  /** Apps that the platform knows; a container whose identity is not trusted has none. */
  accepts(delivery: Delivery): boolean {
    return delivery.detection.container?.app?.guid !== undefined;
  }

  async send(lines: readonly OutgoingLine[]): Promise<SendResult> {
    let taken = 0;
    while (taken < lines.length) {
      const some = lines.slice(taken, taken + this.#atOnce);
      const result = await this.#sendOnce(some);
      taken += result.taken;
      if (result.rest !== undefined) return { ...result, taken };
    }
    return { taken };
  }

  counters(): LoggregatorCounters {
    return {
      connects: this.#ingress.connects,
      connectFailures: this.#connectFailures,
      unacknowledged: this.#ingress.unacknowledged,
      droppedTags: this.#droppedTags,
    };
  }

  close(): Promise<void> {
    return this.#ingress.close();
  }

  async #sendOnce(lines: readonly OutgoingLine[]): Promise<SendResult> {
    const made = lines.map((line) => envelopeOf(line, this.#sourceType));
    const without = made.indexOf(undefined);
    if (without === 0) return { taken: 0, rest: 'refused', reason: 'it has no usable app guid' };
    const batch = (without < 0 ? made : made.slice(0, without)).filter((it) => it !== undefined);
    try {
      await this.#ingress.send(batch.map(({ envelope }) => envelope));
    } catch (error) {
      return this.#afterError(error, batch.length);
    }
    this.#droppedTags += batch.reduce((sum, { droppedTags }) => sum + droppedTags, 0);
    this.#atOnce = Math.min(MAX_BATCH, this.#atOnce * 2);
    return { taken: batch.length };
  }

  #afterError(error: unknown, batch: number): SendResult {
    const reason = reasonOf(error);
    const isBad = isAboutWhatWasSent(error);
    if (isBad && batch > 1) {
      // Either one line or the whole batch is at fault: smaller batches show which.
      this.#atOnce = Math.floor(batch / 2);
      return { taken: 0, rest: 'later', reason, retryAfterMs: 0 };
    }
    if (isBad) return { taken: 0, rest: 'refused', reason };
    this.#connectFailures++;
    this.#ingress.reset();
    return { taken: 0, rest: 'later', reason };
  }
}

/** As configured; the files are set then. */
export function loggregatorReceiver(
  config: LoggregatorStreamConfig,
  logger: Logger,
): LoggregatorReceiver {
  const { address, ca = '', cert = '', key = '', serverName, sourceType } = config;
  return new LoggregatorReceiver({ address, ca, cert, key, serverName, sourceType }, logger);
}

/**
 * Whether a retry would fail again: too many bytes, or content that the platform's agent cannot read. Go's gRPC reports the
 * latter as INTERNAL ("error unmarshalling request"), the same code as for connection errors.
 */
function isAboutWhatWasSent(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return (
    code === status.RESOURCE_EXHAUSTED ||
    code === status.INVALID_ARGUMENT ||
    (code === status.INTERNAL && /unmarshal/.test(reasonOf(error)))
  );
}

const reasonOf = (error: unknown): string =>
  error instanceof Error && 'details' in error && typeof error.details === 'string'
    ? error.details
    : error instanceof Error
      ? error.message
      : String(error);
