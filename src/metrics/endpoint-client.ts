import { request } from 'node:http';

import { formatListenAddress } from '../config/listen-address.ts';
import type { ListenAddress } from '../config/listen-address.ts';
import { UserError } from '../shared/user-error.ts';

/** An answer is read up to this size. */
const ANSWER_MAX_BYTES = 64 * 1024 * 1024;

/** Throws UserError unless it is a unix socket: what is not for everybody on the host is answered nowhere else. */
export function requireSocket({ kind }: ListenAddress): void {
  if (kind !== 'unix')
    throw new UserError(
      'The agent takes this on a unix socket only: set metrics.listen to one, such as unix:/run/varvel/metrics.sock.',
    );
}

/**
 * Asks the agent that runs on this host, as `varvel status` does: `path` is `/status`, `/metrics`, `/healthz` or
 * `/suggest`, by POST `/canary` or `/lift`. Throws UserError when no agent answers within `timeoutMs`.
 */
export async function askAgent(
  listen: ListenAddress,
  path: string,
  timeoutMs = 5000,
  method: 'GET' | 'POST' = 'GET',
): Promise<string> {
  if (listen.kind === 'off') {
    throw new UserError('The agent’s endpoint is off (metrics.listen), so it cannot be asked.');
  }
  const where = formatListenAddress(listen);
  const target =
    listen.kind === 'unix'
      ? { socketPath: listen.path, host: 'localhost' }
      : { host: listen.host, port: listen.port };
  return await new Promise<string>((resolve, reject) => {
    const fail = (message: string, cause?: unknown): void =>
      reject(new UserError(message, { cause }));
    const asked = request(
      { ...target, path, method, agent: false, signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk);
          bytes += chunk.length;
          if (bytes > ANSWER_MAX_BYTES) {
            response.destroy();
            fail(`The answer on ${where} is too large to be an agent's.`);
          }
        });
        response.on('error', (error) => fail(`The agent on ${where} broke off its answer.`, error));
        response.on('end', () => {
          const body = Buffer.concat(chunks).toString('utf8');
          if (response.statusCode === 200) resolve(body);
          else fail(`The agent on ${where} answered ${path} with ${response.statusCode ?? 0}.`);
        });
      },
    );
    asked.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED')
        fail(
          `No agent answers on ${where}: start one with "varvel agent", or name its configuration with --config.`,
          error,
        );
      else if (error.code === 'EACCES' || error.code === 'EPERM')
        fail(`Not allowed to ask the agent on ${where}: run this as root.`, error);
      else if (error.name === 'AbortError' || error.name === 'TimeoutError')
        fail(`The agent on ${where} does not answer: it is very busy, or stopped.`, error);
      else fail(`Cannot ask the agent on ${where}: ${error.code ?? error.message}.`, error);
    });
    asked.end();
  });
}
