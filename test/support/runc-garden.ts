import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeBusyboxTree } from './busybox-tree.ts';
import { cgroupMounts } from './cgroup-trees.ts';
import { unmountBelow } from './dockerd.ts';
import { GardenCell, removeCgroup } from './garden-cell.ts';

/** Where this host has its programs and what they need. */
const TOOLS = ['/usr', '/bin', '/lib', '/lib64', '/etc'];
/** Only a hang takes as long. */
const RUNC_MS = 120_000;

/** A process that runs in a container: it ends with the container, at the latest. */
export interface ContainerProcess {
  readonly ended: Promise<number | null>;
}

/**
 * A cell whose containers are real ones, made with runc as Garden makes them: a first process that does nothing, the droplet
 * unpacked from outside, and everything else by exec or as a sidecar ("pea"). Sidecars have an image and a mount namespace of
 * their own and share the container's other namespaces. Garden's API is the tests' own. Dispose it: containers are killed.
 */
export class RuncGarden {
  readonly cell: GardenCell;
  readonly #containers = new Map<string, { pid: number; readonly sidecars: string[] }>();
  readonly #state: string;

  private constructor(cell: GardenCell) {
    this.cell = cell;
    this.#state = join(cell.folder, 'runc');
  }

  static async start(): Promise<RuncGarden> {
    const cell = new GardenCell('v1');
    await cell.server.start();
    return new RuncGarden(cell);
  }

  /** Where the container's files are, seen from the host. */
  rootOf(id: string): string {
    return join(this.cell.folder, 'bundles', id, 'rootfs');
  }

