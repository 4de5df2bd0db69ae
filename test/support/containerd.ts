import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CriTestClient } from './cri-runtime.ts';
import { writeBusyboxTree } from './busybox-tree.ts';
import { removeCgroup } from './cgroup-trees.ts';
import { endProcess, hasEnded, unmountBelow } from './dockerd.ts';
import { processesNaming } from './processes.ts';

const CONTAINERD = '/usr/bin/containerd';
/** Short, because a unix socket's path below it may have at most 107 bytes. */
const HOME_PREFIX = '/tmp/vd-c';
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 20_000;
const IMAGE = 'docker.io/varvel-test/busybox:1';
/** Of `NamespaceMode`. With NODE no network plugin is asked; CONTAINER is what the kubelet takes for pids. */
const NODE = 2;
const CONTAINER = 1;

/** A pod of a test; everything is as the kubelet would have it unless said otherwise. */
export interface PodOptions {
  readonly name?: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Of its cgroup's path below `/kubepods`. Default `burstable`. */
  readonly quality?: 'besteffort' | 'burstable' | '';
  /** Sees the host's processes. */
  readonly hostPid?: boolean;
}

/** A container of a test. */
export interface ContainerOptions {
  /** Default `application`, as Korifi's. */
  readonly name?: string;
  readonly command: readonly string[];
  /** One that `importImage` made; default busybox alone. */
  readonly image?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly mounts?: readonly { host_path: string; container_path: string; readonly?: boolean }[];
  readonly tty?: boolean;
  readonly privileged?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** More of the CRI's LinuxContainerSecurityContext. */
  readonly security?: object;
}

export interface TestPod {
  readonly id: string;
  readonly uid: string;
  readonly config: object;
  readonly namespaces: object;
  readonly logFolder: string;
}

export interface TestContainer {
  readonly id: string;
  readonly pod: TestPod;
  /** In the CRI's log format, written by containerd. */
  readonly logFile: string;
}

/**
 * A real containerd of the test's own, with its CRI plugin, on a private socket, root and state, which does not touch
 * the network: pods are in the host's. Needs root and the Debian packages containerd, runc and busybox-static.
 */
export class TestContainerd {
  readonly socketPath: string;
  readonly stateDir: string;
  /** As the kubelet's, but this test's own: `/kubepods/…` is made by every test. */
  readonly cgroups: string;
  readonly client: CriTestClient;
  readonly #home: string;
  readonly #pods: TestPod[] = [];
  #process: ChildProcess | undefined;

  private constructor(home: string) {
    this.#home = home;
    this.socketPath = join(home, 'state', 'containerd.sock');
    this.stateDir = join(home, 'state');
    this.cgroups = '/kubepods';
    this.client = new CriTestClient(this.socketPath);
  }

