import { Agent, request } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import type { SecureContext } from 'node:tls';

import type { HttpAddress } from '../../config/receiver-address.ts';
import type { TlsFiles } from '../tls-files.ts';
import { reasonOf } from '../network-reason.ts';
import type { Verdict } from './answer.ts';

/** From the look-up of the name to the last byte of the answer. */
export const REQUEST_TIMEOUT_MS = 10_000;

/** Limit of a response body: a longer one aborts the connection. */
const MAX_BODY_BYTES = 65_536;

/** A connection that was idle for so long is not reused. */
const IDLE_MS = 30_000;

/** A response; its body may be cut at MAX_BODY_BYTES, or where the connection ended. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Where `Poster` sends to. */
export interface PostTarget {
  readonly address: HttpAddress;
  /** Path of a unix socket instead of the address's host and port. */
  readonly socket: string | undefined;
  readonly tls: TlsFiles | undefined;
  readonly serverName: string | undefined;
  /** From the look-up of the name to the last byte of the answer; default REQUEST_TIMEOUT_MS. */
  readonly timeoutMs?: number;
  /** What an answer means. */
  readonly judge: (answer: Answer) => Verdict;
}

/** Sends POST requests over one connection that is kept, one at a time. Follows no redirect. */
export class Poster {
  readonly #target: PostTarget;
  #agent: Agent | undefined;
  #context: SecureContext | undefined;
  #abort: ((reason: string) => void) | undefined;
  #closed = false;
  #connects = 0;
  #connectFailures = 0;

  constructor(target: PostTarget) {
    this.#target = target;
  }

  get connects(): number {
    return this.#connects;
  }

  get connectFailures(): number {
    return this.#connectFailures;
  }

  /** Never rejects; resolves within the timeout. */
  async post(bytes: Buffer, headers: Readonly<Record<string, string>>): Promise<Verdict> {
    const untilMs = performance.now() + (this.#target.timeoutMs ?? REQUEST_TIMEOUT_MS);
    const first = await this.#try(bytes, headers, untilMs);
    // The receiver ended an idle connection while the request was on its way (RFC 9112, 9.3.1).
    return first === 'idle connection ended' ? await this.#lastTry(bytes, headers, untilMs) : first;
  }

  close(): void {
    this.#closed = true;
    this.#abort?.('the agent ends');
    this.#agent?.destroy();
  }

  async #lastTry(
    bytes: Buffer,
    headers: Readonly<Record<string, string>>,
    untilMs: number,
  ): Promise<Verdict> {
    this.#renewAgent();
    const verdict = await this.#try(bytes, headers, untilMs);
    return typeof verdict === 'object'
      ? verdict
      : { kind: 'later', reason: 'it ended the connection' };
  }

  #try(
    bytes: Buffer,
    headers: Readonly<Record<string, string>>,
    untilMs: number,
  ): Promise<Verdict | 'idle connection ended'> {
    if (this.#closed) return Promise.resolve({ kind: 'later', reason: 'the agent ends' });
    const { address, socket, serverName, judge } = this.#target;
    const sent = (address.secure ? secureRequest : request)({
      method: 'POST',
      host: address.host,
      port: address.port,
      path: address.path,
      agent: this.#currentAgent(),
      headers: { ...headers, 'Content-Length': bytes.length, Host: hostHeader(address) },
      ...(socket === undefined ? {} : { socketPath: socket }),
      ...(serverName === undefined ? {} : { servername: serverName }),
    });
    return new Promise((resolve) => {
      let connected = false;
      let answer: IncomingMessage | undefined;
      const body: Buffer[] = [];
      let isDone = false;
      const done = (verdict: Verdict | 'idle connection ended'): void => {
        if (isDone) return;
        isDone = true;
        clearTimeout(timer);
        this.#abort = undefined;
        resolve(verdict);
      };
      const verdict = (it: IncomingMessage): Verdict =>
        judge({ status: it.statusCode ?? 0, headers: it.headers, body: Buffer.concat(body) });
      const stop = (reason: string): void => {
        // What was answered counts, however its body ended.
        done(answer === undefined ? { kind: 'later', reason } : verdict(answer));
        sent.destroy();
      };
      const timer = setTimeout(
        () => stop(connected ? 'it does not answer' : 'no connection to it in time'),
        untilMs - performance.now(),
      );
      this.#abort = stop;
      sent.once('socket', (it) => {
        connected = sent.reusedSocket;
        if (connected) return;
        it.once(address.secure ? 'secureConnect' : 'connect', () => {
          connected = true;
          this.#connects++;
        });
      });
      // No upgrade was requested; Node leaves such a request open.
      sent.once('upgrade', (_, it) => {
        it.destroy();
        stop('it speaks another protocol (101)');
      });
      sent.once('response', (it) => {
        answer = it;
        let length = 0;
        it.on('data', (chunk: Buffer) => {
          length += chunk.length;
          if (length > MAX_BODY_BYTES) stop('');
          else body.push(chunk);
        });
        it.once('error', () => stop(''));
        it.once('end', () => done(verdict(it)));
      });
      sent.on('error', (error) => {
        if (!connected && !isDone) this.#connectFailures++;
        const code = (error as NodeJS.ErrnoException).code ?? '';
        const wasIdle = sent.reusedSocket && answer === undefined;
        if (wasIdle && ['ECONNRESET', 'EPIPE'].includes(code)) done('idle connection ended');
        else stop(reasonOf(error));
      });
      sent.end(bytes);
    });
  }

  /** A new one once the certificates have changed: connections of the old one are not used again. */
  #currentAgent(): Agent {
    const context = this.#target.tls?.current();
    if (this.#agent === undefined || context !== this.#context) {
      this.#context = context;
      this.#renewAgent();
    }
    return this.#agent ?? this.#renewAgent();
  }

  #renewAgent(): Agent {
    this.#agent?.destroy();
    const options = { keepAlive: true, maxSockets: 1, maxFreeSockets: 1, timeout: IDLE_MS };
    const secureContext = this.#context;
    this.#agent =
      secureContext === undefined
        ? new Agent(options)
        : new SecureAgent({ ...options, secureContext, rejectUnauthorized: true });
    return this.#agent;
  }
}

function hostHeader({ host, port, secure }: HttpAddress): string {
  const name = host.includes(':') ? `[${host}]` : host;
  return port === (secure ? 443 : 80) ? name : `${name}:${port}`;
}
