import { request } from 'node:http';
import { QuestionError } from './question-error.ts';

/** A question to Garden. */
export interface GardenQuestion {
  readonly socketPath: string;
  /** With its query, encoded. */
  readonly path: string;
  readonly timeoutMs: number;
  /** Limit on the answer. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
}

/**
 * Asks Garden's API (HTTP over a unix socket) and resolves to the JSON of its answer. Rejects with a QuestionError,
 * also for an answer that takes over `timeoutMs` or has over `maxBytes`.
 */
export function askGarden(question: GardenQuestion): Promise<unknown> {
  const { socketPath, path, timeoutMs, maxBytes, signal } = question;
  return new Promise((resolve, reject) => {
    // One connection per request: if Garden closed an idle one, the next request on it would fail.
    const options = { socketPath, path, agent: false, headers: { accept: 'application/json' } };
    const asked = request(options, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('error', onError);
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > maxBytes) fail('answer', `more than ${maxBytes} bytes in one answer`);
        else chunks.push(chunk);
      });
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        if (status !== 200) fail('answer', `HTTP status ${status}`);
        else
          try {
            const answer = JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
            end();
            resolve(answer);
          } catch {
            fail('answer', 'an answer that is no JSON');
          }
      });
    });
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const fail = (kind: QuestionError['kind'], message: string, code?: string): void => {
      end();
      reject(new QuestionError(kind, message, code));
      asked.destroy();
    };
    const onError = (error: NodeJS.ErrnoException): void =>
      fail('unreachable', error.message, error.code);
    const onAbort = (): void => fail('unreachable', 'stopped');
    const timer = setTimeout(
      () => fail('slow', `no answer within ${timeoutMs / 1000} s`),
      timeoutMs,
    ).unref();
    asked.on('error', onError);
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    asked.end();
  });
}
