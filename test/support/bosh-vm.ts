import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const MANIFESTS = join(import.meta.dirname, '../../manifests');
export const BOSH = join(MANIFESTS, 'bosh');
export const JOB = join(BOSH, 'jobs/varvel');
const VCAP = '/var/vcap';

/** What became of a job's templates: files by their path below the job's folder, and which properties were looked at. */
export interface Rendered {
  readonly files: Readonly<Record<string, string>>;
  readonly asked: readonly string[];
}

/** Renders the job with real ERB. Throws an Error with the template's own message when one raises. */
export function renderJob(properties: object): Rendered {
  const { stdout, stderr, status } = spawnSync(
    'ruby',
    [join(import.meta.dirname, 'bosh-erb.rb'), JOB],
    { input: JSON.stringify({ properties }), encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`ruby: ${stderr}`);
  const result = JSON.parse(stdout) as Rendered & { error?: string };
  if (result.error !== undefined) throw new Error(result.error);
  return result;
}

/** Makes the release's folder with `prepare.sh`, in `folder/name`. */
export function prepareRelease(folder: string, name = 'release'): string {
  const release = join(folder, name);
  const { status, stdout, stderr } = spawnSync('bash', [join(BOSH, 'prepare.sh'), release], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`prepare.sh: ${stdout}${stderr}`);
  return release;
}

/** How a command on the VM ended, and what it said. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What packaging scripts may use: the stemcell's tools, but no compiler and no npm. */
const TOOLS = ['bash', 'sh', 'tar', 'gzip', 'getconf', 'awk', 'sort', 'head', 'cat', 'dirname'];

/**
 * A folder that is `/var/vcap` to the commands that run on it (in a mount namespace each): packages are installed and jobs
 * rendered there as a BOSH agent lays them out. Dispose it.
 */
export class BoshVm {
  readonly root = mkdtempSync(join(tmpdir(), 'varvel-bosh-'));
  readonly #madeVcap: boolean;
  /** Folders that are mounted over others, by where. */
  readonly mounts = new Map<string, string>();

  constructor() {
    this.#madeVcap = !existsSync(VCAP);
    if (this.#madeVcap) mkdirSync(VCAP);
    for (const folder of ['packages', 'jobs', 'data', 'sys/run', 'sys/log', 'tools'])
      mkdirSync(join(this.root, folder), { recursive: true });
    for (const tool of TOOLS) {
      const { stdout } = spawnSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' });
      symlinkSync(stdout.trim(), join(this.root, 'tools', tool));
    }
  }

  /** Runs the package's own script, without a network, a compiler or npm. Its blobs may be changed by `edit` before. */
  install(release: string, name: string): Ended {
    mkdirSync(join(this.root, 'data/packages', name, 'fingerprint'), { recursive: true });
    const link = join(this.root, 'packages', name);
    rmSync(link, { force: true });
    symlinkSync(`${VCAP}/data/packages/${name}/fingerprint`, link);
    this.mounts.set(`${VCAP}/data/compile`, join(release, 'blobs'));
    mkdirSync(join(this.root, 'data/compile'), { recursive: true });
    const script = join(release, 'packages', name, 'packaging');
    const environment = [`PATH=${VCAP}/tools`, `BOSH_INSTALL_TARGET=${VCAP}/packages/${name}`];
    const enter = [
      'env',
      '-i',
      ...environment,
      'bash',
      '--norc',
      '-c',
      `cd ${VCAP}/data/compile && . "$0"`,
    ];
    const ended = this.run(['unshare', '--net', ...enter, script]);
    this.mounts.delete(`${VCAP}/data/compile`);
    return ended;
  }

  /** Lays the job out, with the modes that a BOSH agent gives. */
  layOut({ files }: Rendered): void {
    for (const [path, text] of Object.entries(files)) {
      const file = join(this.root, 'jobs/varvel', path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
      chmodSync(file, path.startsWith('bin/') ? 0o750 : 0o640);
    }
  }

  run(argv: readonly string[]): Ended {
    const [command = '', ...args] = this.#inside(argv);
    const { status, stdout, stderr, error } = spawnSync(command, args, {
      encoding: 'utf8',
      timeout: 60_000,
    });
    if (error !== undefined) throw error;
    return { code: status, stdout, stderr };
  }

  spawn(argv: readonly string[]): ChildProcess {
    // A test process that dies takes it along.
    return spawn('setpriv', ['--pdeathsig', 'KILL', ...this.#inside(argv)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
    if (this.#madeVcap) rmdirSync(VCAP);
  }

  #inside(argv: readonly string[]): string[] {
    const mounts = [[VCAP, this.root], ...this.mounts]
      .map(([at, from]) => `mount --bind '${String(from)}' '${String(at)}'`)
      .join(' && ');
    return ['unshare', '--mount', 'sh', '-c', `${mounts} && exec "$@"`, 'sh', ...argv];
  }
}
