// What we use of the package, which has no types. `buildFormattedMessage` and `getTransport` are not in its README: its
// version is pinned, and the integration test against a real receiver sees every byte that they make.
declare module 'syslog-client' {
  import type { Socket } from 'node:dgram';
  import type { EventEmitter } from 'node:events';

  export const Transport: { readonly Tcp: 1; readonly Udp: 2 };

  export class Client extends EventEmitter {
    constructor(target: string, options: { port: number; transport: 1 | 2 });
    target: string;
    port: number;
    /** The bytes of a message: header, message and a newline. */
    buildFormattedMessage(message: string): Buffer;
    /** Calls back with the socket that `log` uses. */
    getTransport(done: (error: Error | null, socket: Socket) => void): void;
    log(message: string, done: (error?: Error) => void): this;
    close(): this;
  }
}