  /** Makes the container, with its first process; then Garden tells of it. With `tools` it has this host's programs. */
  async create(
    handle: string,
    properties: Readonly<Record<string, string>>,
    { tools = false }: { readonly tools?: boolean } = {},
  ): Promise<void> {
    const { server, root } = this.cell;
    server.begin(handle);
    this.#bundle(handle, ['sleep', '1000000'], `${root}/${handle}`, {}, tools ? TOOLS : []);
    await this.#run(handle);
    const pid = Number(readFileSync(this.#pidFile(handle), 'utf8'));
    this.#containers.set(handle, { pid, sidecars: [] });
    server.create(handle, properties);
  }

  /** As a droplet is unpacked: from outside, folder by folder. */
  unpack(handle: string, files: Readonly<Record<string, string>>): void {
    for (const [path, text] of Object.entries(files)) {
      const whole = join(this.rootOf(handle), path);
      mkdirSync(dirname(whole), { recursive: true });
      writeFileSync(whole, text);
    }
  }

  /** Runs a shell script in the container, as the app and diego-sshd are. */
  exec(handle: string, script: string): ContainerProcess {
    return this.execProgram(handle, ['/bin/sh', '-c', script]);
  }

  /** Runs a program in the container, as Garden does. */
  execProgram(handle: string, command: readonly string[]): ContainerProcess {
    return { ended: this.#ended(['exec', handle, ...command]) };
  }

  /** Puts a script of test/support into the container, where it can be run. */
  install(handle: string, path: string, script: string): void {
    this.unpack(handle, { [path]: readFileSync(join(import.meta.dirname, script), 'utf8') });
    this.makeExecutable(handle, path);
  }

  makeExecutable(handle: string, path: string): void {
    chmodSync(join(this.rootOf(handle), path), 0o755);
  }

  /** Diego's programs (test/support/diego-programs.c), in the container's /tmp/lifecycle. */
  installDiego(handle: string): void {
    const folder = join(this.rootOf(handle), 'tmp/lifecycle');
    mkdirSync(folder, { recursive: true });
    const source = join(import.meta.dirname, 'diego-programs.c');
    const built = join(this.cell.folder, 'diego-programs');
    const { status, stderr } = spawnSync('gcc', ['-O2', '-static', '-o', built, source, '-lutil'], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`diego-programs.c does not compile: ${stderr}`);
    for (const name of ['diego-sshd', 'shell', 'launcher', 'builder'])
      copyFileSync(built, join(folder, name));
  }

  /**
   * Runs a shell script as a sidecar named `suffix`, whose image has these files: in a cgroup inside the container's, or beside
   * it, as with limits of its own. Resolves when it runs.
   */
  async sidecar(
    handle: string,
    suffix: string,
    script: string,
    { beside = false, files = {} }: { beside?: boolean; files?: Record<string, string> } = {},
  ): Promise<void> {
    const container = this.#containers.get(handle);
    if (container === undefined) throw new Error(`no container ${handle}`);
    const id = `${handle}-${suffix}`;
    const { root } = this.cell;
    const cgroup = beside ? `${root}/${id}` : `${root}/${handle}/${id}`;
    const shared = Object.fromEntries(
      ['pid', 'ipc', 'uts'].map((kind) => [kind, `/proc/${container.pid}/ns/${kind}`]),
    );
    this.#bundle(id, ['/bin/sh', '-c', script], cgroup, shared);
    this.unpack(id, files);
    container.sidecars.push(id);
    await this.#run(id);
  }

  async destroy(handle: string): Promise<void> {
    const container = this.#containers.get(handle);
    this.#containers.delete(handle);
    for (const id of [...(container?.sidecars ?? []), handle]) {
      await this.#ended(['delete', '--force', id]);
      rmSync(dirname(this.rootOf(id)), { recursive: true, force: true });
    }
    this.cell.server.destroy(handle);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const handle of [...this.#containers.keys()]) await this.destroy(handle);
    unmountBelow(this.cell.folder);
    const { root } = this.cell;
    await this.cell[Symbol.asyncDispose]();
    // runc makes what is above its cgroups in every hierarchy, and leaves it there.
    for (const mount of cgroupMounts()) {
      for (const path of [root, dirname(root)]) await removeCgroup(join(mount, path));
    }
  }

  get #log(): string {
    return join(this.cell.folder, 'runc.log');
  }

  #pidFile(id: string): string {
    return join(dirname(this.rootOf(id)), 'pid');
  }

  async #run(id: string): Promise<void> {
    const bundle = dirname(this.rootOf(id));
    const code = await this.#ended([
      'run',
      '--detach',
      '--bundle',
      bundle,
      '--pid-file',
      this.#pidFile(id),
      id,
    ]);
    if (code !== 0) throw new Error(`runc run ${id} ended: ${readFileSync(this.#log, 'utf8')}`);
  }

  async #ended(args: readonly string[]): Promise<number | null> {
    const child = spawn('runc', ['--root', this.#state, '--log', this.#log, ...args], {
      stdio: 'ignore',
      timeout: RUNC_MS,
    });
    const [code] = (await once(child, 'exit')) as [number | null];
    return code;
  }

  #copyImage(rootfs: string): void {
    // A thousand links: made once.
    const image = join(this.cell.folder, 'image');
    if (mkdirSync(image, { recursive: true }) !== undefined) writeBusyboxTree(image);
    const { status } = spawnSync('cp', ['-a', image, rootfs]);
    if (status !== 0) throw new Error(`the image could not be copied to ${rootfs}`);
  }

  #bundle(
    id: string,
    args: readonly string[],
    cgroupsPath: string,
    shared: Readonly<Record<string, string>>,
    folders: readonly string[] = [],
  ): void {
    const rootfs = this.rootOf(id);
    mkdirSync(dirname(rootfs), { recursive: true });
    if (folders.length === 0) this.#copyImage(rootfs);
    for (const folder of [...folders, '/tmp', '/var/tmp'])
      mkdirSync(join(rootfs, folder), { recursive: true });
    const namespaces = ['mount', 'pid', 'ipc', 'uts'].map((type) => {
      const path = shared[type];
      return path === undefined ? { type } : { type, path };
    });
    const capabilities = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_KILL'];
    const spec = {
      ociVersion: '1.0.2',
      process: {
        terminal: false,
        args,
        cwd: '/',
        env: ['PATH=/usr/bin:/bin', 'HOME=/tmp'],
        user: { uid: 0, gid: 0 },
        capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
        noNewPrivileges: true,
      },
      root: { path: 'rootfs', readonly: false },
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
        {
          destination: '/dev/pts',
          type: 'devpts',
          source: 'devpts',
          options: ['newinstance', 'ptmxmode=0666', 'mode=0620'],
        },
        ...folders.map((folder) => ({
          destination: folder,
          type: 'bind',
          source: folder,
          options: ['rbind', 'ro'],
        })),
      ],
      linux: { cgroupsPath, namespaces },
    };
    writeFileSync(join(dirname(rootfs), 'config.json'), JSON.stringify(spec));
  }
}
