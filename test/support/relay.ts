import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * A TCP relay on loopback: with it a test makes a server that is not its own go away, come back and be slow, as the side
 * before the relay sees it. TLS goes through as it is.
 */
export class Relay {
  /** Before each piece of what the server says. */
  slowMs = 0;
  readonly #to: { readonly host: string; readonly port: number };
  readonly #open = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  /** `to` is `host:port`. */
  constructor(to: string) {
    const at = to.lastIndexOf(':');
    this.#to = { host: to.slice(0, at), port: Number(to.slice(at + 1)) };
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** On the port that it had before, if it had one. */
  async start(): Promise<void> {
    const server = createServer((near) => this.#join(near));
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** At once: open connections break. */
  stop(): void {
    this.#server?.close();
    this.#server = undefined;
    for (const socket of this.#open) socket.destroy();
  }

  #join(near: Socket): void {
    const far = connect(this.#to);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#open.add(one);
      one.on('error', () => undefined);
      one.on('close', () => {
        this.#open.delete(one);
        other.destroy();
      });
    }
    near.pipe(far);
    let last = Promise.resolve();
    far.on('data', (piece) => {
      last = last.then(async () => {
        if (this.slowMs > 0) await delay(this.slowMs);
        if (!near.destroyed) near.write(piece);
      });
    });
  }
}
