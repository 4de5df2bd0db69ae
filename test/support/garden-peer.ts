import { request } from 'node:http';
import { GardenCell } from './garden-cell.ts';

const PREFIX = 'VARVEL_TEST_GARDEN_';

/** A Garden with containers, the tests' own or a real one. Dispose it: what was created by it is destroyed. */
export interface GardenPeer extends AsyncDisposable {
  readonly socketPath: string;
  /** The cgroup in which its containers are. */
  readonly root: string;
  create(handle: string, properties: Readonly<Record<string, string>>): Promise<void>;
  /** Runs a script in the container; what it prints goes nowhere. */
  run(handle: string, script: string): Promise<void>;
  set(handle: string, property: string, value: string): Promise<void>;
  destroy(handle: string): Promise<void>;
}

/**
 * The Garden that the variables name, each after VARVEL_TEST_GARDEN_: SOCKET, CGROUP (in which its containers are: `/garden`)
 * and ROOTFS (as its API takes it: `raw:///path` of a tree with /bin/sh and cat). Without them the tests' own, in a cgroup
 * hierarchy of this host.
 */
export async function startGardenPeer(): Promise<GardenPeer> {
  const socketPath = process.env[`${PREFIX}SOCKET`];
  if (socketPath !== undefined) {
    return new RealGarden(socketPath, variable('CGROUP'), variable('ROOTFS'));
  }
  const cell = new GardenCell('v1');
  await cell.server.start();
  return new OwnGarden(cell);
}

class OwnGarden implements GardenPeer {
  readonly socketPath: string;
  readonly root: string;
  readonly #cell: GardenCell;

  constructor(cell: GardenCell) {
    this.#cell = cell;
    this.socketPath = cell.server.socketPath;
    this.root = cell.root;
  }

  create(handle: string, properties: Readonly<Record<string, string>>): Promise<void> {
    this.#cell.server.begin(handle);
    this.#cell.mkdir(`/${handle}`);
    this.#cell.server.create(handle, properties);
    return Promise.resolve();
  }

  async run(handle: string, script: string): Promise<void> {
    await this.#cell.run(`/${handle}`, ['/bin/sh', '-c', script]).ended;
  }

  set(handle: string, property: string, value: string): Promise<void> {
    this.#cell.server.set(handle, property, value);
    return Promise.resolve();
  }

  async destroy(handle: string): Promise<void> {
    await this.#cell.rmdir(`/${handle}`);
    this.#cell.server.destroy(handle);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#cell[Symbol.asyncDispose]();
  }
}

/** By its HTTP API, as Diego's executor uses it. */
class RealGarden implements GardenPeer {
  readonly socketPath: string;
  readonly root: string;
  readonly #rootfs: string;
  readonly #handles = new Set<string>();

  constructor(socketPath: string, root: string, rootfs: string) {
    this.socketPath = socketPath;
    this.root = root;
    this.#rootfs = rootfs;
  }

  async create(handle: string, properties: Readonly<Record<string, string>>): Promise<void> {
    this.#handles.add(handle);
    await this.#ask('POST', '/containers', { handle, rootfs: this.#rootfs, properties });
  }

  async run(handle: string, script: string): Promise<void> {
    const process = { path: '/bin/sh', args: ['-c', script], user: 'root' };
    await this.#ask('POST', `/containers/${handle}/processes`, process);
  }

  async set(handle: string, property: string, value: string): Promise<void> {
    await this.#ask('PUT', `/containers/${handle}/properties/${property}`, { value });
  }

  async destroy(handle: string): Promise<void> {
    await this.#ask('DELETE', `/containers/${handle}`);
    this.#handles.delete(handle);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const handle of this.#handles) await this.destroy(handle).catch(() => undefined);
  }

  #ask(method: string, path: string, body?: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      const asked = request(
        {
          ...{ socketPath: this.socketPath, method, path, agent: false, timeout: 30_000 },
          headers: { 'content-type': 'application/json' },
        },
        (response) => {
          let answer = '';
          response.setEncoding('utf8').on('data', (text: string) => (answer += text));
          const status = response.statusCode ?? 0;
          const isFine = status >= 200 && status < 300;
          if (isFine) {
            // What follows for a process is no HTTP any more, and its end is not waited for.
            response.on('error', () => undefined);
            asked.off('error', reject).on('error', () => undefined);
            resolve();
          } else response.on('error', reject);
          response.on('end', () => {
            if (!isFine) reject(new Error(`${method} ${path}: ${status} ${answer}`));
          });
        },
      );
      asked.on('timeout', () => asked.destroy(new Error(`${method} ${path}: no answer`)));
      asked.on('error', reject);
      asked.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

function variable(name: string): string {
  const value = process.env[PREFIX + name];
  if (value === undefined) throw new Error(`${PREFIX}SOCKET needs ${PREFIX}${name} too`);
  return value;
}
