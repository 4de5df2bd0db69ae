import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { givenGarden, type GardenApi, type GivenGarden } from './garden-api.ts';
import type { GardenServer } from './garden-server.ts';
import { RuncGarden, type ContainerProcess } from './runc-garden.ts';

/** What Diego's executor gives a health check. */
const CHECK_LIMITS = { memory_limits: { limit_in_bytes: 256 * 1024 * 1024 } };
/** Where a droplet goes. */
const HOME = '/home/vcap';

/** A cell with containers as Diego's executor makes them, with the tests' Garden or a real one. Dispose it: they are destroyed. */
export interface Cell extends AsyncDisposable {
  readonly socketPath: string;
  /** The cgroup in which its containers are. */
  readonly root: string;
  /** The tests' own Garden; undefined for a real one. */
  readonly server: GardenServer | undefined;
  create(handle: string, properties: Readonly<Record<string, string>>): Promise<void>;
  /** Unpacks a droplet, which is below /home/vcap. */
  unpack(handle: string, files: Readonly<Record<string, string>>): void | Promise<void>;
  /** Runs a shell script in the container, as the app and diego-sshd are. */
  exec(handle: string, script: string): ContainerProcess;
  /** Runs a shell script with an image of its own, in a cgroup in the container's or beside it. Resolves when it runs. */
  sidecar(
    handle: string,
    suffix: string,
    script: string,
    options?: { readonly beside?: boolean },
  ): Promise<void>;
  destroy(handle: string): Promise<void>;
  /** Stops Garden and starts it again; undefined where nobody can. */
  readonly restart: (() => Promise<void>) | undefined;
}

/** The cell of the Garden that the variables name (`givenGarden`), else one of the tests' own. */
export async function startCell(): Promise<Cell> {
  const given = givenGarden();
  if (given !== undefined) return new RealCell(given);
  return new OwnCell(await RuncGarden.start());
}

class OwnCell implements Cell {
  readonly #garden: RuncGarden;
  readonly server: GardenServer;
  readonly root: string;
  readonly restart: () => Promise<void>;

  constructor(garden: RuncGarden) {
    this.#garden = garden;
    const { server, root } = garden.cell;
    this.server = server;
    this.root = root;
    this.restart = async () => {
      await server.stop();
      await server.start();
    };
  }

  get socketPath(): string {
    return this.server.socketPath;
  }

  create(handle: string, properties: Readonly<Record<string, string>>): Promise<void> {
    return this.#garden.create(handle, properties);
  }

  unpack(handle: string, files: Readonly<Record<string, string>>): void {
    this.#garden.unpack(handle, files);
  }

  exec(handle: string, script: string): ContainerProcess {
    return this.#garden.exec(handle, script);
  }

  sidecar(
    handle: string,
    suffix: string,
    script: string,
    options: { readonly beside?: boolean } = {},
  ): Promise<void> {
    return this.#garden.sidecar(handle, suffix, script, options);
  }

  destroy(handle: string): Promise<void> {
    return this.#garden.destroy(handle);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#garden[Symbol.asyncDispose]();
  }
}

class RealCell implements Cell {
  readonly server = undefined;
  readonly root: string;
  readonly restart: (() => Promise<void>) | undefined;
  readonly #api: GardenApi;
  readonly #rootfs: string;
  readonly #handles = new Set<string>();

  constructor({ api, root, rootfs, restart }: GivenGarden) {
    this.#api = api;
    this.root = root;
    this.#rootfs = rootfs;
    if (restart !== undefined) {
      this.restart = async () => {
        await promisify(execFile)('/bin/sh', ['-c', restart]);
      };
    }
  }

  get socketPath(): string {
    return this.#api.socketPath;
  }

  create(handle: string, properties: Readonly<Record<string, string>>): Promise<void> {
    this.#handles.add(handle);
    return this.#api.create(handle, this.#rootfs, properties);
  }

  unpack(handle: string, files: Readonly<Record<string, string>>): Promise<void> {
    return this.#api.streamIn(handle, HOME, files);
  }

  exec(handle: string, script: string): ContainerProcess {
    const spec = { path: '/bin/sh', args: ['-c', script], user: 'vcap' };
    const ended = this.#api.run(handle, spec).then((started) => started.ended);
    ended.catch(() => undefined);
    return { ended };
  }

  async sidecar(
    handle: string,
    suffix: string,
    script: string,
    { beside = false }: { readonly beside?: boolean } = {},
  ): Promise<void> {
    await this.#api.run(handle, {
      id: `${handle}-${suffix}`,
      path: '/bin/sh',
      args: ['-c', script],
      user: '0:0',
      image: { uri: this.#rootfs },
      ...(beside ? { limits: CHECK_LIMITS } : {}),
    });
  }

  async destroy(handle: string): Promise<void> {
    await this.#api.destroy(handle);
    this.#handles.delete(handle);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const handle of this.#handles) await this.destroy(handle).catch(() => undefined);
  }
}
