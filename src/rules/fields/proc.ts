import type { Process, ProcessImage } from '../../context/process.ts';
import { field, fieldWithReader, parseIndex } from './field.ts';
import { ancestorField, ARGS_OF_ANCESTORS, CONTAINER_ANCESTOR_FIELDS } from './proc-ancestors.ts';
import { ENVIRONMENT_FIELDS } from './proc-env.ts';
import { EXE_TIME_FIELDS, unixOf } from './proc-exe-times.ts';
import { PROCESS_PROBE_FIELDS } from './probes.ts';
import { USAGE_FIELDS } from './usage.ts';
import { STANDARD_FIELDS } from './proc-standard.ts';
import { MAX_ANCESTORS } from './ancestors.ts';
import type { FieldClass, FieldDefinition, Value, View } from './field.ts';
import { uptimeOf } from './uptime.ts';
import { originOf } from '../lineage.ts';

function cmdline(image: ProcessImage): string {
  return image.args.length === 0 ? image.name : `${image.name} ${image.args.join(' ')}`;
}

/** With a blank after it where there are no arguments, as in Falco. */
function exeline(image: ProcessImage): string {
  return `${image.exe} ${image.args.join(' ')}`;
}

const ARGS: FieldDefinition = {
  ...fieldWithReader(
    'proc.args',
    'CHARBUF',
    'The command line without argv[0]; [0] is its first word.',
    (argument) => {
      if (argument === undefined) {
        return { shape: 'single', read: (v) => v.process.image.args.join(' ') };
      }
      const index = parseIndex(argument);
      if (typeof index === 'object') return index;
      // A missing one is empty, not absent (S1).
      return { shape: 'single', read: (v) => v.process.image.args[index] ?? '' };
    },
    { argument: 'optional' },
  ),
  words: (argument) =>
    argument === undefined ? { shape: 'list', read: (v) => v.process.image.args } : undefined,
};

/** The oldest of the unbroken line of ancestors that share a group or session with the process. */
function leader(process: Process, key: 'sid' | 'pgid' | 'vpgid'): Process {
  let found = process;
  for (let i = 0; i < MAX_ANCESTORS; i++) {
    const { parent } = found;
    if (parent === undefined || parent[key] !== process[key]) break;
    found = parent;
  }
  return found;
}

/** The oldest shell of the process and its ancestors, by the end of its name. */
function oldestShell(process: Process): number | undefined {
  let pid: number | undefined;
  let found: Process | undefined = process;
  for (let level = 0; found !== undefined && level <= MAX_ANCESTORS; level++) {
    if (found.image.name.endsWith('sh')) ({ pid } = found);
    found = found.parent;
  }
  return pid;
}

const image =
  (read: (image: ProcessImage) => Value) =>
  (view: View): Value =>
    read(view.process.image);

const parentImage =
  (read: (image: ProcessImage) => Value) =>
  (view: View): Value | undefined =>
    view.process.parent === undefined ? undefined : read(view.process.parent.image);

const leaderImage =
  (key: 'sid' | 'pgid' | 'vpgid', read: (image: ProcessImage) => Value) =>
  (view: View): Value =>
    read(leader(view.process, key).image);

