/** What a disk or a file system says when it takes nothing now, and may take it later. */
const TROUBLES: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full (ENOSPC)',
  EDQUOT: 'the disk quota is used up (EDQUOT)',
  EROFS: 'the file system is read-only (EROFS)',
  EIO: 'the disk reports an error (EIO)',
  EUCLEAN: 'the file system is damaged (EUCLEAN)',
};

/**
 * Why the disk did not take or give something, in words. Undefined for any other error, such as a missing permission: that
 * one does not go away by itself.
 */
export function diskTrouble(error: unknown): string | undefined {
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined ? undefined : TROUBLES[code];
}

/** For a write that took a part only, which is how a disk says that there is no more room. */
export function tookAPart(): Error {
  return Object.assign(new Error('the file took a part only'), { code: 'ENOSPC' });
}
