import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';

import type { SyslogAddress } from '../../config/receiver-address.ts';
import type { TlsFiles } from '../tls-files.ts';
import { reasonOf } from '../network-reason.ts';
import { SyslogFailure } from './connection.ts';
import type { OpenSyslog, SyslogConnection } from './connection.ts';

/** Detects a peer that vanished without closing, after some minutes, also when nothing is sent. */
const KEEP_ALIVE_MS = 60_000;

/** How long one unresponsive address delays the next: Node's default of 250 ms is shorter than a far round trip. */
const NEXT_ADDRESS_MS = 2000;

/** How long to wait for a TLS 1.3 server's session ticket, which shows that it accepts us. */
const TICKET_WAIT_MS = 1000;

/** A receiver that rejects us after accepting (a sender list, a check of our certificate) does so at once. */
const VERDICT_WAIT_MS = 100;

/**
 * Age of the messages that may be lost when a connection breaks. Data can cross an orderly close on its way, or follow data that TLS has
 * not passed on; after a reset anything may be lost. The first value is below the idle timeout of receivers and balancers, so
 * an idle close costs nothing.
 */
const DOUBT_AFTER_END_MS = 5000;
const DOUBT_AFTER_RESET_MS = 60_000;

const CLOSE_WAIT_MS = 2000;

/** What `streamOpener` connects to: `serverName` is the one in the certificate. */
export interface StreamTarget {
  readonly address: Exclude<SyslogAddress, { kind: 'udp' }>;
  readonly tls: TlsFiles | undefined;
  readonly serverName: string | undefined;
}

/**
 * TCP, TLS (RFC 5425) and unix stream sockets, with octet counting (RFC 6587, 3.4.1). So a message may hold any byte, and a cut frame is
 * recognised.
 *
 * "Written" means that the kernel has it: syslog has no acknowledgement. Data in both kernels' buffers is lost when the receiver dies.
 * Measured with rsyslog on one host: some 100 lines of 2 KB when it ended in order under load, 4 MB when it was stuck and killed, 200 KB on
 * a unix socket. Linux shows the difference: closing a socket with unread data resets the connection, closing one that was read completely
 * ends it. `doubtSinceMs` follows from that.
 */
export function streamOpener(target: StreamTarget): OpenSyslog {
  return (signal) =>
    new Promise((resolve, reject) => {
      const { address, tls } = target;
      const secureContext = tls?.current();
      const at =
        address.kind === 'unix'
          ? { path: address.path }
          : {
              host: address.host,
              port: address.port,
              autoSelectFamily: true,
              autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS,
            };
      const socket =
        secureContext === undefined
          ? connect(at)
          : connectTls({
              ...at,
              secureContext,
              rejectUnauthorized: true,
              ...(target.serverName === undefined ? {} : { servername: target.serverName }),
            });
      const fail = (error: unknown): void => {
        done();
        socket.on('error', () => {
          /* told already */
        });
        socket.destroy();
        reject(new SyslogFailure(reasonOf(error), { cause: error }));
      };
      const onAbort = (): void => fail(signal.reason);
      const onEnd = (): void => fail('it ended the connection');
      const ready = (): void => {
        done();
        const isStale = (): boolean => tls !== undefined && tls.current() !== secureContext;
        resolve(new StreamConnection(socket, isStale));
      };
      let waiting: NodeJS.Timeout | undefined;
      let looking: NodeJS.Immediate | undefined;
      // If the event loop was blocked, the timer fires first: pending data is read before the connection counts as ready.
      const readyAfter = (ms: number): void => {
        waiting = setTimeout(() => (looking = setImmediate(ready)), ms);
      };
      const onConnected = (): void => {
        // Data written to a receiver that is about to reject us is lost. With TLS 1.3 we are ready before it has checked our
        // certificate. Its session ticket comes after that check; not every server sends one.
        const looked = !(socket instanceof TLSSocket) || socket.getProtocol() !== 'TLSv1.3';
        if (!looked) socket.once('session', onLooked);
        readyAfter(looked ? VERDICT_WAIT_MS : TICKET_WAIT_MS);
      };
      // The ticket event fires within OpenSSL's read: a write at that point garbles the connection.
      const onLooked = (): void => {
        clearTimeout(waiting);
        clearImmediate(looking);
        readyAfter(VERDICT_WAIT_MS);
      };
      const done = (): void => {
        clearTimeout(waiting);
        clearImmediate(looking);
        signal.removeEventListener('abort', onAbort);
        socket.off('error', fail).off('end', onEnd).off('close', onEnd).off('session', onLooked);
        socket.off('connect', onConnected).off('secureConnect', onConnected);
      };
      socket.once('error', fail).once('end', onEnd).once('close', onEnd);
      socket.once(secureContext === undefined ? 'connect' : 'secureConnect', onConnected);
      // The data is ignored, but only a reader learns of the end of the stream.
      socket.resume();
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort);
    });
}

class StreamConnection implements SyslogConnection {
  readonly onFailure = 'kept';
  readonly #socket: Socket;
  readonly #isStale: () => boolean;
  #broken: string | undefined;
  #doubtSinceMs = Number.POSITIVE_INFINITY;
  #onBroken: (() => void) | undefined;

  constructor(socket: Socket, isStale: () => boolean) {
    this.#socket = socket;
    this.#isStale = isStale;
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.on('error', (error) => this.destroy(reasonOf(error)));
    socket.on('end', () => this.#break('it ended the connection', DOUBT_AFTER_END_MS));
    socket.on('close', () => this.destroy('it ended the connection'));
  }

  get broken(): string | undefined {
    return this.#broken;
  }

  get doubtSinceMs(): number {
    return this.#doubtSinceMs;
  }

  get stale(): boolean {
    return this.#isStale();
  }

  write(message: string): Promise<void> {
    const { promise, resolve, reject } = withResolvers();
    if (this.#broken !== undefined) {
      reject(new SyslogFailure(this.#broken));
      return promise;
    }
    const frame = Buffer.from(`${Buffer.byteLength(message)} ${message}`);
    // Called when all data is in the kernel, not just in Node's buffer.
    this.#socket.write(frame, (error) => {
      if (error === null || error === undefined) {
        resolve();
        return;
      }
      this.destroy(reasonOf(error));
      reject(new SyslogFailure(this.#broken ?? reasonOf(error), { cause: error }));
    });
    return promise;
  }

  /** Each write has waited for the kernel: nothing is left to drain. */
  settle(): Promise<void> {
    return this.#broken === undefined
      ? Promise.resolve()
      : Promise.reject(new SyslogFailure(this.#broken));
  }

  onBroken(listener: () => void): void {
    this.#onBroken = listener;
  }

  destroy(reason: string): void {
    this.#break(reason, DOUBT_AFTER_RESET_MS);
  }

  #break(reason: string, doubtMs: number): void {
    if (this.#broken === undefined) {
      this.#broken = reason;
      this.#doubtSinceMs = performance.now() - doubtMs;
      this.#onBroken?.();
    }
    this.#socket.destroy();
  }

  async close(): Promise<void> {
    if (this.#broken !== undefined) return;
    this.#broken = 'the agent ends';
    const { promise, resolve } = withResolvers();
    const late = setTimeout(() => this.#socket.destroy(), CLOSE_WAIT_MS);
    this.#socket.once('close', () => resolve());
    this.#socket.end();
    await promise;
    clearTimeout(late);
  }
}

function withResolvers(): {
  promise: Promise<void>;
  resolve: () => void;
  reject: (error: Error) => void;
} {
  let resolve = (): void => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