export const PROC_CLASS: FieldClass = {
  name: 'proc',
  description: 'The process of the event, and its ancestors',
  fields: [
    field('proc.pid', 'INT64', 'Process id on the host.', (v) => v.process.pid),
    field('proc.vpid', 'INT64', 'Process id in its own namespace.', (v) => v.process.vpid),
    field('proc.ppid', 'INT64', "The parent's id on the host.", (v) => {
      return v.process.parent?.pid ?? v.event.ppid;
    }),
    field('proc.pvpid', 'INT64', "The parent's id in its own namespace.", (v) => {
      return v.process.parent?.vpid;
    }),
    ancestorField(
      'proc.avpid',
      'INT64',
      'Id in its own namespace (our own):',
      (process) => process.vpid,
    ),
    ancestorField('proc.apid', 'INT64', 'Host process id', (process) => process.pid),
    field(
      'proc.name',
      'CHARBUF',
      "The process's name (comm), at most 15 bytes.",
      image((i) => i.name),
    ),
    field(
      'proc.pname',
      'CHARBUF',
      "The parent's name.",
      parentImage((i) => i.name),
    ),
    ancestorField('proc.aname', 'CHARBUF', 'Name', (process) => process.image.name),
    field(
      'proc.exe',
      'CHARBUF',
      'The first word of the command line (argv[0]).',
      image((i) => i.exe),
    ),
    field(
      'proc.pexe',
      'CHARBUF',
      "The parent's argv[0].",
      parentImage((i) => i.exe),
    ),
    ancestorField('proc.aexe', 'CHARBUF', 'argv[0]', (process) => process.image.exe),
    field(
      'proc.exepath',
      'CHARBUF',
      'Path of the running file, from the kernel, relative to the root of the process.',
      image((i) => i.exePath),
    ),
    field(
      'proc.pexepath',
      'CHARBUF',
      "Path of the parent's file.",
      parentImage((i) => i.exePath),
    ),
    ancestorField('proc.aexepath', 'CHARBUF', 'Path of the file', (process) => {
      return process.image.exePath;
    }),
    ARGS,
    ARGS_OF_ANCESTORS,
    field('proc.cmdline', 'CHARBUF', 'Name and arguments.', image(cmdline)),
    field('proc.pcmdline', 'CHARBUF', "The parent's name and arguments.", parentImage(cmdline)),
    ancestorField('proc.acmdline', 'CHARBUF', 'Name and arguments', (process) => {
      return cmdline(process.image);
    }),
    field('proc.exeline', 'CHARBUF', 'argv[0] and arguments.', image(exeline)),
    field(
      'proc.cmdnargs',
      'UINT64',
      'Number of arguments.',
      image((i) => i.args.length),
    ),
    field('proc.cmdlenargs', 'UINT64', 'Length of all arguments together, in bytes.', (v) => {
      return v.process.image.args.reduce((sum, arg) => sum + Buffer.byteLength(arg), 0);
    }),
    field('proc.cwd', 'CHARBUF', 'Working directory, with a final slash.', (v) => {
      const { cwd } = v.process.image;
      return cwd === '' || cwd.endsWith('/') ? cwd : `${cwd}/`;
    }),
    field('proc.tty', 'UINT32', 'Controlling terminal as a device number; 0 without one.', (v) => {
      return v.process.tty;
    }),
    field('proc.sid', 'INT64', 'Session id in its own namespace.', (v) => v.process.vsid),
    field(
      'proc.sname',
      'CHARBUF',
      "The session leader's name.",
      leaderImage('sid', (i) => i.name),
    ),
    field(
      'proc.sid.exe',
      'CHARBUF',
      "The session leader's argv[0].",
      leaderImage('sid', (i) => i.exe),
    ),
    field(
      'proc.sid.exepath',
      'CHARBUF',
      "Path of the session leader's file.",
      leaderImage('sid', (i) => i.exePath),
    ),
    field('proc.vpgid', 'INT64', 'Process group in its own namespace.', (v) => v.process.vpgid),
    field(
      'proc.vpgid.name',
      'CHARBUF',
      "The group leader's name.",
      leaderImage('vpgid', (i) => i.name),
    ),
    field(
      'proc.vpgid.exe',
      'CHARBUF',
      "The group leader's argv[0].",
      leaderImage('vpgid', (i) => i.exe),
    ),
    field(
      'proc.vpgid.exepath',
      'CHARBUF',
      "Path of the group leader's file.",
      leaderImage('vpgid', (i) => i.exePath),
    ),
    field('proc.pgid', 'INT64', 'Process group on the host.', (v) => v.process.pgid),
    field(
      'proc.pgid.name',
      'CHARBUF',
      "The group leader's name.",
      leaderImage('pgid', (i) => i.name),
    ),
    field(
      'proc.pgid.exe',
      'CHARBUF',
      "The group leader's argv[0].",
      leaderImage('pgid', (i) => i.exe),
    ),
    field(
      'proc.pgid.exepath',
      'CHARBUF',
      "Path of the group leader's file.",
      leaderImage('pgid', (i) => i.exePath),
    ),
    field(
      'proc.is_from_outside',
      'BOOL',
      'Its parent is not in the container: the runtime started it (our own).',
      (v) => (v.process.parent === undefined ? undefined : !v.process.parent.inScope),
    ),
    field(
      'proc.origin',
      'CHARBUF',
      "How the oldest process above it came into the container: 'start', 'exec', 'ssh' or 'probe', a health check (our own).",
      ({ process, container }) => container && originOf(process, container),
    ),
    field(
      'proc.prev_exepath',
      'CHARBUF',
      'Path of the file that it ran before its program; of a new process, that of the one it was forked from (our own).',
      (v) => v.process.previousImage?.exePath,
    ),
    field(
      'proc.is_sid_leader',
      'BOOL',
      'Leads its session.',
      (v) => v.process.vsid === v.process.vpid,
    ),
    field('proc.is_vpgid_leader', 'BOOL', 'Leads its process group.', (v) => {
      return v.process.vpgid === v.process.vpid;
    }),
    field('proc.is_pgid_leader', 'BOOL', 'Leads its process group.', (v) => {
      return v.process.pgid === v.process.pid;
    }),
    field('proc.duration', 'RELTIME', 'Nanoseconds since the process began.', (v) => {
      return v.event.bootNs - v.process.startBootNs;
    }),
    field(
      'proc.uptime',
      'CHARBUF',
      'How long the process has run: 74s, 12m, 5h, 3d (our own).',
      (v) => {
        return uptimeOf(v.event.bootNs - v.process.startBootNs);
      },
    ),
    field('proc.ppid.duration', 'RELTIME', 'Nanoseconds since the parent began.', (v) => {
      const { parent } = v.process;
      return parent === undefined ? undefined : v.event.bootNs - parent.startBootNs;
    }),
    field('proc.pid.ts', 'RELTIME', 'When the process began, Unix nanoseconds.', (v) => {
      return unixOf(v, v.process.startBootNs);
    }),
    field('proc.ppid.ts', 'RELTIME', 'When the parent began, Unix nanoseconds.', (v) => {
      const { parent } = v.process;
      return parent === undefined ? undefined : unixOf(v, parent.startBootNs);
    }),
    field(
      'proc.is_exe_writable',
      'BOOL',
      'The process could write the file it runs.',
      image((i) => i.exeWritable),
    ),
    field(
      'proc.is_exe_upper_layer',
      'BOOL',
      "The file it runs is in the container's writable layer: not part of the image.",
      image((i) => i.exeUpperLayer),
    ),
    field(
      'proc.is_exe_lower_layer',
      'BOOL',
      'The file it runs is part of the image.',
      image((i) => i.exeLowerLayer),
    ),
    field(
      'proc.is_exe_from_memfd',
      'BOOL',
      'The file it runs exists in memory only.',
      image((i) => i.exeMemfd),
    ),
    field('proc.exe_ino', 'INT64', 'Inode number of the file it runs.', (v) => {
      const { exeIno } = v.process.image;
      return exeIno === 0 ? undefined : exeIno;
    }),
    field(
      'proc.loginshellid',
      'INT64',
      'Process id of the oldest shell above, or its own.',
      (v) => {
        return oldestShell(v.process);
      },
    ),
    ...EXE_TIME_FIELDS,
    ...CONTAINER_ANCESTOR_FIELDS,
    ...ENVIRONMENT_FIELDS,
    ...USAGE_FIELDS,
    ...STANDARD_FIELDS,
    ...PROCESS_PROBE_FIELDS,
  ],
};
