import { chmodSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';

import { formatListenAddress } from '../config/listen-address.ts';
import type { ListenAddress } from '../config/listen-address.ts';
import type { Logger } from '../shared/logger.ts';
import { UserError } from '../shared/user-error.ts';

/** Clients at a time; a scraper and a `varvel status` need two. */
const CONNECTIONS_MAX = 16;

const TIMEOUT_MS = 5000;

export interface EndpointOptions {
  readonly listen: ListenAddress;
  /** What GET /metrics answers. */
  readonly metrics: { text(): Promise<string>; readonly contentType: string };
  /** What GET /status answers, as JSON. */
  readonly status: () => unknown;
  /** What POST /canary does, and answers as JSON when it is done; undefined: there is none. On a unix socket only. */
  readonly canary?: (() => Promise<unknown> | undefined) | undefined;
  /** What POST /lift does with its query, and answers as JSON. On a unix socket only. */
  readonly lift?: (query: URLSearchParams) => unknown;
  /** What GET /suggest answers to its query, as JSON. On a unix socket only. */
  readonly suggest?: (query: URLSearchParams) => unknown;
  /** Answers GET /metrics and nothing else, to everybody who can reach the socket. */
  readonly onlyMetrics?: boolean;
  readonly logger: Logger;
}

/**
 * The agent's local HTTP endpoint: GET /metrics, /status, /healthz, /suggest, and POST /canary and /lift. On a unix socket that only
 * its owner may open, or on loopback; never on a network. With `onlyMetrics`, a unix socket that everybody may open.
 */
export class Endpoint {
  readonly #server: Server | undefined;
  /** Where it listens; with a port of 0, the one that the system gave. */
  readonly address: ListenAddress;

  private constructor(server: Server | undefined, address: ListenAddress) {
    this.#server = server;
    this.address = address;
  }

  /** Throws UserError when the address cannot be used. With `off`, does nothing. */
  static async open(options: EndpointOptions): Promise<Endpoint> {
    const { listen } = options;
    if (listen.kind === 'off') return new Endpoint(undefined, listen);
    if (listen.kind === 'tcp' && listen.host !== '::1' && !/^127(?:\.\d+){3}$/.test(listen.host)) {
      throw new UserError(
        `The metrics endpoint answers on loopback or a unix socket only, not on ${listen.host}: set metrics.listen.`,
      );
    }
    const setting = options.onlyMetrics === true ? 'metrics.scrape_socket' : 'metrics.listen';
    if (listen.kind === 'unix') await prepareSocket(listen.path, setting);
    const server = createServer(
      { headersTimeout: TIMEOUT_MS, requestTimeout: TIMEOUT_MS, keepAliveTimeout: TIMEOUT_MS },
      (request, response) => void answer(request, response, options),
    );
    server.maxConnections = CONNECTIONS_MAX;
    await listening(server, listen, options.onlyMetrics === true ? 0o666 : 0o600, setting);
    // The endpoint does not keep the process alive.
    server.unref();
    server.on('error', (error) => options.logger.warn({ error }, 'the metrics endpoint failed'));
    const bound = server.address();
    return new Endpoint(
      server,
      listen.kind === 'tcp' && typeof bound === 'object' && bound !== null
        ? { ...listen, port: bound.port }
        : listen,
    );
  }

  /** Ends open connections and removes the socket. Idempotent. */
  async close(): Promise<void> {
    const server = this.#server;
    if (server?.listening !== true) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }
}

async function listening(
  server: Server,
  listen: ListenAddress & { kind: 'unix' | 'tcp' },
  mode: number,
  setting: string,
): Promise<void> {
  // bind(2) happens inside listen(), so the socket is never open to others, not even for a moment.
  const umask = listen.kind === 'unix' ? process.umask(0o777 & ~mode) : undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.once('listening', () => {
        server.off('error', reject);
        resolve();
      });
      server.listen(
        listen.kind === 'unix' ? { path: listen.path } : { host: listen.host, port: listen.port },
      );
      if (umask !== undefined) process.umask(umask);
    });
    if (listen.kind === 'unix') chmodSync(listen.path, mode);
  } catch (error) {
    throw new UserError(
      `Cannot listen on ${formatListenAddress(listen)}: ${reason(error)}. Set ${setting} to another address${setting === 'metrics.listen' ? ', or to off' : ''}.`,
      { cause: error },
    );
  }
}

