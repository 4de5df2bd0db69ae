// Cgroups of containers, in every hierarchy that is mounted, and their end.
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';

/** Every cgroup hierarchy that is mounted here, v1 and v2. */
export function cgroupMounts(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '');
}

/** Removes a cgroup, with all below it, from every hierarchy; its processes are killed. */
export function removeCgroup(path: string): void {
  for (const mount of cgroupMounts()) removeCgroupTree(join(mount, path));
}

/** The same in one hierarchy, by its full path; false: it is still there. */
export function removeCgroupTree(path: string): boolean {
  try {
    for (const pid of readFileSync(join(path, 'cgroup.procs'), 'utf8').split('\n')) {
      if (Number(pid) > 1) process.kill(Number(pid), 'SIGKILL');
    }
  } catch {
    // ended meanwhile
  }
  try {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) removeCgroupTree(join(path, entry.name));
    }
  } catch {
    return true;
  }
  return removeEmpty(path);
}

/** False: it is still there, since something is in it. */
export function removeEmpty(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch {
    return !existsSync(path);
  }
}
