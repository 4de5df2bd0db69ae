import { readFileSync } from 'node:fs';

/** Of a list of mounts: a container can have up to 100,000 of them (fs.mount-max). */
export const MAX_MOUNTS_BYTES = 4 * 1024 * 1024;

/** File systems that answer by themselves; that of a container's own server (FUSE) or of the network may never do. */
const LOCAL = new Set(
  'ext2 ext3 ext4 xfs btrfs bcachefs f2fs zfs tmpfs ramfs squashfs erofs'.split(' '),
);
/** Made of others: it answers by itself if the runtime has made it, since that uses disks of the host. */
const LAYERED = 'overlay';

/** A line of /proc/PID/mountinfo. */
export interface Mount {
  readonly id: string | undefined;
  readonly device: string | undefined;
  /** Where it is, below the root of that process. */
  readonly point: string;
  readonly type: string;
}

export const isLocal = ({ type }: Mount): boolean => LOCAL.has(type);
export const isLayered = ({ type }: Mount): boolean => type === LAYERED;

/** proc_pid_mountinfo(5), as latin1: in none of the words is a space, and ` - ` ends the optional ones. */
export function mountsIn(text: string): readonly Mount[] {
  return text.split('\n').map((line) => {
    const [id, , device, , point = ''] = line.split(' ', 5);
    return { id, device, point: unescaped(point), type: / - (\S+) /.exec(line)?.[1] ?? '' };
  });
}

/** Spaces and the like are octal numbers there. */
const unescaped = (word: string): string =>
  Buffer.from(
    word.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
    'latin1',
  ).toString('utf8');

/** The id of the mount that an open file is in. Asks no file system. */
export const mountOf = (fd: number): string | undefined =>
  /^mnt_id:\t(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
