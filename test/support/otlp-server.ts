import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, RequestListener, Server as HttpServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { Metadata, Server, ServerCredentials, type status } from '@grpc/grpc-js';
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { setTimeout as delay } from 'node:timers/promises';
import type { Certificate } from './certificates.ts';
import { LOGS_SERVICE, recordsIn, REQUEST, RESPONSE } from './otlp-proto.ts';
import type { OtlpRequest } from './otlp-proto.ts';

/** Which certificates a server has; with `ca` it wants a client's. */
export interface ServerTls extends Certificate {
  readonly ca?: string;
}

/** What is common to the servers of both transports: they keep what they take. */
class Collected {
  readonly requests: OtlpRequest[] = [];
  /** Of each request, by lower-case name. */
  readonly headers: Record<string, string | undefined>[] = [];
  /** Before each answer. */
  slowMs = 0;

  /** `log.record.uid` of all records, in the order in which they came. */
  get ids(): string[] {
    return this.requests.flatMap((request) =>
      recordsIn(request).map(({ attributes }) => String(attributes['log.record.uid'])),
    );
  }
}

/** A failure of gRPC's; `details` is a google.rpc.Status. */
export interface GrpcFailure {
  readonly code: status;
  readonly details: string;
  readonly status?: Buffer;
}

/** A LogsService over gRPC, from the protocol's own definition. */
export class OtlpGrpcServer extends Collected {
  /** What becomes of a request: a failure, or the answer (`{}`: all is taken). */
  answer: (request: OtlpRequest) => GrpcFailure | object = () => ({});
  readonly #tls: ServerTls | undefined;
  #server: Server | undefined;
  port = 0;

  constructor(tls?: ServerTls) {
    super();
    this.#tls = tls;
  }

  /** On the port that it had before, if it had one. */
  async start(): Promise<void> {
    const server = new Server();
    server.addService(LOGS_SERVICE, {
      Export: (call: ServerUnaryCall<OtlpRequest, object>, answer: sendUnaryData<object>) =>
        void this.#take(call, answer),
    });
    const tls = this.#tls;
    const credentials =
      tls === undefined
        ? ServerCredentials.createInsecure()
        : ServerCredentials.createSsl(
            tls.ca === undefined ? null : readFileSync(tls.ca),
            [{ cert_chain: readFileSync(tls.cert), private_key: readFileSync(tls.key) }],
            tls.ca !== undefined,
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

  async #take(
    { request, metadata }: ServerUnaryCall<OtlpRequest, object>,
    answer: sendUnaryData<object>,
  ): Promise<void> {
    if (this.slowMs > 0) await delay(this.slowMs);
    const said = this.answer(request);
    if (isFailure(said)) {
      const more = new Metadata();
      if (said.status !== undefined) more.set('grpc-status-details-bin', said.status);
      answer({ code: said.code, details: said.details, metadata: more });
      return;
    }
    this.requests.push(request);
    this.headers.push(
      Object.fromEntries(
        Object.entries(metadata.getMap()).map(([name, value]) => [name, String(value)]),
      ),
    );
    answer(null, said);
  }
}

const isFailure = (said: GrpcFailure | object): said is GrpcFailure => 'code' in said;

/** What an HTTP server answers instead of taking a request. */
export interface HttpFailure {
  readonly status: number;
  readonly headers?: IncomingHttpHeaders;
  readonly body?: Buffer | string;
}

/** A receiver of OTLP/HTTP, from the protocol's own definition: it takes protobuf and JSON, compressed or not. */
export class OtlpHttpServer extends Collected {
  /** What becomes of a request: a failure, or the answer (`{}`: all is taken). */
  answer: (request: OtlpRequest) => HttpFailure | object = () => ({});
  readonly paths: (string | undefined)[] = [];
  readonly #server: HttpServer;

  private constructor(tls: ServerTls | undefined) {
    super();
    const listener: RequestListener = (request, response) => {
      const chunks: Buffer[] = [];
      request.on('error', () => undefined);
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { headers, url } = request;
        const sent = Buffer.concat(chunks);
        const body = headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
        const type = headers['content-type'];
        const json = type === 'application/json';
        if (!json && type !== 'application/x-protobuf') {
          response.writeHead(415).end();
          return;
        }
        const got = json ? (JSON.parse(body.toString()) as OtlpRequest) : REQUEST.deserialize(body);
        const said = this.answer(got);
        void delay(this.slowMs).then(() => {
          if ('status' in said) {
            response.writeHead(said.status, said.headers).end(said.body);
            return;
          }
          this.requests.push(got);
          this.paths.push(url);
          this.headers.push({ ...headers, 'set-cookie': undefined });
          response
            .writeHead(200, { 'content-type': type })
            .end(json ? JSON.stringify(said) : RESPONSE.serialize(said));
        });
      });
    };
    this.#server =
      tls === undefined
        ? createServer(listener)
        : createSecureServer(
            {
              cert: readFileSync(tls.cert),
              key: readFileSync(tls.key),
              ...(tls.ca === undefined ? {} : { ca: readFileSync(tls.ca), requestCert: true }),
            },
            listener,
          );
  }

  static async start(tls?: ServerTls): Promise<OtlpHttpServer> {
    const server = new OtlpHttpServer(tls);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
