import { finished } from 'node:stream/promises';
import type Docker from 'dockerode';
import { HEAD_BYTES } from './docker-answers.ts';
import { LineSplitter } from './line-splitter.ts';
import type { DockerClient } from './docker-client.ts';

const ACTIONS = ['create', 'start', 'die', 'destroy', 'rename'];
/** A longer event is skipped, and its container asked for by its id. */
export const MAX_EVENT_BYTES = 1024 * 1024;

export interface DockerEventsOptions {
  /** Unix seconds with a fraction: events from then on. */
  readonly since: string;
  /** Ends the connection. */
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
  /** The first HEAD_BYTES of a line that is over MAX_EVENT_BYTES. */
  readonly onCutLine: (head: string) => void;
}

/**
 * Follows the engine's container events. Resolves when the stream is open, rejects when the engine is unreachable.
 * `ended` resolves when the engine closes the connection, and rejects when it breaks.
 */
export async function followDockerEvents(
  docker: DockerClient,
  { since, signal, onLine, onCutLine }: DockerEventsOptions,
): Promise<{ readonly ended: Promise<void> }> {
  const request = {
    filters: { type: ['container'], event: ACTIONS },
    since,
    abortSignal: signal,
  };
  // The package's types lack the signal, and `since` with a fraction.
  const client = await docker();
  const stream = await client.getEvents(request as unknown as Docker.GetEventsOptions);
  const splitter = new LineSplitter(MAX_EVENT_BYTES, HEAD_BYTES);
  stream.on('data', (chunk: Buffer) => {
    for (const { text, cut } of splitter.push(chunk)) {
      if (cut) onCutLine(text);
      else onLine(text);
    }
  });
  const ended = finished(stream, { writable: false });
  // Awaited later: a rejection before that must not count as unhandled.
  ended.catch(() => undefined);
  return { ended };
}
