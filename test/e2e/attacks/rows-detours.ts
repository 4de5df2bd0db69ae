import { as, type AttackRow } from './row.ts';

const ANOTHER_NAME = 'Link made to a sensitive file';
const BY_DETOUR = 'Name changed by a detour';
const SYMLINK = {
  upstream: 'Create Symlink Over Sensitive Files',
  upstreamMisses: 'it compares the target as passed',
  file: 'stable',
} as const;
const HARD_LINK = { upstream: 'Create Hardlink Over Sensitive Files', file: 'stable' } as const;
const AS_PASSED = { ...HARD_LINK, upstreamMisses: 'it compares the name as passed' } as const;
const OF_READING = {
  upstream: 'Read sensitive file untrusted',
  upstreamMisses: 'it knows the file by its name',
  file: 'stable',
} as const;

/** Another name for what is known by its name: by whatever way, and before anything is read. */
export const DETOUR_ROWS: readonly AttackRow[] = [
  {
    action: 'symlink by a relative target',
    ...SYMLINK,
    ours: ANOTHER_NAME,
    does: 'ln -s ../etc/shadow /tmp/x',
  },
  {
    action: 'symlink by another root',
    ...SYMLINK,
    ours: ANOTHER_NAME,
    does: 'ln -s /proc/self/root/etc/../etc/shadow /tmp/x',
  },
  {
    action: 'hard link from its directory',
    ...HARD_LINK,
    ours: ANOTHER_NAME,
    does: 'cd /etc && ln shadow /tmp/copy',
  },
  {
    action: 'hard link by a descriptor',
    ...HARD_LINK,
    ours: ANOTHER_NAME,
    does: [as('shop'), 'relink', 'self', '/etc/shadow', '/tmp/copy'],
  },
  {
    action: 'hard link by an empty path',
    ...HARD_LINK,
    ours: ANOTHER_NAME,
    does: [as('shop'), 'relink', 'empty', '/etc/shadow', '/tmp/copy'],
    host: { CapAdd: ['DAC_READ_SEARCH'] },
  },
  {
    action: 'hard link by the process’s number',
    ...AS_PASSED,
    ours: BY_DETOUR,
    does: [as('shop'), 'relink', 'pid', '/etc/shadow', '/tmp/copy'],
  },
  {
    action: 'hard link by the working directory',
    ...HARD_LINK,
    ours: ANOTHER_NAME,
    does: 'cd /etc && ln /proc/self/cwd/shadow /tmp/copy',
  },
  {
    action: 'hard link by a descriptor of its directory',
    ...HARD_LINK,
    ours: ANOTHER_NAME,
    does: 'exec 3</etc && ln /proc/self/fd/3/shadow /tmp/copy',
  },
  {
    action: 'hard link to a key, and read',
    ...AS_PASSED,
    upstreamMisses: 'keys are not on its list',
    ours: ANOTHER_NAME,
    does: 'ln /root/.ssh/id_rsa /tmp/k && cat /tmp/k',
  },
  {
    action: 'key moved away, and read',
    ...OF_READING,
    ours: ANOTHER_NAME,
    does: 'mkdir /tmp/.ssh && echo x > /tmp/.ssh/id_rsa && mv /tmp/.ssh/id_rsa /tmp/k && cat /tmp/k',
  },
  {
    action: 'directory of keys moved away, and read',
    ...OF_READING,
    ours: ANOTHER_NAME,
    does: 'mkdir /tmp/.ssh && echo x > /tmp/.ssh/id_rsa && mv /tmp/.ssh /tmp/k && cat /tmp/k/id_rsa',
  },
  {
    action: 'shadow moved away at the start',
    ...OF_READING,
    ours: ANOTHER_NAME,
    does: 'mv /etc/shadow /tmp/s && cat /tmp/s && mv /tmp/s /etc/shadow',
  },
  {
    action: 'shadow changes places',
    ...OF_READING,
    ours: ANOTHER_NAME,
    does: `echo x > /tmp/s && ${as('shop')} exchange /tmp/s /etc/shadow && cat /tmp/s`,
  },
  {
    action: 'preload list by the working directory',
    upstream: 'Write below etc',
    upstreamMisses: 'nothing is opened for writing there',
    file: 'sandbox',
    ours: 'Library preload changed',
    does: 'echo /tmp/x.so > /tmp/list && cd /etc && mv /tmp/list /proc/self/cwd/ld.so.preload',
  },
  {
    action: 'device under another name',
    upstream: 'Create files below dev',
    upstreamMisses: 'nothing is created',
    file: 'incubating',
    ours: 'Device node made',
    does: 'mv /dev/sda /dev/x && cat /dev/x',
    // It is known by its name: what is behind it is of no matter.
    host: {
      Devices: [{ PathOnHost: '/dev/null', PathInContainer: '/dev/sda', CgroupPermissions: 'rw' }],
    },
  },
];
