import { closeSync, constants, fstatSync, openSync, readlinkSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { readAtMost } from '../shared/bounded-file.ts';
import { firstNames, O_PATH, pathOf } from './descriptors.ts';
import { openInRoot, readInRoot, type LoaderError } from 'ebpf-loader-napi';
import type { ContainerRootReader, OwnFile, OwnFileRefusal } from './container-root.ts';

/** Reads files below `/proc/PID/root`; symlinks resolve inside it, mount points are not crossed. */
export const containerRootReader: ContainerRootReader = {
  filesIn(pid, where, paths, maxBytes) {
    try {
      const directory = `/proc/${pid}/${where === 'root' ? 'root' : 'cwd'}`;
      return withDescriptor(openSync(directory, O_PATH | constants.O_DIRECTORY), (fd) => {
        const root = pathOf(fd);
        if (where !== 'root' && fstatSync(fd).dev === statSync(`${root}/..`).dev) return undefined;
        return paths.map((path) => fileIn(root, path, maxBytes));
      });
    } catch {
      return undefined;
    }
  },
  readOwnFile(pid: number, path: string, maxBytes: number): OwnFile | OwnFileRefusal | undefined {
    const root = `/proc/${pid}/root`;
    try {
      return withDescriptor(openInRoot(root, path), (fd) => ownFileOf(root, path, fd, maxBytes));
    } catch (error) {
      return refusalOf(root, path, error as LoaderError);
    }
  },
  openFile: (pid, path) => openInRoot(`/proc/${pid}/root`, path, { symlinks: true }),
  namesIn(pid: number, path: string, max: number): readonly string[] {
    try {
      return withDescriptor(openInRoot(`/proc/${pid}/root`, path, { directory: true }), (fd) =>
        firstNames(pathOf(fd), max),
      );
    } catch {
      return [];
    }
  },
  isHostRootInside(pid: number): boolean {
    try {
      const host = processOfHost();
      return !isSameNamespace(pid, host) && isSameRoot(pid, host);
    } catch {
      return false;
    }
  },
  hasOtherRoot,
  hasContainerRoot: (pid) => hasOtherRoot(pid, processOfHost()),
};

function fileIn(root: string, path: string, maxBytes: number): Buffer | undefined {
  try {
    return readInRoot(root, path, maxBytes, { symlinks: true });
  } catch {
    // not there, not a file: all the same to the caller, and all a container's doing
    return undefined;
  }
}

function withDescriptor<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function ownFileOf(
  root: string,
  path: string,
  fd: number,
  maxBytes: number,
): OwnFile | OwnFileRefusal {
  const bytes = readAtMost(fd, maxBytes);
  if (bytes === undefined) return 'too large';
  // After the reading: whatever took the file's or a directory's place meanwhile has changed since.
  let changedNs = fstatSync(fd, { bigint: true }).ctimeNs;
  // The root's own time means nothing: the runtime makes mount points there. Whoever puts another directory into it
  // changes that directory.
  for (let at = posix.dirname(path); at !== '/'; at = posix.dirname(at)) {
    const ctimeNs = withDescriptor(
      openInRoot(root, at, { directory: true }),
      (directory) => fstatSync(directory, { bigint: true }).ctimeNs,
    );
    if (ctimeNs > changedNs) changedNs = ctimeNs;
  }
  return { bytes, changedNs };
}

function refusalOf(root: string, path: string, { code }: LoaderError): OwnFileRefusal | undefined {
  switch (code) {
    case 'ELOOP':
      return isThere(root, path) ? 'link' : undefined;
    case 'EINVAL':
      return 'no file';
    case 'EXDEV':
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ESRCH':
      return undefined;
    default:
      return 'unreadable';
  }
}

/** Whether the links lead to a file: an image may have links on the path of a missing file. */
function isThere(root: string, path: string): boolean {
  try {
    return withDescriptor(openInRoot(root, path, { symlinks: true }), () => true);
  } catch (error) {
    return !['ENOENT', 'ENOTDIR', 'EXDEV', 'ESRCH'].includes((error as LoaderError).code);
  }
}

/** A pid in the host's mount namespace: 1, also if the agent runs in a container; its own if it may not read that. */
function processOfHost(): number {
  try {
    readlinkSync(`/proc/${FIRST_PROCESS}/ns/mnt`);
    return FIRST_PROCESS;
  } catch {
    return process.pid;
  }
}

function hasOtherRoot(pid: number, other: number): boolean {
  try {
    return !isSameNamespace(pid, other) && !isSameRoot(pid, other);
  } catch {
    return false;
  }
}

/** Throws when one is gone, as `isSameRoot`. */
function isSameNamespace(one: number, other: number): boolean {
  const of = (pid: number): string => readlinkSync(`/proc/${pid}/ns/mnt`);
  return of(one) === of(other);
}

function isSameRoot(one: number, other: number): boolean {
  const [root, rootOfOther] = [one, other].map((pid) =>
    statSync(`/proc/${pid}/root/`, { bigint: true }),
  );
  return root?.dev === rootOfOther?.dev && root?.ino === rootOfOther?.ino;
}

/** Of the host's pid namespace, also where the agent runs in a container. */
const FIRST_PROCESS = 1;