  /** Throws an Error with the end of containerd's log when it does not answer in 30 s. */
  static async start(): Promise<TestContainerd> {
    if (!existsSync(CONTAINERD))
      throw new Error(`${CONTAINERD} is missing: apt-get install containerd`);
    const containerd = new TestContainerd(mkdtempSync(HOME_PREFIX));
    try {
      mkdirSync(containerd.stateDir, { recursive: true });
      writeFileSync(join(containerd.#home, 'config.toml'), containerd.#config());
      await containerd.startDaemon();
      containerd.importImage(IMAGE);
      return containerd;
    } catch (error) {
      await containerd[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Resolves when it answers; at once when it runs. */
  async startDaemon(): Promise<void> {
    if (this.#process !== undefined) return;
    const log = openSync(this.#logPath, 'a');
    // A test process that dies takes its containerd along.
    const command = [
      '--pdeathsig',
      'TERM',
      CONTAINERD,
      '--config',
      join(this.#home, 'config.toml'),
    ];
    const child = spawn('setpriv', command, {
      stdio: ['ignore', log, log],
      env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', HOME: this.#home },
    });
    closeSync(log);
    this.#process = child;
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        await this.client.ask('Version');
        return;
      } catch {
        if (hasEnded(child) || Date.now() > deadline) break;
        await delay(50);
      }
    }
    throw new Error(`containerd did not start:\n${this.log().split('\n').slice(-15).join('\n')}`);
  }

  /** Containers go on without it. */
  async stopDaemon(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || hasEnded(child)) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }

  /** The process that answers, to hold it up. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  log(): string {
    return existsSync(this.#logPath) ? readFileSync(this.#logPath, 'utf8') : '';
  }

  /** Makes a pod's sandbox. */
  async runPod(options: PodOptions = {}): Promise<TestPod> {
    const uid = randomUUID();
    const { name = `pod-${uid}`, namespace = 'default', quality = 'burstable' } = options;
    const namespaces = { network: NODE, pid: options.hostPid === true ? NODE : CONTAINER };
    const logFolder = join(this.#home, 'logs', `${namespace}_${name}_${uid}`);
    mkdirSync(logFolder, { recursive: true });
    const own = {
      'io.kubernetes.pod.name': name,
      'io.kubernetes.pod.namespace': namespace,
      'io.kubernetes.pod.uid': uid,
    };
    const config = {
      metadata: { name, namespace, uid, attempt: 0 },
      log_directory: logFolder,
      labels: { ...options.labels, ...own },
      annotations: { 'kubernetes.io/config.source': 'api', ...options.annotations },
      linux: {
        cgroup_parent: join(this.cgroups, quality, `pod${uid}`),
        security_context: { namespace_options: namespaces },
      },
    };
    const { pod_sandbox_id: id } = await this.client.ask('RunPodSandbox', { config });
    const pod = { id: String(id), uid, config, namespaces, logFolder };
    this.#pods.push(pod);
    return pod;
  }

  /** Makes and starts a container in the pod. */
  async runContainer(pod: TestPod, options: ContainerOptions): Promise<TestContainer> {
    const { name = 'application', command, mounts = [], labels = {}, image = IMAGE } = options;
    const { metadata } = pod.config as { metadata: { name: string; namespace: string } };
    const { container_id: id } = await this.client.ask('CreateContainer', {
      pod_sandbox_id: pod.id,
      sandbox_config: pod.config,
      config: {
        metadata: { name, attempt: 0 },
        image: { image, user_specified_image: image },
        command,
        envs: Object.entries(options.env ?? {}).map(([key, value]) => ({ key, value })),
        mounts,
        labels: {
          'io.kubernetes.container.name': name,
          'io.kubernetes.pod.name': metadata.name,
          'io.kubernetes.pod.namespace': metadata.namespace,
          'io.kubernetes.pod.uid': pod.uid,
          ...labels,
        },
        log_path: `${name}.log`,
        tty: options.tty === true,
        linux: {
          security_context: {
            privileged: options.privileged === true,
            namespace_options: pod.namespaces,
            ...options.security,
          },
        },
      },
    });
    await this.client.ask('StartContainer', { container_id: id });
    return { id: String(id), pod, logFile: join(pod.logFolder, `${name}.log`) };
  }

  /** Runs a command in the container; its exit code. */
  async exec(container: TestContainer, command: readonly string[]): Promise<number> {
    const request = { container_id: container.id, cmd: command, timeout: 20 };
    return Number((await this.client.ask('ExecSync', request))['exit_code']);
  }

  /** Ends and forgets a pod with its containers, as the kubelet does. */
  async removePod(pod: TestPod): Promise<void> {
    await this.client.ask('StopPodSandbox', { pod_sandbox_id: pod.id });
    await this.client.ask('RemovePodSandbox', { pod_sandbox_id: pod.id });
    removeCgroup(join(this.cgroups, 'burstable', `pod${pod.uid}`));
    // It may be gone already.
    const at = this.#pods.indexOf(pod);
    if (at >= 0) this.#pods.splice(at, 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process !== undefined) {
      for (const pod of [...this.#pods]) await this.removePod(pod).catch(() => undefined);
    }
    this.client.close();
    await this.stopDaemon();
    await this.#endShims();
    for (const pod of this.#pods)
      for (const quality of ['', 'burstable', 'besteffort'])
        removeCgroup(join(this.cgroups, quality, `pod${pod.uid}`));
    const others = readdirSync('/tmp').some((name) => {
      const path = join('/tmp', name);
      return path.startsWith(HOME_PREFIX) && path !== this.#home;
    });
    if (!others) removeCgroup(this.cgroups);
    unmountBelow(this.#home);
    rmSync(this.#home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }

  get #logPath(): string {
    return join(this.#home, 'log');
  }

  /** Everything below one folder, nothing that listens on the network but on loopback, no network plugin. */
  #config(): string {
    const cri = 'plugins."io.containerd.grpc.v1.cri"';
    return `version = 2
root = "${this.#home}/root"
state = "${this.stateDir}"
[grpc]
address = "${this.socketPath}"
[${cri}]
sandbox_image = "${IMAGE}"
disable_apparmor = true
restrict_oom_score_adj = true
stream_server_address = "127.0.0.1"
[${cri}.cni]
bin_dir = "${this.#home}/cni"
conf_dir = "${this.#home}/cni"
[${cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.runc.options]
Root = "${this.stateDir}/runc"
`;
  }

  /** An image of a busybox tree that sleeps by default (a pod's sandbox runs it as well), with these files in it. */
  importImage(name: string, files: Readonly<Record<string, string>> = {}): void {
    const folder = mkdtempSync(join(this.#home, 'image-'));
    const tree = join(folder, 'tree');
    mkdirSync(tree);
    writeBusyboxTree(tree);
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(tree, path)), { recursive: true });
      writeFileSync(join(tree, path), text);
    }
    run('tar', [
      '--numeric-owner',
      '--owner=0',
      '--group=0',
      '-C',
      tree,
      '-cf',
      `${folder}/layer.tar`,
      '.',
    ]);
    const diffId = createHash('sha256')
      .update(readFileSync(`${folder}/layer.tar`))
      .digest('hex');
    const config = {
      architecture: 'amd64',
      os: 'linux',
      config: { Cmd: ['/bin/sleep', '1000000'], Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin'] },
      rootfs: { type: 'layers', diff_ids: [`sha256:${diffId}`] },
    };
    writeFileSync(`${folder}/config.json`, JSON.stringify(config));
    const manifest = [{ Config: 'config.json', RepoTags: [name], Layers: ['layer.tar'] }];
    writeFileSync(`${folder}/manifest.json`, JSON.stringify(manifest));
    run('tar', [
      '-C',
      folder,
      '-cf',
      `${folder}/image.tar`,
      'manifest.json',
      'config.json',
      'layer.tar',
    ]);
    run('ctr', [
      '--address',
      this.socketPath,
      '-n',
      'k8s.io',
      'images',
      'import',
      `${folder}/image.tar`,
    ]);
    rmSync(folder, { recursive: true });
  }

  /** Shims outlive their containerd; they are known by their arguments, which name its socket. */
  async #endShims(): Promise<void> {
    for (const { pid } of processesNaming(this.socketPath)) await endProcess(pid);
  }
}

function run(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} failed: ${error?.message ?? stderr}`);
}
