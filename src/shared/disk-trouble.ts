/** Errors of a disk or file system that may go away. */
const TROUBLES: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full (ENOSPC)',
  EDQUOT: 'the disk quota is used up (EDQUOT)',
  EROFS: 'the file system is read-only (EROFS)',
  EIO: 'the disk reports an error (EIO)',
  EUCLEAN: 'the file system is damaged (EUCLEAN)',
};

/** The disk's error, in words. Undefined for any other error, such as a missing permission, which does not go away by itself. */
export function diskTrouble(error: unknown): string | undefined {
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined ? undefined : TROUBLES[code];
}

/** The error of a short write, by which a full disk shows. */
export function tookAPart(): Error {
  return Object.assign(new Error('the file took a part only'), { code: 'ENOSPC' });
}
