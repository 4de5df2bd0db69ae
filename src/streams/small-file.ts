import { statSync } from 'node:fs';
import { BoundedFileError, readRegularFile } from '../shared/bounded-file.ts';
import { UserError } from '../shared/user-error.ts';

/**
 * Reads a file that the configuration names (a certificate, a token) synchronously: such files are small and local. Throws
 * UserError with the key and advice if the file cannot be read or is larger than `maxBytes`. The same if it is no regular file:
 * a FIFO would block the agent.
 */
export function readSmallFile(path: string, key: string, maxBytes: number): Buffer {
  try {
    return readRegularFile(path, maxBytes);
  } catch (error) {
    if (!(error instanceof BoundedFileError))
      throw new UserError(`"${key}": cannot read ${path}: ${whyNot(error)}`, { cause: error });
    throw new UserError(
      error.reason === 'too large'
        ? `"${key}": ${path} is larger than ${maxBytes} bytes; it cannot be what is needed here. Name another.`
        : `"${key}": ${path} is not a regular file. Name another.`,
    );
  }
}

/** Changes when the file is written or replaced, also through a symbolic link; constant while it does not exist. */
export function stampOfFile(path: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(':');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
}

function whyNot(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file. Check the path.';
  if (code === 'EACCES' || code === 'EPERM')
    return 'permission denied. Let the user of the agent read it.';
  return `${code ?? String(error)}.`;
}
