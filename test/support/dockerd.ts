import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { finished } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import Docker from 'dockerode';
import { writeBusyboxTree } from './busybox-tree.ts';
import { cgroupMounts, removeCgroupTree, removeEmpty } from './cgroup-trees.ts';
import { processesNaming } from './processes.ts';
import { takeSharedEngine } from './shared-engine.ts';

const DOCKERD = '/usr/sbin/dockerd';
/** Short, because a unix socket's path below it may have at most 107 bytes. */
const HOME_PREFIX = '/tmp/vd-';
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 20_000;
const LEFTOVER_WAIT_MS = 5_000;

/** Options of `startDockerd`. */
export interface DockerdOptions {
  /** Default: dockerd's own choice here, `cgroupfs`. Only that one works without systemd. */
  readonly cgroupDriver?: 'cgroupfs';
  /** More arguments for dockerd. */
  readonly extraArgs?: readonly string[];
  /** For a test that stops it, or has it beside another: not the one that all tests of this run share. */
  readonly own?: boolean;
}

/** A real dockerd of the test's own. Dispose it: nothing of it is left behind then. */
export interface TestDockerd {
  readonly socketPath: string;
  readonly dataRoot: string;
  /** Container FIFOs are at `<execRoot>/containerd/<id>/<id>-stdout`. */
  readonly execRoot: string;
  /** `overlay2`, or `vfs` where overlay cannot be mounted (then files have no upper layer). */
  readonly storageDriver: 'overlay2' | 'vfs';
  /** What it and its containerd log. */
  readonly logPath: string;
  readonly docker: Docker;
  /** Imports a busybox-static tree as an image and returns its name, once per name and daemon. */
  importBusybox(name?: string): Promise<string>;
  /** stopDaemon and startDaemon, on the same socket. */
  restart(): Promise<void>;
  /** Containers end with it, unless `--live-restore` is among the extra arguments. */
  stopDaemon(): Promise<void>;
  /** Resolves when the engine answers; throws an Error with the end of dockerd's log otherwise. */
  startDaemon(): Promise<void>;
  /** What dockerd and containerd logged so far. */
  log(): string;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * The engine that all tests of this run share, if run.mjs has started one. Else starts dockerd on a private socket, data root and
 * exec root, without touching the network: containers get loopback only (give one that starts twice `NetworkMode: 'none'`: there is
 * no bridge to join again). Needs root and the Debian packages docker.io and busybox-static. Throws an Error with the end of
 * dockerd's log when the engine does not come up in 30 s.
 */
export async function startDockerd(options: DockerdOptions = {}): Promise<TestDockerd> {
  const shared = Object.keys(options).length === 0 ? takeSharedEngine() : undefined;
  if (shared !== undefined) return shared;
  if (!existsSync(DOCKERD)) throw new Error(`${DOCKERD} is missing: apt-get install docker.io`);
  const home = mkdtempSync(HOME_PREFIX);
  let lastError: unknown;
  for (const storageDriver of ['overlay2', 'vfs'] as const) {
    const daemon = new PrivateDockerd(home, storageDriver, options);
    try {
      await daemon.startDaemon();
      return daemon;
    } catch (error) {
      lastError = error;
      if (storageDriver === 'overlay2' && /overlay|storage-driver/i.test(daemon.log())) {
        console.error('note: overlay2 does not work here, using vfs: no file has an upper layer');
        await daemon.stopDaemon();
        continue;
      }
      await daemon[Symbol.asyncDispose]();
      break;
    }
  }
  throw lastError;
}

class PrivateDockerd implements TestDockerd {
  readonly socketPath: string;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly storageDriver: 'overlay2' | 'vfs';
  readonly logPath: string;
  readonly docker: Docker;
  readonly #home: string;
  readonly #options: DockerdOptions;
  readonly #images = new Map<string, Promise<string>>();
  #process: ChildProcess | undefined;

  constructor(home: string, storageDriver: 'overlay2' | 'vfs', options: DockerdOptions) {
    this.#home = home;
    this.#options = options;
    this.storageDriver = storageDriver;
    this.socketPath = join(home, 'docker.sock');
    this.dataRoot = join(home, 'data');
    this.execRoot = join(home, 'exec');
    this.logPath = join(home, 'log');
    this.docker = new Docker({ socketPath: this.socketPath });
  }

  async startDaemon(): Promise<void> {
    if (this.#process !== undefined) return;
    const log = openSync(this.logPath, 'a');
    const argv = [
      DOCKERD,
      `--host=unix://${this.socketPath}`,
      `--data-root=${this.dataRoot}`,
      `--exec-root=${this.execRoot}`,
      `--pidfile=${join(this.#home, 'docker.pid')}`,
      // Own names also where a system containerd is found and used: nothing is shared with its dockerd.
      `--containerd-namespace=varvel-${basename(this.#home)}`,
      `--containerd-plugins-namespace=varvel-plugins-${basename(this.#home)}`,
      `--storage-driver=${this.storageDriver}`,
      '--iptables=false',
      '--ip6tables=false',
      '--ip-forward=false',
      '--ip-masq=false',
      '--bridge=none',
      ...(this.#options.cgroupDriver === undefined
        ? []
        : [`--exec-opt=native.cgroupdriver=${this.#options.cgroupDriver}`]),
      ...(this.#options.extraArgs ?? []),
    ];
    // An empty config directory: the host's /etc/docker/daemon.json must not change what is tested.
    argv.push(`--config-file=${this.#emptyConfig()}`);
    // A test process that dies takes its dockerd along (which takes its containerd along).
    const child = spawn('setpriv', ['--pdeathsig', 'TERM', ...argv], {
      stdio: ['ignore', log, log],
      env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', HOME: this.#home },
    });
    closeSync(log);
    this.#process = child;
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        await this.docker.ping();
        return;
      } catch {
        if (hasEnded(child) || Date.now() > deadline) break;
        await delay(50);
      }
    }
    await this.stopDaemon();
    throw new Error(`dockerd did not start:\n${this.log().split('\n').slice(-15).join('\n')}`);
  }

