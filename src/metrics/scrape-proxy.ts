import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { UserError } from '../shared/user-error.ts';
import { askAgent } from './endpoint-client.ts';

/** Clients at a time; the next ones are refused until one has gone. */
const CONNECTIONS_MAX = 32;
/** For a client to ask, and to take the next part of its answer. */
const TIMEOUT_MS = 5000;
const HEADERS_MAX_BYTES = 4096;
/** Who asks within this time gets the same answer: however many ask, the agent is asked once a second. */
const SHARED_MS = 1000;
/** Prometheus' text format, as prom-client writes it. */
const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export interface ScrapeProxyOptions {
  /** The agent's `metrics.scrape_socket`. */
  readonly socket: string;
  /** An IP address; undefined: all of this host's. */
  readonly host: string | undefined;
  /** 0: one that the system gives. */
  readonly port: number;
  /** Called when the agent no longer answers, with the reason, and with undefined when it does again. */
  readonly onAgent: (trouble: string | undefined) => void;
}

type Asked = { readonly text: string } | { readonly trouble: string };

/**
 * Answers GET /metrics on a network with what the agent says on a unix socket. Nothing of a request reaches the agent: it is a
 * process of its own, which needs no rights, so that the one that has them reads nothing from a network.
 */
export class ScrapeProxy {
  readonly #options: ScrapeProxyOptions;
  readonly #server: Server;
  #asked: Promise<Asked> | undefined;
  #trouble: string | undefined;

  private constructor(options: ScrapeProxyOptions) {
    this.#options = options;
    this.#server = createServer(
      {
        headersTimeout: TIMEOUT_MS,
        requestTimeout: TIMEOUT_MS,
        connectionsCheckingInterval: 1000,
        maxHeaderSize: HEADERS_MAX_BYTES,
      },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = CONNECTIONS_MAX;
    // The agent may take as long before there is an answer.
    this.#server.setTimeout(2 * TIMEOUT_MS);
  }

  /** Throws UserError if it cannot listen. */
  static async open(options: ScrapeProxyOptions): Promise<ScrapeProxy> {
    const proxy = new ScrapeProxy(options);
    const { host, port } = options;
    try {
      await new Promise<void>((resolve, reject) => {
        proxy.#server.once('error', reject).once('listening', resolve);
        // Without a host: on IPv6 and IPv4, or IPv4 alone where the kernel has no other.
        proxy.#server.listen(host === undefined ? { port } : { port, host });
      });
    } catch (error) {
      const { code = String(error) } = error as NodeJS.ErrnoException;
      throw new UserError(
        `Cannot listen on ${host ?? '*'}, port ${port}: ${code}. Give --listen another address.`,
        { cause: error },
      );
    }
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends open connections. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer({ method, url }: IncomingMessage, response: ServerResponse): Promise<void> {
    const send = (code: number, body: string, type = 'text/plain; charset=utf-8'): void => {
      response.writeHead(code, {
        'content-type': type,
        'content-length': Buffer.byteLength(body),
        'x-content-type-options': 'nosniff',
        // A body that came with the request is not read.
        connection: 'close',
      });
      response.end(method === 'HEAD' ? undefined : body);
    };
    if (url?.split('?')[0] !== '/metrics') {
      send(404, 'there is /metrics\n');
      return;
    }
    if (method !== 'GET' && method !== 'HEAD') {
      send(405, 'GET only\n');
      return;
    }
    const asked = await this.#ask();
    if ('text' in asked) send(200, asked.text, CONTENT_TYPE);
    else send(503, 'the agent does not answer\n');
  }

  /** Never rejects. */
  #ask(): Promise<Asked> {
    if (this.#asked !== undefined) return this.#asked;
    const asked = askAgent({ kind: 'unix', path: this.#options.socket }, '/metrics', TIMEOUT_MS)
      .then((text) => ({ text }))
      .catch((error: unknown) => {
        const { cause, message } = error as Error;
        const why = (cause as NodeJS.ErrnoException | undefined)?.code ?? message;
        return { trouble: `The agent does not answer on ${this.#options.socket}: ${why}` };
      });
    this.#asked = asked;
    void asked.then((answer) => {
      setTimeout(() => (this.#asked = undefined), SHARED_MS).unref();
      const trouble = 'trouble' in answer ? answer.trouble : undefined;
      if (trouble !== this.#trouble) this.#options.onAgent(trouble);
      this.#trouble = trouble;
    });
    return asked;
  }
}
