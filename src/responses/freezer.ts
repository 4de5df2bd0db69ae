import { closeSync, constants, readSync, writeSync } from 'node:fs';
import { openInCgroup, type V2Cgroup } from './container-cgroups.ts';

type Cgroup = Pick<V2Cgroup, 'id' | 'directory'>;

const open = (cgroup: Cgroup, flags: number): number =>
  openInCgroup(cgroup, 'cgroup.freeze', flags, 'Linux 5.2');

/** Whether anybody has asked the kernel to freeze the cgroup itself. Throws an Error with `code`; ESRCH: it is gone. */
export function isFrozen(cgroup: Cgroup): boolean {
  const fd = open(cgroup, constants.O_RDONLY);
  try {
    const text = Buffer.alloc(1);
    readSync(fd, text);
    return text.toString() === '1';
  } catch (error) {
    throw goneOr(error);
  } finally {
    closeSync(fd);
  }
}

/** Stops the cgroup's processes, and those that come into it, or lets them go on. They can be killed meanwhile. Throws as `isFrozen`. */
export function setFrozen(cgroup: Cgroup, isToBe: boolean): void {
  const fd = open(cgroup, constants.O_WRONLY);
  try {
    writeSync(fd, isToBe ? '1' : '0');
  } catch (error) {
    throw goneOr(error);
  } finally {
    closeSync(fd);
  }
}

/** It was removed while its file was open. */
function goneOr(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENODEV' ? Object.assign(new Error('ESRCH'), { code: 'ESRCH' }) : error;
}
