import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { replaceControls } from '../../shared/text.ts';
import { UserError } from '../../shared/user-error.ts';

/** Of a page or a request this much is looked at. */
const MAX_BYTES = 4 * 1024 * 1024;
const POLL_MS = 1000;
const ASK_MS = 10_000;
const MAX_CONNECTIONS = 100;

/** What is known of the alert. */
export interface PageFacts {
  /** When the text was first seen, of `performance.now()`. */
  readonly seenAtMs: number | undefined;
  /** Requests or answers that came without it. */
  readonly others: number;
  /** Why the last look failed; undefined when it did not. */
  readonly failure: string | undefined;
}

/** Where an alert is to come to. */
export interface PageWatch {
  readonly facts: PageFacts;
  /** For people: what is looked at. */
  readonly where: string;
  /** Before the drill. Throws UserError where it would not work. */
  start(): Promise<void>;
  /** Takes another text for the alert's as well: an id that is known only once the line is there. */
  also(text: string): void;
  stop(): Promise<void>;
}

/** Asks a URL until its answer has the text, which it must not have before. */
export class PagePoll implements PageWatch {
  readonly where: string;
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #text: string;
  readonly #pollMs: number;
  #also: string | undefined;
  readonly #stopped = new AbortController();
  #facts: PageFacts = { seenAtMs: undefined, others: 0, failure: undefined };

  constructor(url: URL, headers: Readonly<Record<string, string>>, text: string, pollMs = POLL_MS) {
    this.#pollMs = pollMs;
    this.#url = url;
    this.#headers = headers;
    this.#text = text;
    // A key may be in the query.
    this.where = `${url.origin}${url.pathname}`;
  }

  get facts(): PageFacts {
    return this.#facts;
  }

  async start(): Promise<void> {
    const before = await this.#look().catch((error: unknown) => {
      throw new UserError(
        `--expect: ${this.where} cannot be looked at: ${reasonOf(error)}. The drill was not begun.`,
      );
    });
    if (before.includes(this.#text)) {
      throw new UserError(
        `--expect: ${this.where} has "${this.#text.slice(0, 100)}" already, so it could not tell of this drill. End the alert of an earlier drill first, or look for another text (--expect-text). The drill was not begun.`,
      );
    }
    void this.#poll();
  }

  also(text: string): void {
    this.#also = text;
  }

  stop(): Promise<void> {
    this.#stopped.abort();
    return Promise.resolve();
  }

  async #poll(): Promise<void> {
    const { signal } = this.#stopped;
    while (this.#facts.seenAtMs === undefined) {
      await delay(this.#pollMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const body = await this.#look();
        const { others } = this.#facts;
        this.#facts = hasOne(body, this.#text, this.#also)
          ? { seenAtMs: performance.now(), others, failure: undefined }
          : { seenAtMs: undefined, others: others + 1, failure: undefined };
      } catch (error) {
        this.#facts = { ...this.#facts, failure: reasonOf(error) };
      }
    }
  }

  async #look(): Promise<string> {
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(ASK_MS)]);
    // Not followed: the headers may hold a key, which is for this address alone.
    const asked = { headers: this.#headers, signal, redirect: 'manual' } as const;
    const response = await fetch(this.#url, asked);
    if (!response.ok) {
      await response.body?.cancel();
      throw new Error(`it answers ${response.status}${hintOf(response.status)}`);
    }
    return await textOf((response.body ?? []) as AsyncIterable<Uint8Array>);
  }
}

const hasOne = (body: string, text: string, other: string | undefined): boolean =>
  body.includes(text) || (other !== undefined && body.includes(other));

function hintOf(status: number): string {
  if (status === 401 || status === 403) return ': give a key with --header';
  if (status >= 300 && status < 400) return ', elsewhere: give that address';
  return '';
}

/** Is the webhook itself: takes requests until one has the text in its body or its address. */
export class PageListener implements PageWatch {
  readonly #host: string;
  readonly #port: number;
  readonly #text: string;
  #also: string | undefined;
  readonly #server: Server;
  #facts: PageFacts = { seenAtMs: undefined, others: 0, failure: undefined };

  constructor(host: string, port: number, text: string) {
    this.#host = host;
    this.#port = port;
    this.#text = text;
    this.#server = createServer({ requestTimeout: ASK_MS, headersTimeout: ASK_MS });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void this.#take(request, response);
    });
  }

  get facts(): PageFacts {
    return this.#facts;
  }

  get where(): string {
    const address = this.#server.address() as AddressInfo | null;
    const host = this.#host.includes(':') ? `[${this.#host}]` : this.#host;
    return `http://${host}:${address?.port ?? this.#port}/`;
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        const reasons: Record<string, string> = {
          EADDRINUSE: 'something else listens there',
          EADDRNOTAVAIL: 'this host has no such address',
          EACCES: 'not allowed; take a port above 1023',
        };
        const reason = reasons[error.code ?? ''] ?? error.message;
        reject(new UserError(`--listen ${this.#host}:${this.#port}: ${reason}.`));
      });
      this.#server.listen(this.#port, this.#host, resolve);
    });
  }

  also(text: string): void {
    this.#also = text;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const body = await textOf(request as AsyncIterable<Uint8Array>);
      if (this.#facts.seenAtMs === undefined) {
        const found = hasOne(`${body}\n${request.url ?? ''}`, this.#text, this.#also);
        const { others } = this.#facts;
        this.#facts = {
          seenAtMs: found ? performance.now() : undefined,
          others: found ? others : others + 1,
          failure: undefined,
        };
      }
      response.end('ok\n');
    } catch {
      // Whoever asked has gone: what it said is not whole.
      response.destroy();
    }
  }
}

/** Up to MAX_BYTES of it; the rest is read and left out. */
async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const kept: Uint8Array[] = [];
  let room = MAX_BYTES;
  for await (const chunk of chunks) {
    if (room > 0) kept.push(chunk.subarray(0, room));
    room -= chunk.length;
  }
  return Buffer.concat(kept).toString('utf8');
}

function reasonOf(error: unknown): string {
  const { message, cause, name } = error as Error;
  if (name === 'TimeoutError') return `no answer within ${ASK_MS / 1000} s`;
  // Node's fetch says what happened in the cause.
  const said = cause instanceof Error && cause.message !== '' ? cause.message : message;
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  return replaceControls(said === '' ? (code ?? 'unknown error') : said);
}
