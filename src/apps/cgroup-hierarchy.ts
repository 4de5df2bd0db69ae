import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import { UserError } from '../shared/user-error.ts';

/** The one cgroup hierarchy whose cgroups decide what is a container. */
export interface CgroupHierarchy {
  readonly kind: 'v2' | 'v1-pids';
  /** Where its root is mounted, in the agent's mount namespace. */
  readonly mountPoint: string;
  /** The kernel's `cgroup_root.hierarchy_id`: 0 for v2, the number in /proc/cgroups for v1. */
  readonly hierarchyId: number;
}

/** `auto` detects it on the host; the operator sets the others. */
export type HierarchyChoice = 'auto' | 'v1' | 'v2';

/** Where the host's answers are read; tests pass files of other hosts. */
export interface HierarchySources {
  readonly mountinfo: string;
  readonly cgroups: string;
  /** Inode number of a directory, undefined when it is not there. */
  inode(path: string): number | undefined;
}

/** A hierarchy's root has this kernfs id, in v1 and v2 alike (fs/kernfs/dir.c, kernfs_create_root). */
const ROOT_CGROUP_ID = 1;

/** The running host's. */
export const HOST_SOURCES: HierarchySources = {
  get mountinfo() {
    return readFileSync('/proc/self/mountinfo', 'utf8');
  },
  get cgroups() {
    try {
      return readFileSync('/proc/cgroups', 'utf8');
    } catch {
      return '';
    }
  },
  inode: inodeOf,
};

/**
 * Chooses the deciding hierarchy. `auto`: v2 where runtimes use v2 alone (cgroup2 at /sys/fs/cgroup, which
 * is what runc tests), else v1 *pids*, else v2 wherever it is mounted. On hybrid hosts some runtimes also
 * make a v2 cgroup for each container and some do not; all of them make one in *pids*.
 * Throws UserError when the hierarchy is not mounted, or only a part of it is visible.
 */
export function detectHierarchy(
  choice: HierarchyChoice = 'auto',
  sources: HierarchySources = HOST_SOURCES,
): CgroupHierarchy {
  const mounts = parseCgroupMounts(sources.mountinfo);
  const v2 = mounts.filter((mount) => mount.version === 2);
  const pids = mounts.filter((mount) => mount.version === 1 && mount.controllers.includes('pids'));
  const pidsHierarchyId = hierarchyIdOf('pids', sources.cgroups);
  const unified = v2.some((mount) => mount.mountPoint === '/sys/fs/cgroup');
  const wantV2 = choice === 'v2' || (choice === 'auto' && (unified || pids.length === 0));
  const candidates = wantV2 ? v2 : pids;
  const wanted = wantV2 ? 'cgroup v2' : 'cgroup v1 "pids"';
  if (candidates.length === 0 || (!wantV2 && pidsHierarchyId === 0)) {
    throw new UserError(
      choice === 'auto'
        ? 'No cgroup hierarchy is mounted: mount cgroup2 at /sys/fs/cgroup, or give the agent the host’s /sys/fs/cgroup.'
        : `The ${wanted} hierarchy is not mounted on this host: set cgroup_hierarchy to "auto".`,
    );
  }
  const whole = candidates.find((mount) => sources.inode(mount.mountPoint) === ROOT_CGROUP_ID);
  if (whole === undefined) {
    throw new UserError(
      `Only a part of the ${wanted} hierarchy is visible at ${candidates[0]?.mountPoint ?? ''}: ` +
        'run the agent in the host’s cgroup namespace with the host’s /sys/fs/cgroup.',
    );
  }
  return {
    kind: wantV2 ? 'v2' : 'v1-pids',
    mountPoint: whole.mountPoint,
    hierarchyId: wantV2 ? 0 : pidsHierarchyId,
  };
}

/** The kernel's id of a cgroup (its directory's inode number), undefined when it does not exist. */
export function cgroupIdOf(hierarchy: CgroupHierarchy, path: string): number | undefined {
  return inodeOf(join(hierarchy.mountPoint, path));
}