  async stopDaemon(): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    this.#process = undefined;
    const containerd = this.#containerdPid();
    if (!hasEnded(child)) {
      await this.#killContainers();
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await ended;
      clearTimeout(timer);
    }
    if (containerd !== undefined) await endProcess(containerd);
  }

  async restart(): Promise<void> {
    await this.stopDaemon();
    await this.startDaemon();
  }

  importBusybox(name = 'varvel-test/busybox'): Promise<string> {
    let image = this.#images.get(name);
    if (image === undefined) {
      image = this.#import(name);
      this.#images.set(name, image);
    }
    return image;
  }

  log(): string {
    return existsSync(this.logPath) ? readFileSync(this.logPath, 'utf8') : '';
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ids = this.#containerIds();
    if (this.#process !== undefined) {
      const removals = ids.map((id) =>
        this.docker
          .getContainer(id)
          .remove({ force: true })
          .catch(() => undefined),
      );
      await Promise.all(removals);
    }
    await this.stopDaemon();
    await this.#endShims();
    unmountBelow(this.#home);
    rmSync(this.#home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    await removeCgroups(ids, this.#home);
  }

  /** What dockerd would do by itself, without the ten seconds it gives each container first. */
  async #killContainers(): Promise<void> {
    if (this.#options.extraArgs?.includes('--live-restore') === true) return;
    try {
      const running = await this.docker.listContainers();
      await Promise.all(
        running.map(({ Id }) =>
          this.docker
            .getContainer(Id)
            .kill()
            .catch(() => undefined),
        ),
      );
    } catch {
      // an engine that does not answer is stopped all the same
    }
  }

  #emptyConfig(): string {
    const path = join(this.#home, 'daemon.json');
    writeFileSync(path, '{}\n');
    return path;
  }

  #containerIds(): string[] {
    const folder = join(this.dataRoot, 'containers');
    return existsSync(folder) ? readdirSync(folder) : [];
  }

  #containerdPid(): number | undefined {
    const path = join(this.execRoot, 'containerd/containerd.pid');
    if (!existsSync(path)) return undefined;
    const pid = Number(readFileSync(path, 'utf8').trim());
    return Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  }

  async #import(name: string): Promise<string> {
    const tree = mkdtempSync(join(this.#home, 'tree-'));
    try {
      writeBusyboxTree(tree);
      const tar = spawn(
        'tar',
        ['--numeric-owner', '--owner=0', '--group=0', '-C', tree, '-c', '.'],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      const changes = ['CMD ["/bin/sh"]', 'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin'];
      const answer = await this.docker.importImage(tar.stdout, {
        repo: name,
        tag: 'latest',
        changes,
      });
      let text = '';
      answer.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      await finished(answer, { writable: false });
      if (text.includes('"error"')) throw new Error(`image import failed: ${text}`);
      return name;
    } finally {
      rmSync(tree, { recursive: true, force: true });
    }
  }

  /** Shims that outlive a killed containerd are known by their arguments: they name our containerd's socket. */
  async #endShims(): Promise<void> {
    for (const { pid } of processesNaming(`${this.execRoot}/containerd/`)) await endProcess(pid);
  }
}

/** Ends every mount below the folder. */
export function unmountBelow(folder: string): void {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${folder}/`));
  for (const path of mounts.reverse()) spawnSync('umount', ['--lazy', path]);
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Ends it, by force after five seconds. */
export async function endProcess(pid: number): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (!isAlive(pid)) return;
    try {
      process.kill(pid, signal);
    } catch {
      return;
    }
    const deadline = Date.now() + LEFTOVER_WAIT_MS;
    while (isAlive(pid) && Date.now() < deadline) await delay(20);
  }
}

/** What a killed dockerd leaves: the containers' cgroups, and `/docker` itself when nobody else uses it. */
async function removeCgroups(ids: readonly string[], home: string): Promise<void> {
  const deadline = Date.now() + LEFTOVER_WAIT_MS;
  for (const mount of cgroupMounts()) {
    const parent = join(mount, 'docker');
    for (const id of ids) {
      const path = join(parent, id);
      while (existsSync(path) && !removeCgroupTree(path) && Date.now() < deadline) await delay(20);
    }
    // Another test's dockerd may be about to create a container in it. What a killed test left has none.
    const others = readdirSync('/tmp')
      .map((name) => join('/tmp', name))
      .some((other) => other !== home && other.startsWith(HOME_PREFIX) && engineRuns(other));
    if (!others && existsSync(parent)) removeEmpty(parent);
  }
}

function engineRuns(home: string): boolean {
  try {
    const pid = readFileSync(join(home, 'docker.pid'), 'utf8').trim();
    return readFileSync(`/proc/${pid}/comm`, 'utf8') === 'dockerd\n';
  } catch {
    return false;
  }
}
