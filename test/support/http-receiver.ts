import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

/** A request as it arrived. */
export interface HttpRequest {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A real HTTP server that keeps what it gets; a test says what it answers. */
export class HttpService {
  readonly requests: HttpRequest[] = [];
  readonly sockets = new Set<Socket>();
  connections = 0;
  answer: (request: HttpRequest, response: ServerResponse) => void = (_, response) =>
    response.end();
  readonly #server: Server;

  /** Listens on a port of loopback's, or on a unix socket. With `tls` it is HTTPS. */
  static async start(options: { tls?: ServerOptions; socket?: string } = {}): Promise<HttpService> {
    const service = new HttpService(options.tls);
    if (options.socket === undefined) service.#server.listen(0, '127.0.0.1');
    else service.#server.listen(options.socket);
    await once(service.#server, 'listening');
    return service;
  }

  private constructor(tls: ServerOptions | undefined) {
    const listener: RequestListener = (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method, url, headers } = request;
        const body = Buffer.concat(chunks).toString();
        const got = { method, path: url, headers, body };
        this.requests.push(got);
        this.answer(got, response);
      });
      request.on('error', () => undefined);
    };
    this.#server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener);
    this.#server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
      this.connections++;
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.sockets.delete(socket));
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    if (this.#server.listening) await once(this.#server, 'close');
  }
}