/** The cgroup path of a process in the hierarchy, undefined when it is gone or outside of what we see. */
export function cgroupPathOfPid(hierarchy: CgroupHierarchy, pid: number): string | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    return undefined;
  }
  return parseProcCgroup(text, hierarchy.kind, () => namespaceRoot(hierarchy));
}

/**
 * The path in a /proc/PID/cgroup text; undefined if there is none. A path outside of the agent's cgroup namespace
 * starts with `..`; an agent in a pod cannot be in the host's. It is resolved from the namespace's root; undefined if
 * that is not known.
 */
export function parseProcCgroup(
  text: string,
  kind: CgroupHierarchy['kind'],
  rootOfNamespace: () => string | undefined = () => undefined,
): string | undefined {
  for (const line of text.split('\n')) {
    const first = line.indexOf(':');
    const second = line.indexOf(':', first + 1);
    if (first < 0 || second < 0) continue;
    const controllers = line.slice(first + 1, second);
    const isWanted =
      kind === 'v2' ? line.startsWith('0::') : controllers.split(',').includes('pids');
    if (!isWanted) continue;
    // The kernel marks a cgroup that was removed under a process this way.
    const path = line.slice(second + 1).replace(/ \(deleted\)$/, '');
    if (!path.startsWith('/')) return undefined;
    if (!path.startsWith('/..')) return path;
    const root = rootOfNamespace();
    return root === undefined ? undefined : posix.normalize(`${root}${path}`);
  }
  return undefined;
}

const namespaceRoots = new WeakMap<CgroupHierarchy, string | undefined>();
/** Limit on cgroups searched; a full node has some thousand. */
const MAX_SEARCHED = 16_384;

/** The root of the agent's cgroup namespace: the cgroup that lists this process, which was alone when it was made. */
function namespaceRoot(hierarchy: CgroupHierarchy): string | undefined {
  if (!namespaceRoots.has(hierarchy)) namespaceRoots.set(hierarchy, findOwn(hierarchy.mountPoint));
  return namespaceRoots.get(hierarchy);
}

function findOwn(mountPoint: string): string | undefined {
  const waiting = [''];
  for (let searched = 0; searched < MAX_SEARCHED; searched++) {
    const path = waiting.shift();
    if (path === undefined) return undefined;
    try {
      const folder = join(mountPoint, path);
      const pids = readFileSync(join(folder, 'cgroup.procs'), 'latin1').split('\n');
      if (pids.includes(String(process.pid))) return path;
      for (const entry of readdirSync(folder, { withFileTypes: true }))
        if (entry.isDirectory()) waiting.push(`${path}/${entry.name}`);
    } catch {
      // gone meanwhile
    }
  }
  return undefined;
}

interface CgroupMount {
  readonly version: 1 | 2;
  readonly mountPoint: string;
  readonly controllers: readonly string[];
}

function parseCgroupMounts(mountinfo: string): CgroupMount[] {
  const mounts: CgroupMount[] = [];
  for (const line of mountinfo.split('\n')) {
    const separator = line.indexOf(' - ');
    if (separator < 0) continue;
    const mountPoint = line.slice(0, separator).split(' ')[4];
    const [type, , superOptions] = line.slice(separator + 3).split(' ');
    if (mountPoint === undefined || (type !== 'cgroup' && type !== 'cgroup2')) continue;
    mounts.push({
      version: type === 'cgroup2' ? 2 : 1,
      mountPoint: unescapeMountPath(mountPoint),
      controllers: (superOptions ?? '').split(','),
    });
  }
  return mounts;
}

function unescapeMountPath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

function hierarchyIdOf(controller: string, cgroups: string): number {
  for (const line of cgroups.split('\n')) {
    const [name, hierarchy] = line.split(/\s+/);
    if (name === controller) return Number(hierarchy);
  }
  return 0;
}

function inodeOf(path: string): number | undefined {
  try {
    const stats = statSync(path);
    return stats.isDirectory() ? stats.ino : undefined;
  } catch {
    return undefined;
  }
}
