import { opendirSync } from 'node:fs';

/** fcntl.h; node:fs does not have it. Opens no file: a FUSE server of the container is not asked. */
export const O_PATH = 0o10000000;

/** The path of an open file, whatever its name is by now. */
export const pathOf = (fd: number): string => `/proc/self/fd/${fd}`;

/** At most `max` names of what is in a directory. Throws the file system's error. */
export function firstNames(directory: string, max: number): string[] {
  const names: string[] = [];
  const dir = opendirSync(directory);
  try {
    for (let entry = dir.readSync(); entry !== null && names.length < max; entry = dir.readSync())
      names.push(entry.name);
  } finally {
    dir.closeSync();
  }
  return names;
}
