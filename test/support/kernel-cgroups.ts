// The host's cgroup hierarchies, and cgroups that tests make in them.
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Hierarchy {
  readonly kind: 'v2' | 'v1-pids';
  readonly id: number;
  readonly mount: string;
}

/** The host's hierarchies of that kind. Throws when there is none. */
export function findHierarchy(kind: 'v2' | 'v1-pids'): Hierarchy {
  for (const line of readFileSync('/proc/mounts', 'utf8').split('\n')) {
    const [, mount = '', type, options = ''] = line.split(' ');
    if (kind === 'v2' && type === 'cgroup2') return { kind, id: 0, mount };
    if (kind === 'v1-pids' && type === 'cgroup' && options.split(',').includes('pids')) {
      const row = /^pids\t(\d+)/m.exec(readFileSync('/proc/cgroups', 'utf8'));
      return { kind, id: Number(row?.[1]), mount };
    }
  }
  throw new Error(`no ${kind} cgroup hierarchy is mounted`);
}

/** For describe and test: why it cannot run on this host, or false. */
export function missingHierarchy(kind: 'v2' | 'v1-pids'): string | false {
  try {
    findHierarchy(kind);
    return false;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Ends what runs in the cgroup and below, and removes it; false: something is still ending. */
export function removeCgroup(dir: string): boolean {
  let gone = true;
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) gone = removeCgroup(join(dir, entry.name)) && gone;
  }
  for (const pid of readFileSync(join(dir, 'cgroup.procs'), 'utf8').split('\n')) {
    try {
      if (pid !== '') process.kill(Number(pid), 'SIGKILL');
    } catch {
      // it ended meanwhile
    }
  }
  try {
    rmdirSync(dir);
  } catch {
    return false;
  }
  return gone;
}

/** What a test process that was killed left behind. */
export function removeStaleCgroups(mount: string): void {
  for (const name of readdirSync(mount)) {
    const pid = /^varvel-test-(\d+)-\d+$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeCgroup(join(mount, name));
  }
}
