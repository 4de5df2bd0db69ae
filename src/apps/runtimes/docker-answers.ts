import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { ArraySplitter } from './array-splitter.ts';
import type { DockerClient } from './docker-client.ts';

/** Limit on a container's description in a list. A longer one is requested by its id. */
export const MAX_LISTED_BYTES = 1024 * 1024;
/** Limit on the answer to one request. At most 8 are in flight. */
export const MAX_ANSWER_BYTES = 8 * 1024 * 1024;
/** Bytes kept of a text that is too long: the part that names the container comes first. */
export const HEAD_BYTES = 4096;

const REASONS = { 200: true, 404: 'not found', 500: 'server error' } as const;

/**
 * The unread body of an answer. `options` are the query of a path that ends with `?`. Rejects with an error that has
 * `statusCode` when the engine does not answer 200.
 */
async function openAnswer(
  docker: DockerClient,
  path: string,
  abortSignal: AbortSignal,
  options?: object,
): Promise<Readable> {
  const client = await docker();
  return new Promise((resolve, reject) => {
    const how = { isStream: true, statusCodes: REASONS, abortSignal };
    const request = { path, method: 'GET', ...how, ...(options === undefined ? {} : { options }) };
    // The package's own calls read a whole answer into memory, however long it is; its types lack the signal.
    const modem = client.modem as { dial: (request: object, done: DialDone) => void };
    modem.dial(request, (error, body) => {
      if (error !== null && error !== undefined) reject(error);
      else resolve(body as Readable);
    });
  });
}

type DialDone = (error: Error | null | undefined, body: unknown) => void;

/**
 * The JSON that the engine answers; undefined when it has more than MAX_ANSWER_BYTES. Rejects when there is no answer, with
 * `statusCode` where the engine gave one.
 */
export async function askDocker(
  docker: DockerClient,
  path: string,
  signal: AbortSignal,
): Promise<unknown> {
  const body = await openAnswer(docker, path, signal);
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Leaving the loop destroys the body, and with it the connection.
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) return undefined;
    chunks.push(chunk);
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}

/**
 * All containers of the engine, one by one as they arrive: the parsed description, or the id alone of one whose description
 * has more than MAX_LISTED_BYTES. Rejects when the engine does not answer, or not to the end.
 */
export async function* listContainers(
  docker: DockerClient,
  signal: AbortSignal,
): AsyncGenerator<{ readonly info: Docker.ContainerInfo } | { readonly oversizedId: string }> {
  const body = await openAnswer(docker, '/containers/json?', signal, { all: true });
  const splitter = new ArraySplitter(MAX_LISTED_BYTES, HEAD_BYTES);
  for await (const chunk of body as AsyncIterable<Buffer>) {
    for (const { text, cut } of splitter.push(chunk)) {
      if (!cut) yield { info: JSON.parse(text) as Docker.ContainerInfo };
      else {
        const id = /^\{"Id":"([0-9a-f]{64})"/.exec(text)?.[1];
        if (id !== undefined) yield { oversizedId: id };
      }
    }
  }
  if (!splitter.isComplete) throw new Error('the list of containers was cut off');
}

/** Why there is no connection, as a sentence with what to do. */
export function sentenceOf(error: unknown, path: string): string {
  const { code } = error as NodeJS.ErrnoException;
  const tail = 'Docker containers cannot be identified until then; trying again.';
  switch (code) {
    case 'ENOENT':
      return `There is no Docker socket at ${path}: start Docker, or set runtimes.docker.socket to its path. ${tail}`;
    case 'ECONNREFUSED':
      return `Nothing listens on the Docker socket ${path}: start Docker. ${tail}`;
    case 'EACCES':
      return `The agent is not permitted to open the Docker socket ${path}: run it as root. ${tail}`;
    default:
      return `The Docker engine at ${path} does not answer (${reasonOf(error)}). ${tail}`;
  }
}

/** The system's code, or the message. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as Partial<NodeJS.ErrnoException>;
  return code ?? message ?? 'unknown reason';
}
