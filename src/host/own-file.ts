import { closeSync, constants, fstatSync, lstatSync, openSync, renameSync, rmSync } from 'node:fs';

const FILE_MODE = 0o600;
/** open(2) fails with these for a link, a folder, a socket, a device without a driver. */
const NOT_A_FILE = ['ELOOP', 'EISDIR', 'ENXIO', 'ENODEV'];

/** A file that was opened in a folder of the agent's own. */
export interface OwnFile {
  readonly fd: number;
  /** Bytes in it now. */
  readonly size: number;
  /** Nothing had this name before. */
  readonly isNew: boolean;
  /** Why the previous file was moved to `NAME.damaged`; undefined when it was not. */
  readonly setAside: string | undefined;
}

/**
 * Opens a file for reading and writing in the agent's own folder; creates it if needed. Moves a link, a folder, another
 * user's file or one over `maxBytes` to `NAME.damaged`, in place of an older one, and creates a new file. Throws the
 * file system's error.
 */
export function openOwnFile(folder: string, name: string, maxBytes: number): OwnFile {
  const path = `${folder}/${name}`;
  const isNew = lstatSync(path, { throwIfNoEntry: false }) === undefined;
  const first = tryOpen(path, maxBytes);
  if (typeof first !== 'string') return { ...first, isNew, setAside: undefined };
  setAside(path);
  const second = tryOpen(path, maxBytes);
  if (typeof second === 'string') throw new Error(`${name} ${second}`);
  return { ...second, isNew: false, setAside: first };
}

/** Moves what has this name to `NAME.damaged`, in place of what was there. Throws the file system's error. */
export function setAside(path: string): void {
  const aside = `${path}.damaged`;
  rmSync(aside, { recursive: true, force: true });
  renameSync(path, aside);
}

/** The file, or why it is not used. */
function tryOpen(
  path: string,
  maxBytes: number,
): { readonly fd: number; readonly size: number } | string {
  const { O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = constants;
  let fd: number;
  try {
    fd = openSync(path, O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_RDWR, FILE_MODE);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (NOT_A_FILE.includes(code)) return 'is a link, a folder or a device';
    throw error;
  }
  const stat = fstatSync(fd);
  const why = !stat.isFile()
    ? 'is no regular file'
    : stat.nlink !== 1 || stat.uid !== process.geteuid?.()
      ? 'is a file of somebody else or has a second name'
      : stat.size > maxBytes
        ? 'is larger than the agent makes it'
        : undefined;
  if (why === undefined) return { fd, size: stat.size };
  closeSync(fd);
  return why;
}
