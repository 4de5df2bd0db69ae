import { absent, field } from './field.ts';
import type { FieldClass } from './field.ts';
import { CGROUP_FIELDS, THREAD_USAGE_FIELDS } from './usage.ts';

/** linux/capability.h (6.x), by bit. */
const CAPABILITIES = (
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE ' +
  'NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO ' +
  'SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME ' +
  'SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG ' +
  'WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
)
  .split(' ')
  .map((name) => `CAP_${name}`);

/** Few sets are in use on a host; past this many the names are simply made again. */
const CACHED_SETS = 256;
const cache = new Map<bigint, string>();

/** `CAP_CHOWN CAP_KILL`, in the order of their numbers. */
function capabilityNames(set: bigint): string {
  const known = cache.get(set);
  if (known !== undefined) return known;
  const names = CAPABILITIES.filter((_, bit) => ((set >> BigInt(bit)) & 1n) === 1n).join(' ');
  if (cache.size >= CACHED_SETS) cache.clear();
  cache.set(set, names);
  return names;
}

export const THREAD_CLASS: FieldClass = {
  name: 'thread',
  description: 'The thread of the event',
  fields: [
    field('thread.tid', 'INT64', 'Thread id on the host.', (v) => v.event.tid),
    field('thread.vtid', 'INT64', 'Thread id in its own namespace.', (v) => v.event.vtid),
    field('thread.ismain', 'BOOL', "It is the process's first thread.", (v) => {
      return v.event.tid === v.event.pid;
    }),
    field(
      'thread.cap_effective',
      'CHARBUF',
      "Effective capabilities, in the process's user namespace, such as 'CAP_CHOWN CAP_KILL'.",
      (v) => capabilityNames(v.event.credentials.capEffective),
    ),
    field('thread.cap_permitted', 'CHARBUF', 'Permitted capabilities.', (v) => {
      return capabilityNames(v.event.credentials.capPermitted);
    }),
    field('thread.cap_inheritable', 'CHARBUF', 'Inheritable capabilities.', (v) => {
      return capabilityNames(v.event.credentials.capInheritable);
    }),
    field(
      'thread.name',
      'CHARBUF',
      "The thread's name (comm) at the event; proc.name is that of the exec (our own).",
      (v) => v.event.comm,
    ),
    field('thread.nametid', 'CHARBUF', "The process's name and the thread id after it.", (v) => {
      return `${v.process.image.name}${v.event.tid}`;
    }),
    field('thread.exectime', 'RELTIME', 'Always 0: only switch events have it.', () => 0n),
    field('thread.totexectime', 'RELTIME', 'Always 0: only switch events have it.', () => 0n),
    ...CGROUP_FIELDS,
    absent('thread.cpu', 'DOUBLE', 'CPU used in the last second: of procinfo events only.'),
    absent('thread.cpu.user', 'DOUBLE', 'User CPU used: of procinfo events only.'),
    absent('thread.cpu.system', 'DOUBLE', 'System CPU used: of procinfo events only.'),
    ...THREAD_USAGE_FIELDS,
  ],
};
