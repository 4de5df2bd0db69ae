import type { SecureContext } from 'node:tls';
import { Client, compressionAlgorithms, credentials, Metadata, status } from '@grpc/grpc-js';
import type { ClientUnaryCall, ServiceError } from '@grpc/grpc-js';
import type { HttpAddress } from '../../config/receiver-address.ts';
import type { Verdict } from '../http/answer.ts';
import type { ReceiverCounters } from '../receiver.ts';
import { decodeResponse, encodeRequest, EXPORT_PATH } from './api.ts';
import type { ExportRequest, ExportResponse } from './api.ts';
import type { Exporter, ExporterOptions } from './exporter.ts';
import { verdictOfFailure, verdictOfResponse } from './verdict.ts';

/** OTLP/gRPC: one unary call at a time, over one connection. */
export class GrpcExporter implements Exporter {
  readonly #options: ExporterOptions;
  #client: Client | undefined;
  #context: SecureContext | undefined;
  #underWay: ClientUnaryCall | undefined;
  #connects = 0;
  #connectFailures = 0;

  constructor(options: ExporterOptions) {
    this.#options = options;
  }

  async export(request: ExportRequest): Promise<Verdict> {
    const { timeoutMs } = this.#options;
    const client = this.#connect();
    const answer = await new Promise<ExportResponse | ServiceError>((resolve) => {
      this.#underWay = client.makeUnaryRequest(
        EXPORT_PATH,
        encodeRequest,
        decodeResponse,
        request,
        this.#metadata(),
        { deadline: Date.now() + timeoutMs },
        (error: ServiceError | null, response?: ExportResponse) => resolve(error ?? response ?? {}),
      );
    });
    this.#underWay = undefined;
    if (!(answer instanceof Error)) return verdictOfResponse(answer);
    const { code, details, metadata } = answer;
    if (details.startsWith('No connection established')) this.#connectFailures++;
    // A client that failed waits for up to two minutes before it connects again: waiting is the spool's.
    if (code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED) this.#reset();
    const [more] = metadata.get('grpc-status-details-bin');
    return verdictOfFailure({
      code,
      details,
      status: Buffer.isBuffer(more) ? more : undefined,
    });
  }

  counters(): ReceiverCounters {
    return { connects: this.#connects, connectFailures: this.#connectFailures };
  }

  close(): void {
    this.#underWay?.cancel();
    this.#reset();
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(this.#options.headers())) metadata.set(name, value);
    return metadata;
  }

  /** The client, a new one when the certificates have changed. */
  #connect(): Client {
    const { address, compress, serverName, tls } = this.#options;
    const context = tls?.current();
    if (this.#client !== undefined && context === this.#context) return this.#client;
    this.#reset();
    this.#context = context;
    this.#connects++;
    this.#client = new Client(
      targetOf(address),
      context === undefined
        ? credentials.createInsecure()
        : credentials.createFromSecureContext(context),
      {
        'grpc.primary_user_agent': 'varvel',
        // Only the configuration decides where lines go.
        'grpc.enable_http_proxy': 0,
        'grpc.service_config_disable_resolution': 1,
        // Retries, waiting and order are the spool's.
        'grpc.enable_retries': 0,
        ...(compress ? { 'grpc.default_compression_algorithm': compressionAlgorithms.gzip } : {}),
        ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }),
      },
    );
    return this.#client;
  }

  #reset(): void {
    this.#client?.close();
    this.#client = undefined;
  }
}

function targetOf({ host, port }: HttpAddress): string {
  return `dns:${host.includes(':') ? `[${host}]` : host}:${port}`;
}
