import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import type { LogCacheConfig } from '../config/canary-config.ts';
import type { Logger } from '../shared/logger.ts';
import { TokenFile } from '../streams/http/token-file.ts';
import { reasonOf } from '../streams/network-reason.ts';
import { TlsFiles } from '../streams/tls-files.ts';

const SECTION = 'canary.read.log_cache';

/** The most envelopes that Log Cache gives at once. */
const MAX_ENVELOPES = 1000;

/** Of an answer: what is longer is given up. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** What is asked for. */
export interface LogCacheQuery {
  /** The guid of the app. */
  readonly sourceId: string;
  /** Unix ns of the lines: from the first on, and before the last. */
  readonly fromNs: bigint;
  readonly toNs: bigint;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** The texts of the log lines, or why there is no answer, as the end of a sentence. */
export type LogCacheAnswer = { readonly lines: readonly string[] } | { readonly failed: string };

/**
 * Reads an app's log from the HTTPS interface of Log Cache (`GET /api/v1/read/GUID`), with a client certificate, a bearer token
 * or both. All its data is untrusted: its size is limited, and it is validated before use. Redirects are not followed.
 */
export class LogCache {
  readonly #config: LogCacheConfig;
  readonly #tls: TlsFiles;
  readonly #token: TokenFile | undefined;

  /** Throws UserError when the certificates or the token cannot be used. */
  constructor(config: LogCacheConfig, logger: Logger) {
    this.#config = config;
    this.#tls = new TlsFiles(config.tls, SECTION, logger);
    this.#token =
      config.tokenFile === undefined
        ? undefined
        : new TokenFile(config.tokenFile, `${SECTION}.token_file`, logger);
  }

  /** Never rejects; resolves within `timeoutMs`. */
  read({ sourceId, fromNs, toNs, timeoutMs, signal }: LogCacheQuery): Promise<LogCacheAnswer> {
    const { address, tls } = this.#config;
    const base = address.path.replace(/\/+$/, '');
    const query = `start_time=${fromNs}&end_time=${toNs}&envelope_types=LOG&limit=${MAX_ENVELOPES}&descending=true`;
    const agent = new Agent({ secureContext: this.#tls.current(), rejectUnauthorized: true });
    return new Promise((resolve) => {
      const sent = request({
        host: address.host,
        port: address.port,
        path: `${base}/api/v1/read/${encodeURIComponent(sourceId)}?${query}`,
        agent,
        headers: {
          Accept: 'application/json',
          'User-Agent': 'varvel',
          ...(this.#token === undefined
            ? {}
            : { Authorization: `Bearer ${this.#token.current()}` }),
        },
        ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
      });
      const done = (answer: LogCacheAnswer): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', stop);
        sent.destroy();
        agent.destroy();
        resolve(answer);
      };
      const stop = (): void => done({ failed: 'the agent ends' });
      const timer = setTimeout(() => done({ failed: 'it does not answer' }), timeoutMs);
      if (signal?.aborted === true) stop();
      signal?.addEventListener('abort', stop);
      sent.on('error', (error) => done({ failed: reasonOf(error) }));
      sent.once('upgrade', (_, socket) => {
        socket.destroy();
        done({ failed: 'it speaks another protocol (101)' });
      });
      sent.once('response', (response) => collect(response, done));
      sent.end();
    });
  }
}

function collect(response: IncomingMessage, done: (answer: LogCacheAnswer) => void): void {
  if (response.statusCode !== 200) {
    done({ failed: refusal(response.statusCode ?? 0) });
    return;
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES)
      done({ failed: `its answer is longer than ${MAX_ANSWER_BYTES / 1024 ** 2} MiB` });
  });
  response.once('error', (error) => done({ failed: reasonOf(error) }));
  response.once('end', () => {
    const lines = linesIn(Buffer.concat(chunks).toString('utf8'));
    done(lines === undefined ? { failed: 'its answer is not one of Log Cache’s' } : { lines });
  });
}

function refusal(status: number): string {
  switch (status) {
    case 401:
    case 403:
      return `it rejects the agent’s credentials (${status}); see token_file, cert and key`;
    case 404:
      return 'it has no such app, or the agent is not permitted to read it (404); see canary.app.guid and the user of the token';
    default:
      return `it answers with ${status}`;
  }
}

/** Undefined for what is no `{"envelopes": {"batch": […]}}`. An envelope that is none of a log line says nothing. */
function linesIn(body: string): readonly string[] | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(body);
  } catch {
    return undefined;
  }
  if (!isObject(answer) || !('envelopes' in answer)) return undefined;
  // Without any, JSON made from protobuf may leave out the list, and what holds it.
  const envelopes = answer['envelopes'] ?? {};
  const batch = isObject(envelopes) ? (envelopes['batch'] ?? []) : undefined;
  if (!Array.isArray(batch)) return undefined;
  return batch.slice(0, MAX_ENVELOPES).flatMap((envelope: unknown) => {
    const log = isObject(envelope) ? envelope['log'] : undefined;
    const payload = isObject(log) ? log['payload'] : undefined;
    return typeof payload === 'string' ? [Buffer.from(payload, 'base64').toString('utf8')] : [];
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
