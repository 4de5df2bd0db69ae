import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { posix } from 'node:path';
import { findInRoot, openInRoot } from 'ebpf-loader-napi';
import { readAtMost } from '../shared/bounded-file.ts';
import { firstNames, O_PATH, pathOf } from './descriptors.ts';
import { isLayered, isLocal, mountOf, mountsIn, type Mount } from './mounts.ts';

/** Limits on the list of a container's mounts, and on its volumes that are looked into: of what is beyond nothing is found. */
const MOUNTS_MAX_BYTES = 1024 * 1024;
const VOLUMES_MAX = 64;
const ROOT = '/';

/**
 * Looks for files of a hostile container by their paths, as a process in it has them: in its root file system, and in volumes whose file
 * systems answer by themselves. Those of a server (FUSE, NFS) might never do, and hold up the agent: they are not asked. Symbolic links are
 * not followed, and no file is opened. It keeps the root that the process had at the start.
 */
export class ContainerLook {
  readonly #pid: number;
  readonly #root: number;
  /** By their mount points. */
  readonly #volumes: ReadonlyMap<string, Volume>;
  #opened = 0;

  /** Throws an Error with a `code`: EXDEV: its root may never answer; any other: the process is gone. */
  constructor(pid: number) {
    this.#pid = pid;
    this.#root = openSync(`/proc/${pid}/root`, O_PATH | constants.O_DIRECTORY);
    try {
      const mounts = mountsOf(pid);
      const id = mountOf(this.#root);
      const root = mounts.find((mount) => mount.id === id);
      if (root === undefined || !(isLocal(root) || isLayered(root))) throw failure('EXDEV', ROOT);
      // Of several at one place the last one is what is seen.
      this.#volumes = new Map(
        mounts
          .filter(({ point }) => point.startsWith(ROOT) && point !== ROOT)
          .map((mount) => [mount.point, { mount, fd: undefined }]),
      );
    } catch (error) {
      closeSync(this.#root);
      throw error;
    }
  }

  /** What is at the path; undefined: nothing that can be had. */
  kindOf(path: string): 'file' | 'directory' | 'other' | undefined {
    const fd = this.#find(path);
    if (fd === undefined) return undefined;
    try {
      const stat = fstatSync(fd);
      return stat.isFile() ? 'file' : stat.isDirectory() ? 'directory' : 'other';
    } finally {
      closeSync(fd);
    }
  }

  /** A descriptor of the path alone (O_PATH) of a regular file; the caller closes it. Undefined: there is none that can be had. */
  find(path: string): number | undefined {
    const fd = this.#find(path);
    if (fd === undefined || fstatSync(fd).isFile()) return fd;
    closeSync(fd);
    return undefined;
  }

  /** At most `max` names in a directory; none if there is no such directory. */
  namesIn(path: string, max: number): readonly string[] {
    try {
      const fd = this.#openDirectory(path);
      try {
        return firstNames(pathOf(fd), max);
      } finally {
        closeSync(fd);
      }
    } catch {
      return [];
    }
  }

  close(): void {
    for (const { fd } of this.#volumes.values()) if (fd !== undefined) closeSync(fd);
    closeSync(this.#root);
  }

  #find(path: string): number | undefined {
    try {
      const { base, rest } = this.#placeOf(path);
      // A volume may be one file.
      return rest === '' ? openSync(pathOf(base), O_PATH) : findInRoot(pathOf(base), rest);
    } catch {
      return undefined;
    }
  }

  #openDirectory(path: string): number {
    const { base, rest } = this.#placeOf(path);
    return openInRoot(pathOf(base), rest || ROOT, { directory: true });
  }

  /** The innermost volume that the path is in, or the root. */
  #placeOf(path: string): { readonly base: number; readonly rest: string } {
    for (let at = path; at.length > 1; at = at.slice(0, at.lastIndexOf('/'))) {
      const volume = this.#volumes.get(at);
      if (volume !== undefined) return { base: this.#baseOf(volume), rest: path.slice(at.length) };
    }
    return { base: this.#root, rest: path };
  }

  #baseOf(volume: Volume): number {
    const { mount } = volume;
    if (!isLocal(mount) || (volume.fd === undefined && this.#opened >= VOLUMES_MAX))
      throw failure('EXDEV', mount.point);
    volume.fd ??= this.#open(mount);
    return volume.fd;
  }

  /** Only the file system that it is mounted in is asked, until it is certain which mount is there now. */
  #open({ point }: Mount): number {
    const directory = this.#openDirectory(posix.dirname(point));
    let fd: number;
    try {
      fd = findInRoot(pathOf(directory), posix.basename(point), { mounts: true });
    } finally {
      closeSync(directory);
    }
    // Ids are used again: while this descriptor holds the mount, its own is in the list.
    const id = mountOf(fd);
    const there = mountsOf(this.#pid).find((mount) => mount.id === id);
    if (there?.point === point && isLocal(there)) {
      this.#opened += 1;
      return fd;
    }
    closeSync(fd);
    throw failure('EXDEV', point);
  }
}

interface Volume {
  readonly mount: Mount;
  fd: number | undefined;
}

function mountsOf(pid: number): readonly Mount[] {
  const fd = openSync(`/proc/${pid}/mountinfo`, 'r');
  try {
    const bytes = readAtMost(fd, MOUNTS_MAX_BYTES);
    if (bytes === undefined) throw failure('E2BIG', `/proc/${pid}/mountinfo`);
    return mountsIn(bytes.toString('latin1'));
  } finally {
    closeSync(fd);
  }
}

const failure = (code: string, path: string): Error =>
  Object.assign(new Error(`${code}: ${path}`), { code });