/** Makes the folder, and removes the stale socket of a killed agent. */
async function prepareSocket(path: string, setting: string): Promise<void> {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  } catch (error) {
    throw new UserError(
      `Cannot make the folder ${dirname(path)}: ${reason(error)}. Set run_dir or ${setting}.`,
      {
        cause: error,
      },
    );
  }
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) {
    throw new UserError(
      `${path} is not a socket, so it is not removed: move it away, or set ${setting}.`,
    );
  }
  if (await answers(path)) {
    throw new UserError(
      `Another agent answers on ${path}: stop it first, or set run_dir to run a second one.`,
    );
  }
  unlinkSync(path);
}

/** False only on ECONNREFUSED: no process listens. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const end = (result: boolean): void => {
      socket.destroy();
      resolve(result);
    };
    socket.once('connect', () => end(true));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code !== 'ECONNREFUSED'));
  });
}

interface Answer {
  readonly code: number;
  readonly type: string;
  readonly body: string;
}

const plain = (code: number, body: string): Answer => ({
  code,
  type: 'text/plain; charset=utf-8',
  body: `${body}\n`,
});

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: EndpointOptions,
): Promise<void> {
  let made: Answer;
  try {
    made = await route(request, options);
  } catch (error) {
    options.logger.error({ error }, 'could not answer a request');
    made = plain(500, 'an error of the agent; see its log');
  }
  response.writeHead(made.code, {
    'content-type': made.type,
    'content-length': Buffer.byteLength(made.body),
    'x-content-type-options': 'nosniff',
  });
  response.end(request.method === 'HEAD' ? undefined : made.body);
}

async function route(request: IncomingMessage, options: EndpointOptions): Promise<Answer> {
  // A web page may reach loopback under a name of its own (DNS rebinding); it cannot choose this header.
  if (options.listen.kind === 'tcp' && !isLoopbackHost(request.headers.host))
    return plain(403, 'ask for it by its loopback address');
  const [path, query] = request.url?.split('?') ?? [];
  if (options.onlyMetrics === true && path !== '/metrics') return plain(404, 'there is /metrics');
  if (path === '/canary' && request.method === 'POST') return await runCanary(options);
  if (path === '/lift' && request.method === 'POST') return onSocket(options.lift, query, options);
  if (request.method !== 'GET' && request.method !== 'HEAD') return plain(405, 'GET only');
  switch (path) {
    case '/metrics': {
      const body = await options.metrics.text();
      return { code: 200, type: options.metrics.contentType, body };
    }
    case '/status': {
      const body = `${JSON.stringify(options.status())}\n`;
      return { code: 200, type: 'application/json', body };
    }
    case '/healthz':
      return plain(200, 'ok');
    case '/suggest':
      return onSocket(options.suggest, query, options);
    default:
      return plain(404, 'there are /metrics, /status and /healthz');
  }
}

/** Only the socket's owner and root may open it; on loopback everybody could. */
const UNIX_ONLY = plain(403, 'only on a unix socket (metrics.listen)');

async function runCanary({ canary, listen }: EndpointOptions): Promise<Answer> {
  if (listen.kind !== 'unix') return UNIX_ONLY;
  if (canary === undefined) return plain(404, 'the canary is off (canary.enabled)');
  return { code: 200, type: 'application/json', body: `${JSON.stringify(await canary())}\n` };
}

function onSocket(
  answered: ((query: URLSearchParams) => unknown) | undefined,
  query: string | undefined,
  { listen }: EndpointOptions,
): Answer {
  if (listen.kind !== 'unix') return UNIX_ONLY;
  if (answered === undefined) return plain(404, 'this is not answered here');
  const body = `${JSON.stringify(answered(new URLSearchParams(query)))}\n`;
  return { code: 200, type: 'application/json', body };
}

function isLoopbackHost(host: string | undefined): boolean {
  return host !== undefined && /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i.test(host);
}

function reason(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') return 'the address is in use';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  return code ?? String(error);
}
