import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from './certificates.ts';
import type { ReceivedEnvelope } from './loggregator-server.ts';

/** How the next requests are answered, instead of as Log Cache does. */
export type Misbehaviour = (request: IncomingMessage, response: ServerResponse) => void;

/**
 * The HTTPS interface of a Log Cache, by its documentation: `GET /api/v1/read/SOURCE-ID` with a client certificate of `ca` or
 * the bearer token. What it has is what `envelopes` gives, such as those that a Loggregator ingress took.
 */
export class LogCacheServer {
  /** Paths with their queries, in the order in which they were asked for. */
  readonly asked: string[] = [];
  misbehaviour: Misbehaviour | undefined;
  readonly #server: Server;
  readonly #envelopes: () => readonly ReceivedEnvelope[];
  readonly #token: string | undefined;

  /** With a token, that is what is asked for; otherwise it is a client certificate. */
  constructor(
    ca: string,
    certificate: Certificate,
    envelopes: () => readonly ReceivedEnvelope[],
    token?: string,
  ) {
    this.#envelopes = envelopes;
    this.#token = token;
    this.#server = createServer(
      {
        ca: readFileSync(ca),
        cert: readFileSync(certificate.cert),
        key: readFileSync(certificate.key),
        requestCert: token === undefined,
        rejectUnauthorized: token === undefined,
      },
      (request, response) => this.#answer(request, response),
    );
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, '127.0.0.1', resolve);
    });
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.asked.push(request.url ?? '');
    if (this.misbehaviour !== undefined) {
      this.misbehaviour(request, response);
      return;
    }
    if (this.#token !== undefined && request.headers.authorization !== `Bearer ${this.#token}`) {
      response.writeHead(401).end();
      return;
    }
    const url = new URL(request.url ?? '', 'https://log-cache');
    const source = /^\/api\/v1\/read\/([^/]+)$/.exec(url.pathname)?.[1];
    if (request.method !== 'GET' || source === undefined) {
      response.writeHead(404).end();
      return;
    }
    const number = (name: string, fallback: bigint): bigint =>
      BigInt(url.searchParams.get(name) ?? fallback);
    const [from, to] = [number('start_time', 0n), number('end_time', 2n ** 63n)];
    const limit = Number(number('limit', 100n));
    if (limit > 1000) {
      response.writeHead(400).end();
      return;
    }
    const batch = this.#envelopes()
      .filter(({ source_id: id, log }) => id === decodeURIComponent(source) && log !== undefined)
      .filter(({ timestamp }) => BigInt(timestamp) >= from && BigInt(timestamp) < to)
      .slice(-limit)
      .map((envelope) => ({
        timestamp: envelope.timestamp,
        source_id: envelope.source_id,
        instance_id: envelope.instance_id,
        tags: envelope.tags,
        log: { payload: envelope.log?.payload.toString('base64'), type: envelope.log?.type },
      }));
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ envelopes: { batch } }));
  }
}
