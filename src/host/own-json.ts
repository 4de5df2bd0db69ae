import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname } from 'node:path';
import { OwnFolder } from './own-folder.ts';

/** A file that is being written ends so. */
const NEW = '.new';

/**
 * Replaces a file in a folder of this process's user alone, which is made if needed. Whoever reads it sees the old text or the new one,
 * also if the writer is killed. Throws an Error that says why it cannot be written.
 */
export function writeOwnText(path: string, text: string): void {
  const folder = OwnFolder.open(dirname(path));
  const inside = `${folder.inside}/${basename(path)}`;
  try {
    // A write would follow a link.
    rmSync(`${inside}${NEW}`, { force: true, recursive: true });
    writeFileSync(`${inside}${NEW}`, text, { mode: 0o600, flag: 'wx' });
    renameSync(`${inside}${NEW}`, inside);
  } catch (error) {
    rmSync(`${inside}${NEW}`, { force: true, recursive: true });
    throw error;
  } finally {
    folder.close();
  }
}

/**
 * Such a file as JSON; undefined if it is not there. Throws an Error that says why it is not believed: others can change it or its folder, it
 * is larger than this, or no JSON.
 */
export function readOwnJson(path: string, maxBytes: number): unknown {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return undefined;
  const folder = OwnFolder.open(dirname(path));
  try {
    const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
    const fd = openSync(`${folder.inside}/${basename(path)}`, O_NOFOLLOW | O_NONBLOCK | O_RDONLY);
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile() || stat.uid !== process.geteuid?.() || (stat.mode & 0o022) !== 0)
        throw new Error('it belongs to somebody else, or others may write to it');
      if (stat.size > maxBytes) throw new Error(`it has more than ${maxBytes} bytes`);
      return JSON.parse(readFileSync(fd, 'utf8')) as unknown;
    } finally {
      closeSync(fd);
    }
  } finally {
    folder.close();
  }
}
