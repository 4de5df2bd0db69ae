import type { Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';

import { Client, Transport } from 'syslog-client';

import { reasonOf } from '../network-reason.ts';
import { SyslogFailure } from './connection.ts';
import type { OpenSyslog, SyslogConnection } from './connection.ts';

/**
 * Uses `syslog-client` for its UDP socket only, with complete messages. Its own format has no structured data, uses the agent's
 * pid as PROCID, and adds a newline. Its TCP is not used: it has no octet counting and no TLS. It takes ten idle seconds for an
 * error, and cannot tell a connection that the receiver closed from an open one.
 */
class MessageClient extends Client {
  override buildFormattedMessage(message: string): Buffer {
    return Buffer.from(message);
  }
}

/**
 * How long a batch waits for an ICMP error (no listener). An idle host's kernel reports it at once, a busy one's after up to 16
 * ms (Linux 6.18, two cores, eight loops). One datagram in 20,000 never gets one (all measured).
 */
const ANSWER_MS = 20;

/**
 * UDP (RFC 5426): one message per datagram. The name is resolved once per connection, not per datagram. Delivery is not
 * confirmed. A missing listener is reported by the remote kernel, for some earlier datagram. Such a batch counts as lost as a
 * whole, and is sent again.
 */
export function datagramOpener(target: {
  readonly host: string;
  readonly port: number;
}): OpenSyslog {
  return async (signal) => {
    try {
      const ended = new Promise<never>((_, reject) => {
        const abort = (): void => reject(new SyslogFailure(reasonOf(signal.reason)));
        if (signal.aborted) abort();
        else signal.addEventListener('abort', abort, { once: true });
      });
      ended.catch(() => undefined);
      const { address } = await Promise.race([lookup(target.host), ended]);
      return await open(address, target.port);
    } catch (error) {
      if (error instanceof SyslogFailure) throw error;
      throw new SyslogFailure(reasonOf(error), { cause: error });
    }
  };
}

async function open(address: string, port: number): Promise<SyslogConnection> {
  const client = new MessageClient(address, { port, transport: Transport.Udp });
  // The client forgets a socket that had an error, without closing it.
  client.on('error', () => undefined);
  const socket = await new Promise<Socket>((resolve, reject) => {
    client.getTransport((error, it) => (error === null ? resolve(it) : reject(error)));
  });
  try {
    // The kernel reports a missing listener only for a connected socket.
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(port, address, () => {
        socket.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    socket.close();
    throw error;
  }
  // The socket knows now; Node takes no address beside.
  client.target = '';
  client.port = 0;
  return new DatagramConnection(client, socket);
}

class DatagramConnection implements SyslogConnection {
  readonly onFailure = 'lost';
  readonly stale = false;
  readonly doubtSinceMs = Number.POSITIVE_INFINITY;
  readonly #client: Client;
  readonly #socket: Socket;
  #broken: string | undefined;
  #closed = false;

  constructor(client: Client, socket: Socket) {
    this.#client = client;
    this.#socket = socket;
    socket.on('error', (error) => this.destroy(reasonOf(error)));
  }

  get broken(): string | undefined {
    return this.#broken;
  }

  async write(message: string): Promise<void> {
    if (this.#broken !== undefined) throw new SyslogFailure(this.#broken);
    await new Promise<void>((resolve, reject) => {
      this.#client.log(message, (error) => {
        if (error === undefined) {
          resolve();
          return;
        }
        const failure = asFailure(error);
        if (!failure.refused) this.destroy(failure.message);
        reject(failure);
      });
    });
  }

  /** An error that a distant host reports later shows in the next batch. */
  async settle(): Promise<void> {
    await delay(ANSWER_MS);
    // If the event loop was blocked, the timer fires first: pending socket errors are read before the check.
    await turn();
    if (this.#broken !== undefined) throw new SyslogFailure(this.#broken);
  }

  onBroken(listener: () => void): void {
    this.#socket.once('close', listener);
  }

  destroy(reason: string): void {
    this.#broken ??= reason;
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    this.destroy('the agent ends');
    return closed;
  }
}

/** The package makes a new error of the socket's: "dgram.send() failed: send EMSGSIZE 127.0.0.1:514". */
function asFailure(error: Error): SyslogFailure {
  const code = /\bE[A-Z]{3,}\b/.exec(error.message)?.[0];
  const cause = code === undefined ? error : Object.assign(new Error(error.message), { code });
  return new SyslogFailure(reasonOf(cause), { refused: code === 'EMSGSIZE', cause: error });
}
