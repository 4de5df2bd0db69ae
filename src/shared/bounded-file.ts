import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

const CHUNK_BYTES = 64 * 1024;

/** Why a file was not read. */
export class BoundedFileError extends Error {
  override readonly name = 'BoundedFileError';
  readonly reason: 'not a regular file' | 'too large';

  constructor(reason: BoundedFileError['reason']) {
    super(reason);
    this.reason = reason;
  }
}

/** What is left of an open file; undefined when that is more than `maxBytes`. Throws the file system's error. */
export function readAtMost(fd: number, maxBytes: number): Buffer | undefined {
  const chunks: Buffer[] = [];
  let chunk = Buffer.alloc(0);
  let used = 0;
  let length = 0;
  for (;;) {
    if (used === chunk.length) {
      chunks.push(chunk);
      // Not one byte more than it takes to know that there is too much.
      chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, maxBytes + 1 - length));
      used = 0;
    }
    const count = readSync(fd, chunk, used, chunk.length - used, null);
    used += count;
    length += count;
    if (length > maxBytes) return undefined;
    if (count === 0) return Buffer.concat([...chunks, chunk.subarray(0, used)]);
  }
}

/**
 * All of a regular file. Never waits for a pipe, and never reads more than one byte over `maxBytes`. Throws BoundedFileError, or
 * the file system's error (ELOOP for a link that is not to be followed).
 */
export function readRegularFile(
  path: string,
  maxBytes: number,
  { followLinks = true } = {},
): Buffer {
  const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = constants;
  const fd = openSync(path, O_RDONLY | O_NONBLOCK | (followLinks ? 0 : O_NOFOLLOW));
  try {
    if (!fstatSync(fd).isFile()) throw new BoundedFileError('not a regular file');
    const bytes = readAtMost(fd, maxBytes);
    if (bytes === undefined) throw new BoundedFileError('too large');
    return bytes;
  } finally {
    closeSync(fd);
  }
}
