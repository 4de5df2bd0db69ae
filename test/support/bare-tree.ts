// Root file systems in which nothing is installed but what a test puts there, and commands in them without a network.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** How a command ended, and what it said. */
export interface TreeRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The essential packages of this machine's Debian in a new folder: neither Node.js nor what varvel is linked with is among them. */
export async function makeDebianTree(folder: string): Promise<void> {
  const release = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  if (release === undefined) throw new Error('/etc/os-release has no VERSION_CODENAME');
  const child = spawn('mmdebstrap', ['--quiet', '--variant=essential', release, folder], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`mmdebstrap: ${said}`);
}

/** Runs a command in the tree, with /proc, /sys and /dev of this machine and a loopback of its own, as root or as a user of this id. */
export function runIn(
  tree: string,
  command: readonly string[],
  options: { readonly user?: number; readonly env?: Readonly<Record<string, string>> } = {},
): TreeRun {
  const { user = 0, env = {} } = options;
  for (const name of ['proc', 'sys', 'dev']) mkdirSync(join(tree, name), { recursive: true });
  const script = [
    'for name in proc sys dev; do /usr/bin/mount --rbind "/$name" "$1/$name"; done',
    // The agent's self-test connects to itself.
    '/usr/sbin/ip link set lo up',
    'tree=$1; user=$2; shift 2; exec /usr/sbin/chroot --userspec="$user:$user" "$tree" "$@"',
  ].join('\n');
  const { status, stdout, stderr, error } = spawnSync(
    'unshare',
    ['--mount', '--net', 'sh', '-euc', script, 'sh', tree, String(user), ...command],
    {
      encoding: 'utf8',
      timeout: 120_000,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8', ...env },
    },
  );
  if (error !== undefined) throw error;
  return { code: status, stdout, stderr };
}

/** Unpacks a tar archive, compressed or not. */
export function unpack(archive: string, folder: string): void {
  mkdirSync(folder, { recursive: true });
  execFileSync('tar', ['-xf', archive, '-C', folder]);
}
