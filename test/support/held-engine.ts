// A way to an engine's socket on which answers can be held back: an agent does not know then whose new containers are.
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface HeldEngine {
  readonly socketPath: string;
  /** From now on the engine's answers and events wait. */
  hold(): void;
  /** They come now, in their order. */
  release(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function holdableEngine(engineSocket: string): Promise<HeldEngine> {
  const folder = mkdtempSync(join(tmpdir(), 'varvel-held-'));
  const socketPath = join(folder, 'docker.sock');
  const ends = new Map<Socket, Socket>();
  let isHeld = false;
  const server = createServer((client) => {
    const engine = connect(engineSocket);
    ends.set(client, engine);
    const close = (): void => {
      ends.delete(client);
      client.destroy();
      engine.destroy();
    };
    for (const end of [client, engine]) end.on('error', close).on('close', close);
    client.on('data', (bytes: Buffer) => engine.write(bytes));
    engine.on('data', (bytes: Buffer) => client.write(bytes));
    if (isHeld) engine.pause();
  });
  server.listen(socketPath);
  await once(server, 'listening');
  return {
    socketPath,
    hold: () => {
      isHeld = true;
      for (const engine of ends.values()) engine.pause();
    },
    release: () => {
      isHeld = false;
      for (const engine of ends.values()) engine.resume();
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of ends.keys()) client.destroy();
      server.close();
      await once(server, 'close');
      rmSync(folder, { recursive: true });
    },
  };
}
