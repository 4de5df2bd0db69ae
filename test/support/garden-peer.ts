import { givenGarden, type GivenGarden } from './garden-api.ts';
import { GardenCell } from './garden-cell.ts';

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

/** The Garden that the variables name (`givenGarden`). Without them the tests' own, in a cgroup hierarchy of this host. */
export async function startGardenPeer(): Promise<GardenPeer> {
  const given = givenGarden();
  if (given !== undefined) return new RealGarden(given);
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
  readonly #given: GivenGarden;
  readonly #handles = new Set<string>();

  constructor(given: GivenGarden) {
    this.#given = given;
    this.socketPath = given.api.socketPath;
    this.root = given.root;
  }

  create(handle: string, properties: Readonly<Record<string, string>>): Promise<void> {
    this.#handles.add(handle);
    return this.#given.api.create(handle, this.#given.rootfs, properties);
  }

  async run(handle: string, script: string): Promise<void> {
    const spec = { path: '/bin/sh', args: ['-c', script], user: 'root' };
    await (
      await this.#given.api.run(handle, spec)
    ).ended;
  }

  set(handle: string, property: string, value: string): Promise<void> {
    return this.#given.api.set(handle, property, value);
  }

  async destroy(handle: string): Promise<void> {
    await this.#given.api.destroy(handle);
    this.#handles.delete(handle);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const handle of this.#handles) await this.destroy(handle).catch(() => undefined);
  }
}
