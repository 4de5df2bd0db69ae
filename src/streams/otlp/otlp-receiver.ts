import type { OtlpStreamConfig } from '../../config/receiver-config.ts';
import type { Logger } from '../../shared/logger.ts';
import { UserError } from '../../shared/user-error.ts';
import type { Verdict } from '../http/answer.ts';
import { TokenFile } from '../http/token-file.ts';
import type {
  Destination,
  OutgoingLine,
  Receiver,
  ReceiverCounters,
  SendResult,
} from '../receiver.ts';
import type { Delivery } from '../stream.ts';
import { TlsFiles } from '../tls-files.ts';
import { exportRequestOf } from './export-request.ts';
import type { Exporter, ExporterOptions } from './exporter.ts';
import { HttpExporter } from './http-exporter.ts';
import { containerFacts } from './resource.ts';

/** Records of one request. With resources and records of some 16 KiB at most it stays below the 4 MiB that receivers take. */
const MAX_BATCH = 100;

/** No request starts later than this in a `send`: with the longest timeout that makes 27 s. */
const LAST_REQUEST_MS = 2000;

/** What `OtlpReceiver` needs. */
export interface OtlpReceiverOptions {
  readonly audience: 'tenant' | 'operator';
  readonly destination: Destination;
  readonly exporter: Exporter;
}

/**
 * A receiver of OpenTelemetry's: a collector, or a log platform that takes OTLP. Lines are log records of up to 100 a request.
 *
 * A refused request of several is sent again in halves, until the refused line is found. One of which a part was rejected is
 * not sent again. As it is not known which part, lines go one by one after that, and twice as many after each that is taken.
 */
export class OtlpReceiver implements Receiver {
  readonly name = 'otlp';
  readonly audience: 'tenant' | 'operator';
  readonly maxBatch = MAX_BATCH;
  readonly destination: Destination;
  readonly #options: OtlpReceiverOptions;
  #atOnce = MAX_BATCH;

  constructor(options: OtlpReceiverOptions) {
    this.audience = options.audience;
    this.destination = options.destination;
    this.#options = options;
  }

  accepts(delivery: Delivery): boolean {
    return this.audience === 'operator' || delivery.detection.container?.app !== undefined;
  }

  factsOf({ detection }: Delivery): Readonly<Record<string, string>> {
    return containerFacts(detection.container);
  }

  async send(lines: readonly OutgoingLine[]): Promise<SendResult> {
    const startedMs = performance.now();
    let taken = 0;
    while (taken < lines.length) {
      if (performance.now() - startedMs > LAST_REQUEST_MS)
        return this.#rest(taken, { kind: 'later', reason: 'it is slow', retryAfterMs: 0 });
      const some = lines.slice(taken, taken + this.#atOnce);
      const verdict = await this.#options.exporter.export(exportRequestOf(some));
      if (verdict.kind === 'later') return this.#rest(taken, verdict);
      if (verdict.kind === 'refused') {
        this.#atOnce = Math.ceil(some.length / 2);
        if (some.length === 1) return this.#rest(taken, verdict);
        continue;
      }
      taken += some.length;
      const { rejected = 0, reason = 'it does not say why' } = verdict;
      if (rejected > 0) {
        this.#atOnce = 1;
        const count = Math.min(Math.trunc(rejected), some.length);
        const says = `${this.destination.where}: ${reason}`;
        return { taken, rejected: { count, of: some.length, reason: says } };
      }
      this.#atOnce = Math.min(MAX_BATCH, this.#atOnce * 2);
    }
    return { taken };
  }

  counters(): ReceiverCounters {
    return this.#options.exporter.counters();
  }

  close(): Promise<void> {
    this.#options.exporter.close();
    return Promise.resolve();
  }

  #rest(taken: number, verdict: Exclude<Verdict, { kind: 'taken' }>): SendResult {
    const reason = `${this.destination.where}: ${verdict.reason}`;
    if (verdict.kind === 'refused') return { taken, rest: 'refused', reason };
    const { retryAfterMs } = verdict;
    return {
      taken,
      rest: 'later',
      reason,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    };
  }
}

/**
 * The receiver of `streams.otlp`, not yet connected. Throws UserError when there is no address, or when files for TLS or the
 * token cannot be used.
 *
 * OpenTelemetry's own exporters would be the other way. They retry within one deadline and drop after it, and report a
 * request of which a part was rejected as a success: nothing could be kept or counted here. What they encode with and connect
 * with (protobufjs, gRPC) is what is used here.
 */
export async function otlpReceiver(
  config: OtlpStreamConfig,
  logger: Logger,
): Promise<OtlpReceiver> {
  const { address, audience, compression, protocol, timeoutMs, tokenFile } = config;
  if (address === undefined) throw new UserError('streams.otlp has no url: set streams.otlp.url.');
  const token =
    tokenFile === undefined
      ? undefined
      : new TokenFile(tokenFile, 'streams.otlp.token_file', logger);
  const options: ExporterOptions = {
    address,
    timeoutMs,
    serverName: config.tls.serverName,
    tls: address.secure ? new TlsFiles(config.tls, 'streams.otlp', logger) : undefined,
    compress: compression === 'gzip',
    headers: () =>
      token === undefined
        ? config.headers
        : { ...config.headers, Authorization: `Bearer ${token.current()}` },
  };
  const name = address.host.includes(':') ? `[${address.host}]` : address.host;
  // Without the path: some have a secret there.
  const where = `${address.secure ? 'https' : 'http'}://${name}:${address.port}`;
  return new OtlpReceiver({
    audience,
    destination: { where, address: `${where}${address.path}` },
    exporter: await exporterOf(protocol, options),
  });
}

async function exporterOf(
  protocol: OtlpStreamConfig['protocol'],
  options: ExporterOptions,
): Promise<Exporter> {
  if (protocol !== 'grpc') return new HttpExporter(options, protocol === 'http/json');
  // gRPC is for those who use it.
  const { GrpcExporter } = await import('./grpc-exporter.ts');
  return new GrpcExporter(options);
}
