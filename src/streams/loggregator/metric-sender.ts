import { setTimeout as delay } from 'node:timers/promises';
import type { LoggregatorStreamConfig } from '../../config/receiver-config.ts';
import type { Logger } from '../../shared/logger.ts';
import { dashed, printable } from '../printable.ts';
import { IngressConnection } from './ingress-connection.ts';
import { MetricEnvelopes } from './metric-envelopes.ts';
import type { MetricSample } from './metric-sample.ts';

/** Envelopes of one call. */
const MAX_BATCH = 100;
/** At the end: how long the last numbers may take. */
const LAST_MS = 1_000;

export interface MetricSenderOptions {
  readonly config: LoggregatorStreamConfig;
  readonly hostname: string;
  readonly samples: () => Promise<readonly MetricSample[]>;
  readonly logger: Logger;
}

/**
 * Sends the agent's counters and gauges to the platform's operators, through the ingress that takes the lines. Sends at an
 * interval and once more at the end. Unsent numbers are not kept: the next ones have the totals.
 */
export class MetricSender {
  readonly #options: MetricSenderOptions;
  readonly #ingress: IngressConnection;
  readonly #envelopes: MetricEnvelopes;
  readonly #stopped = new AbortController();
  readonly #loop: Promise<void>;
  #isDown = false;

  constructor(options: MetricSenderOptions) {
    this.#options = options;
    const { config, hostname, logger } = options;
    const { address, ca = '', cert = '', key = '', serverName } = config;
    this.#ingress = new IngressConnection({ address, ca, cert, key, serverName }, logger);
    this.#envelopes = new MetricEnvelopes({
      sourceId: config.metrics.sourceId,
      instanceId: printable(dashed(hostname), 64),
    });
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.race([this.#loop, delay(LAST_MS, undefined, { ref: false })]);
    await this.#ingress.close();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    const { intervalMs } = this.#options.config.metrics;
    while (!signal.aborted) {
      await delay(intervalMs, undefined, { signal }).catch(() => undefined);
      await this.#send();
    }
  }

  async #send(): Promise<void> {
    const { logger, samples, config } = this.#options;
    try {
      const { envelopes, sent } = this.#envelopes.of(
        await samples(),
        BigInt(Date.now()) * 1_000_000n,
      );
      for (let at = 0; at < envelopes.length; at += MAX_BATCH) {
        await this.#ingress.send(envelopes.slice(at, at + MAX_BATCH));
      }
      sent();
      if (this.#isDown) logger.info({}, 'The platform takes the agent’s metrics again.');
      this.#isDown = false;
    } catch (error) {
      this.#ingress.reset();
      if (this.#isDown || this.#stopped.signal.aborted) return;
      this.#isDown = true;
      logger.warn(
        { address: config.address, reason: error instanceof Error ? error.message : String(error) },
        'The agent’s metrics cannot be sent to the platform; the agent tries again with the next ones. To send none, set streams.loggregator.metrics.enabled: false.',
      );
    }
  }
}
