import { readFileSync } from 'node:fs';
import {
  Client,
  credentials,
  status,
  type ClientUnaryCall,
  type ServiceError,
} from '@grpc/grpc-js';
import type { Logger } from '../../shared/logger.ts';
import { INGRESS, type Envelope } from './api.ts';
import { BatchStream } from './batch-stream.ts';

const CALL_TIMEOUT_MS = 10_000;
/**
 * gRPC in Go, which the platform's agent uses, closes a stream that pings more often than every five minutes
 * ("too_many_pings").
 */
const KEEP_ALIVE_MS = 330_000;

/** Where the host's own agent is, and who we are. */
export interface IngressOptions {
  /** `localhost:3458` */
  readonly address: string;
  /** PEM files; read again when they have changed, before a call. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** The name in the agent's certificate: `metron`. */
  readonly serverName: string;
}

/**
 * The ingress of the host's forwarder agent: gRPC with mutual TLS. Batches go by the call that is acknowledged
 * (`Ingress.Send`), or, to an agent that does not have it, by a stream.
 */
export class IngressConnection {
  readonly #options: IngressOptions;
  readonly #logger: Logger;
  #client: Client | undefined;
  #underWay: ClientUnaryCall | undefined;
  /** Of the client, once it has answered that it does not have the other call. */
  #stream: BatchStream | undefined;
  #hasSend = true;
  #toldOfStream = false;
  /** The certificates that the client has, to see when they are rotated. */
  #identity: Identity | undefined;
  #connects = 0;
  #unacknowledged = 0;

  constructor(options: IngressOptions, logger: Logger) {
    this.#options = options;
    this.#logger = logger;
  }

  /** Clients made so far. */
  get connects(): number {
    return this.#connects;
  }

  /** Envelopes that went by a stream: whether they arrived is not known. */
  get unacknowledged(): number {
    return this.#unacknowledged;
  }

  /** Resolves when the agent has taken the batch. Rejects within 10 s; to be called again only then. */
  async send(batch: readonly Envelope[]): Promise<void> {
    const client = await this.#connect();
    if (this.#hasSend) {
      try {
        await this.#call(client, batch);
        return;
      } catch (error) {
        if (!isUnimplemented(error)) throw error;
        this.#hasSend = false;
        this.#tellOfStream();
      }
    }
    if (this.#stream?.broken !== undefined) throw this.#stream.broken;
    this.#stream ??= new BatchStream(client);
    await this.#stream.write({ batch }, CALL_TIMEOUT_MS);
    this.#unacknowledged += batch.length;
  }

  /** Makes the next batch use a new client, which resolves the name and loads the certificates again. */
  reset(): void {
    this.#stream?.cancel();
    this.#stream = undefined;
    this.#client?.close();
    this.#client = undefined;
    this.#hasSend = true;
  }

  /** Ends a call that is not answered, and a stream after what was written. */
  async close(): Promise<void> {
    this.#underWay?.cancel();
    await this.#stream?.end();
    this.reset();
  }

  #call(client: Client, batch: readonly Envelope[]): Promise<void> {
    const { path, requestSerialize, responseDeserialize } = INGRESS.Send;
    return new Promise((resolve, reject) => {
      this.#underWay = client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        { batch },
        { deadline: Date.now() + CALL_TIMEOUT_MS },
        (error: ServiceError | null) => {
          if (error === null) resolve();
          else reject(error);
        },
      );
    });
  }

  /** The client, a new one when the certificates have changed. Throws if they cannot be read. */
  async #connect(): Promise<Client> {
    const { address, serverName } = this.#options;
    const identity = readIdentity(this.#options);
    if (this.#client !== undefined && isSame(identity, this.#identity)) return this.#client;
    await this.#stream?.end();
    this.reset();
    this.#identity = identity;
    this.#connects++;
    this.#client = new Client(
      address,
      credentials.createSsl(identity.ca, identity.key, identity.cert),
      {
        'grpc.ssl_target_name_override': serverName,
        'grpc.default_authority': serverName,
        // Retries, waiting and order are the spool's.
        'grpc.enable_retries': 0,
        'grpc.keepalive_time_ms': KEEP_ALIVE_MS,
        'grpc.keepalive_timeout_ms': 10_000,
      },
    );
    return this.#client;
  }

  #tellOfStream(): void {
    if (this.#toldOfStream) return;
    this.#toldOfStream = true;
    this.#logger.warn(
      { address: this.#options.address },
      'The platform’s agent on this host is too old to acknowledge lines (it has no Ingress.Send). Lines go to it by a stream, and what it loses is not reported. Update it, or lower streams.loggregator.lines_per_second if lines are missing.',
    );
  }
}

interface Identity {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

function readIdentity({ ca, cert, key }: IngressOptions): Identity {
  return { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
}

const isSame = (one: Identity, other: Identity | undefined): boolean =>
  other !== undefined &&
  one.ca.equals(other.ca) &&
  one.cert.equals(other.cert) &&
  one.key.equals(other.key);

const isUnimplemented = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === status.UNIMPLEMENTED;
