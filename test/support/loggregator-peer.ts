import { setTimeout as delay } from 'node:timers/promises';
import { SILENT_LOGGER } from '../../src/shared/logger.ts';
import {
  IngressConnection,
  type IngressOptions,
} from '../../src/streams/loggregator/ingress-connection.ts';
import { Authority } from './certificates.ts';
import { until } from './e2e-agent.ts';
import { LoggregatorServer, type ReceivedEnvelope } from './loggregator-server.ts';
import { Relay } from './relay.ts';

/** A forwarder whose downstream was not there tries again after two minutes at most. */
const DOWNSTREAM_MS = 150_000;

const PREFIX = 'VARVEL_TEST_LOGGREGATOR_';

/**
 * What is on the other side of an agent's loggregator stream: the tests' own server, or a real forwarder agent with that
 * server as one of its downstreams. The variables that name a real one: ADDRESS (host:port), CA, CERT and KEY (paths of PEM
 * files; the certificate is a client's), DOWNSTREAM_PORT (where on 127.0.0.1 the forwarder sends what it takes),
 * DOWNSTREAM_CERT and DOWNSTREAM_KEY (a server's, with the name `metron`), each after VARVEL_TEST_LOGGREGATOR_.
 */
export class LoggregatorPeer {
  /** Of the stream's configuration. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** A component that is not the tests' own is in between. */
  readonly real: boolean;
  readonly #server: LoggregatorServer;
  readonly #relay: Relay | undefined;

  private constructor(
    server: LoggregatorServer,
    client: { readonly ca: string; readonly cert: string; readonly key: string },
    relay?: Relay,
  ) {
    this.#server = server;
    this.#relay = relay;
    this.real = relay !== undefined;
    ({ ca: this.ca, cert: this.cert, key: this.key } = client);
  }

  /** `folder` is for certificates, where they have to be made. Throws when only some of the variables are set. */
  static async start(folder: string): Promise<LoggregatorPeer> {
    const address = process.env[`${PREFIX}ADDRESS`];
    if (address === undefined) {
      const authority = new Authority(folder);
      const server = new LoggregatorServer(authority.ca, authority.issue('metron'));
      await server.start();
      return new LoggregatorPeer(server, { ca: authority.ca, ...authority.issue('varvel') });
    }
    const ca = variable('CA');
    const server = new LoggregatorServer(
      ca,
      { cert: variable('DOWNSTREAM_CERT'), key: variable('DOWNSTREAM_KEY') },
      Number(variable('DOWNSTREAM_PORT')),
    );
    await server.start();
    const client = { address, ca, cert: variable('CERT'), key: variable('KEY') };
    try {
      await arrive(server, client);
    } catch (error) {
      server.stop();
      throw error;
    }
    const relay = new Relay(address);
    await relay.start();
    return new LoggregatorPeer(server, client, relay);
  }

  /** Where the agent sends. */
  get address(): string {
    return (this.#relay ?? this.#server).address;
  }

  /** Everything that has arrived, in that order; may be emptied. */
  get envelopes(): ReceivedEnvelope[] {
    return this.#server.envelopes;
  }

  /** Before each answer. */
  set slowMs(slowMs: number) {
    (this.#relay ?? this.#server).slowMs = slowMs;
  }

  /** Goes away, at once, as far as the agent can see. */
  stop(): void {
    (this.#relay ?? this.#server).stop();
  }

  /** Comes back where it was. */
  async restart(): Promise<void> {
    await (this.#relay ?? this.#server).start();
  }

  close(): void {
    this.#relay?.stop();
    this.#server.stop();
  }
}

/** Sends through the forwarder until something of it is here: it makes its connection to us when it has something to send. */
async function arrive(
  server: LoggregatorServer,
  client: Omit<IngressOptions, 'serverName'>,
): Promise<void> {
  const ingress = new IngressConnection({ ...client, serverName: 'metron' }, SILENT_LOGGER);
  const hello = {
    timestamp: '1',
    sourceId: 'varvel-test',
    instanceId: '0',
    tags: {},
    log: { payload: Buffer.from('hello'), type: 'OUT' as const },
  };
  try {
    await until(
      'the forwarder agent sends to the tests',
      async () => {
        await ingress.send([hello]);
        await delay(500);
        return server.envelopes.length > 0;
      },
      DOWNSTREAM_MS,
    );
    // Those that came after the first.
    await delay(1000);
    server.envelopes.length = 0;
  } finally {
    await ingress.close();
  }
}

function variable(name: string): string {
  const value = process.env[PREFIX + name];
  if (value === undefined) throw new Error(`${PREFIX}ADDRESS needs ${PREFIX}${name} too`);
  return value;
}
