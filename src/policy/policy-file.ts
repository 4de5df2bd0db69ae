import { MAX_POLICY_BYTES } from '../container-files/policy-text.ts';
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

/** Why a policy's file cannot be taken. The message is the end of a sentence, with what to do. */
export class BadFile extends Error {
  override readonly name = 'BadFile';
}

/**
 * A `varvel.yml` beside an app, undefined when there is none. It must be a regular file of its own, not a link: at staging it
 * is copied into the droplet, what is wrong with it is printed, and a link may lead anywhere. Throws BadFile; never waits
 * (FIFO) and never reads more than MAX_POLICY_BYTES and one.
 */
export function readPolicyFile(path: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP') throw new BadFile('it is a link. Put the file itself beside the app.');
    if (code === 'ENXIO') throw new BadFile('it is not a regular file.');
    throw new BadFile(`it cannot be read: ${message}`);
  }
  try {
    if (!fstatSync(fd).isFile()) throw new BadFile('it is not a regular file.');
    const buffer = Buffer.alloc(MAX_POLICY_BYTES + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(fd, buffer, length, buffer.length - length, null);
    }
    if (length > MAX_POLICY_BYTES) {
      throw new BadFile(
        `it is larger than ${MAX_POLICY_BYTES / 1024} KiB, and no policy needs as much.`,
      );
    }
    return buffer.subarray(0, length);
  } finally {
    closeSync(fd);
  }
}
