import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { findInRoot, openInRoot } from 'ebpf-loader-napi';
import { readAtMost } from '../shared/bounded-file.ts';
import { firstNames, O_PATH, pathOf } from './descriptors.ts';
import { isLocal, MAX_MOUNTS_BYTES, mountOf, mountsIn, type Mount } from './mounts.ts';

/** Limit on volumes of one container that are looked into. */
const VOLUMES_MAX = 64;
const ROOT = '/';

/**
 * Looks for files of a hostile container by their paths, as a process in it has them: in its root file system, and in volumes whose file
 * systems answer by themselves. Those of a server (FUSE, NFS) might never do, and hold up the agent: they are not asked. Symbolic links are
 * not followed. It keeps the root that the process had at the start.
 */
export class ContainerLook {
  readonly #root: number;
  /** The deepest first. */
  readonly #volumes: readonly Volume[];

  /** Throws an Error with a `code` if the process is gone. */
  constructor(pid: number) {
    this.#root = openSync(`/proc/${pid}/root`, O_PATH | constants.O_DIRECTORY);
    try {
      this.#volumes = volumesOf(pid);
    } catch (error) {
      closeSync(this.#root);
      throw error;
    }
  }

  /**
   * Opens a regular file for reading; the caller closes it. Throws an Error with a `code`: EINVAL: it is no regular file; any other: it
   * cannot be had.
   */
  openFile(path: string): number {
    const { base, rest } = this.#placeOf(path);
    if (rest !== '') return openInRoot(pathOf(base), rest);
    // The volume is one file, or the root of a tree.
    if (!fstatSync(base).isFile()) throw failure('EINVAL', path);
    return openSync(pathOf(base), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  }

  /** At most `max` names in a directory; none if there is no such directory. */
  namesIn(path: string, max: number): readonly string[] {
    try {
      const { base, rest } = this.#placeOf(path);
      const fd = openInRoot(pathOf(base), rest || ROOT, { directory: true });
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
    for (const { fd } of this.#volumes) if (fd !== undefined) closeSync(fd);
    closeSync(this.#root);
  }

  #placeOf(path: string): { readonly base: number; readonly rest: string } {
    const volume = this.#volumes.find(({ point }) => isBelow(path, point));
    if (volume === undefined) return { base: this.#root, rest: path };
    const { point, mount } = volume;
    if (mount === undefined) throw failure('EXDEV', path);
    volume.fd ??= this.#open(volume);
    return { base: volume.fd, rest: path.slice(point.length) };
  }

  /** Of what is there now it is certain which mount it is, before its file system is asked anything. */
  #open({ point, mount }: Volume): number {
    const fd = findInRoot(pathOf(this.#root), point);
    if (mountOf(fd) === mount?.id) return fd;
    closeSync(fd);
    throw failure('EXDEV', point);
  }
}

interface Volume {
  readonly point: string;
  /** Undefined: it is not looked into. */
  readonly mount: Mount | undefined;
  fd: number | undefined;
}

function volumesOf(pid: number): readonly Volume[] {
  const fd = openSync(`/proc/${pid}/mountinfo`, 'r');
  let text: string | undefined;
  try {
    text = readAtMost(fd, MAX_MOUNTS_BYTES)?.toString('latin1');
  } finally {
    closeSync(fd);
  }
  // Of several at one place the last one is what is seen.
  const mounts = new Map(
    mountsIn(text ?? '')
      .filter(({ point }) => point.startsWith(ROOT) && point !== ROOT)
      .map((mount) => [mount.point, mount]),
  );
  const mayNotAnswer = [...mounts.values()].filter((mount) => !isLocal(mount));
  let room = VOLUMES_MAX;
  return [...mounts.values()]
    .sort((one, other) => other.point.length - one.point.length)
    .map((mount) => {
      const isUsed = !mayNotAnswer.some(({ point }) => isBelow(mount.point, point)) && room-- > 0;
      return { point: mount.point, mount: isUsed ? mount : undefined, fd: undefined };
    });
}

const isBelow = (path: string, directory: string): boolean =>
  path === directory || path.startsWith(`${directory}/`);

const failure = (code: string, path: string): Error =>
  Object.assign(new Error(`${code}: ${path}`), { code });
