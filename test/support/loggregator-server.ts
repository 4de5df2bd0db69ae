import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  loadPackageDefinition,
  Server,
  ServerCredentials,
  status,
  type ServerReadableStream,
  type ServerUnaryCall,
  type sendUnaryData,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { setTimeout as delay } from 'node:timers/promises';
import type { Certificate } from './certificates.ts';

/** An envelope as the platform's server sees it. */
export interface ReceivedEnvelope {
  readonly timestamp: string;
  readonly source_id: string;
  readonly instance_id: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly log?: { readonly payload: Buffer; readonly type?: 'OUT' | 'ERR' };
  readonly counter?: { readonly name: string; readonly delta: string; readonly total: string };
  readonly gauge?: {
    readonly metrics: Readonly<Record<string, { readonly unit: string; readonly value: number }>>;
  };
}

/** What the next calls are answered with, instead of being taken. */
export interface Refusal {
  readonly code: number;
  readonly details: string;
}

/** What the platform's agent answers to a text that is no UTF-8. */
const UNREADABLE: Refusal = {
  code: status.INTERNAL,
  details: 'grpc: error unmarshalling request: string field contains invalid UTF-8',
};

const ZERO = { delta: '0', total: '0' };

const PROTO = join(import.meta.dirname, 'loggregator-ingress.proto');

/**
 * A Loggregator v2 ingress with mutual TLS, by the documented interface: it takes batches by `Ingress.Send` and
 * `Ingress.BatchSender`, at most 10 MiB each, and can be told to refuse, to be slow, and to end.
 */
export class LoggregatorServer {
  readonly envelopes: ReceivedEnvelope[] = [];
  readonly batches: number[] = [];
  readonly refusals: Refusal[] = [];
  /** Before each answer. */
  slowMs = 0;
  /** More envelopes than this in a call are too many bytes. */
  mostAtOnce = Number.POSITIVE_INFINITY;
  /** Envelopes that it cannot read fail their whole batch. */
  unreadable: (envelope: ReceivedEnvelope) => boolean = () => false;
  /** An older agent does not have the call that is acknowledged. */
  hasSend = true;
  /** Calls of BatchSender so far, and those of them that the client ended. */
  readonly streams = { opened: 0, ended: 0 };
  readonly #ca: string;
  readonly #certificate: Certificate;
  #server: Server | undefined;
  port: number;

  /** Without a port: one that is free. */
  constructor(ca: string, certificate: Certificate, port = 0) {
    this.#ca = ca;
    this.#certificate = certificate;
    this.port = port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** On the port that it had before, if it had one. */
  async start(): Promise<void> {
    const server = new Server({ 'grpc.max_receive_message_length': 10 * 1024 * 1024 });
    const loaded = loadPackageDefinition(
      loadSync(PROTO, { keepCase: true, longs: String, enums: String, oneofs: true }),
    ) as unknown as { loggregator: { v2: { Ingress: ServiceClientConstructor } } };
    server.addService(loaded.loggregator.v2.Ingress.service, {
      Send: (
        call: ServerUnaryCall<{ batch: ReceivedEnvelope[] }, object>,
        answer: sendUnaryData<object>,
      ) => {
        if (this.hasSend) void this.#take(call.request.batch, answer);
        else answer({ code: status.UNIMPLEMENTED, details: 'unknown method Send' });
      },
      BatchSender: (
        call: ServerReadableStream<{ batch: ReceivedEnvelope[] }, object>,
        answer: sendUnaryData<object>,
      ) => this.#takeStream(call, answer),
    });
    const credentials = ServerCredentials.createSsl(
      readFileSync(this.#ca),
      [
        {
          cert_chain: readFileSync(this.#certificate.cert),
          private_key: readFileSync(this.#certificate.key),
        },
      ],
      true,
    );
    this.port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${this.port}`, credentials, (error, port) => {
        if (error === null) resolve(port);
        else reject(error);
      });
    });
    this.#server = server;
  }

  /** At once: calls under way fail. */
  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  /** Answers nothing until the stream ends, and then as the platform's agent does: with the error that says so. */
  #takeStream(
    call: ServerReadableStream<{ batch: ReceivedEnvelope[] }, object>,
    answer: sendUnaryData<object>,
  ): void {
    this.streams.opened++;
    call.on('data', ({ batch }: { batch: ReceivedEnvelope[] }) => {
      const refusal = batch.some(this.unreadable) ? UNREADABLE : this.refusals.shift();
      if (refusal !== undefined) {
        answer(refusal);
        return;
      }
      this.batches.push(batch.length);
      this.#keep(batch);
    });
    call.on('end', () => {
      this.streams.ended++;
      answer({ code: status.UNKNOWN, details: 'EOF' });
    });
    call.on('error', () => undefined);
  }

  async #take(batch: readonly ReceivedEnvelope[], answer: sendUnaryData<object>): Promise<void> {
    if (this.slowMs > 0) await delay(this.slowMs);
    const refusal =
      batch.length > this.mostAtOnce
        ? { code: status.RESOURCE_EXHAUSTED, details: 'Received message larger than max' }
        : batch.some(this.unreadable)
          ? UNREADABLE
          : this.refusals.shift();
    if (refusal !== undefined) {
      answer(refusal);
      return;
    }
    this.batches.push(batch.length);
    this.#keep(batch);
    answer(null, {});
  }

  /** The first value of an enumeration, and zero, are not on the wire. */
  #keep(batch: readonly ReceivedEnvelope[]): void {
    for (const { log, counter, ...it } of batch) {
      this.envelopes.push({
        ...it,
        ...(log === undefined ? {} : { log: { ...log, type: log.type ?? 'OUT' } }),
        ...(counter === undefined ? {} : { counter: { ...ZERO, ...counter } }),
      });
    }
  }
}
