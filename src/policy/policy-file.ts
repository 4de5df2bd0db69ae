import { MAX_POLICY_BYTES } from '../container-files/policy-text.ts';
import { BoundedFileError, readRegularFile } from '../shared/bounded-file.ts';

/** Why a policy's file cannot be used. The message is the end of a sentence and says what to do. */
export class BadFile extends Error {
  override readonly name = 'BadFile';
}

/**
 * Reads a `varvel.yml` beside an app; undefined if there is none. It must be a regular file, not a link, which may lead
 * anywhere. At staging the file is copied into the droplet, and its mistakes are printed. Throws BadFile; never blocks (FIFO).
 */
export function readPolicyFile(path: string): Buffer | undefined {
  try {
    return readRegularFile(path, MAX_POLICY_BYTES, { followLinks: false });
  } catch (error) {
    if (error instanceof BoundedFileError && error.reason === 'too large') {
      throw new BadFile(
        `it is larger than ${MAX_POLICY_BYTES / 1024} KiB, and no policy needs as much.`,
      );
    }
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP') throw new BadFile('it is a link. Put the file itself beside the app.');
    if (code === 'ENXIO' || error instanceof BoundedFileError)
      throw new BadFile('it is not a regular file.');
    throw new BadFile(`it cannot be read: ${message}`);
  }
}
