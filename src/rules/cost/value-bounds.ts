import { EVENT_NAMES, EVENT_TABLE, LIMITS } from '../../events/table.gen.ts';
import { MAX_ANCESTORS } from '../fields/ancestors.ts';
import { falcoParamTypes } from '../fields/falco-events.ts';
import type { FieldDefinition } from '../fields/field.ts';

/** How much there can be of a field's value, in any event. */
export interface ValueBound {
  /** UTF-16 units of one value. */
  readonly length: number;
  /** How many values there are, for fields of several and for lists. */
  readonly values: number;
  /** UTF-16 units of all values together. */
  readonly total: number;
  /** What it takes to read them, at most. */
  readonly nanos: number;
}

const { ARGV_MAX, ENV_MAX, PATH_MAX, COMM_LEN, DATA_MAX } = LIMITS;

/** A path and the directory that it is relative to. */
const FULL_PATH = 2 * PATH_MAX;
/** Longest line of a passwd or group file that is read (container-files/users.ts). */
const USER_LINE = 4096;
/** Of a container's labels (apps/labels.ts): 128 of 256 and 4096 characters, and a policy of 64 KiB. */
const LABELS = 128 * (256 + 4096 + 3) + 65_537;
/** Of a container (apps/identity.ts): so many mounts, with two paths each. */
const MOUNT = 2 * PATH_MAX + 64;
const MOUNTS = 256 * (MOUNT + 1);
/** All words of the arguments in bytes: what is no UTF-8 has 3 bytes as U+FFFD. */
const ARGV_BYTES = 3 * ARGV_MAX;

/** Of ancestors: one's whole environment, all, or one variable of the nearest that has it. */
function environmentBound(argument: string | undefined): ValueBound {
  if (argument === undefined) return bound(MAX_ANCESTORS * ENV_MAX, 6000);
  return bound(ENV_MAX, /^\d/.test(argument) ? 120 : 3000);
}

function bound(length: number, micros: number, values = 1): ValueBound {
  return { length, values, total: length * values, nanos: micros * 1000 };
}

/** By field: what it is with an index or a name in brackets, and without. Microseconds as measured, with half as much again. */
const BOUNDS: Readonly<Record<string, (argument: string | undefined) => ValueBound>> = {
  'proc.name': () => bound(COMM_LEN, 1),
  'proc.pname': () => bound(COMM_LEN, 1),
  'proc.sname': () => bound(COMM_LEN, 8),
  'proc.vpgid.name': () => bound(COMM_LEN, 8),
  'proc.pgid.name': () => bound(COMM_LEN, 8),
  'proc.aname': (index) => bound(COMM_LEN, 10, ofAncestors(index)),
  'proc.container_aname': (index) => bound(COMM_LEN, 10, ofAncestors(index)),
  'proc.avpid': (index) => bound(8, 10, ofAncestors(index)),
  'proc.apid': (index) => bound(8, 10, ofAncestors(index)),
  'proc.exe': () => bound(ARGV_MAX, 1),
  'proc.pexe': () => bound(ARGV_MAX, 1),
  'proc.sid.exe': () => bound(ARGV_MAX, 8),
  'proc.vpgid.exe': () => bound(ARGV_MAX, 8),
  'proc.pgid.exe': () => bound(ARGV_MAX, 8),
  'proc.aexe': (index) => bound(ARGV_MAX, 10, ofAncestors(index)),
  'proc.exepath': () => bound(PATH_MAX, 1),
  'proc.pexepath': () => bound(PATH_MAX, 1),
  'proc.sid.exepath': () => bound(PATH_MAX, 8),
  'proc.vpgid.exepath': () => bound(PATH_MAX, 8),
  'proc.pgid.exepath': () => bound(PATH_MAX, 8),
  'proc.aexepath': (index) => bound(PATH_MAX, 10, ofAncestors(index)),
  'proc.container_aexepath': (index) => bound(PATH_MAX, 10, ofAncestors(index)),
  'proc.container_aargs': (index) => bound(ARGV_MAX, 120, ofAncestors(index)),
  'proc.cwd': () => bound(PATH_MAX + 1, 2),
  'proc.args': (index) => bound(ARGV_MAX, index === undefined ? 120 : 1),
  'proc.cmdline': () => bound(ARGV_MAX + COMM_LEN, 120),
  'proc.pcmdline': () => bound(ARGV_MAX + COMM_LEN, 120),
  'proc.exeline': () => bound(2 * ARGV_MAX, 120),
  'proc.acmdline': (index) =>
    bound(ARGV_MAX + COMM_LEN, index === undefined ? 6000 : 120, ofAncestors(index)),
  'proc.aargs': (index) =>
    index === undefined ? bound(MAX_ANCESTORS * ARGV_MAX, 8000) : bound(ARGV_MAX, 120),
  'proc.cmdlenargs': () => bound(8, 800),
  'proc.env': (name) => bound(ENV_MAX, name === undefined ? 120 : 60),
  'proc.aenv': environmentBound,
  'proc.container_aenv': environmentBound,
  'evt.arg': paramBound,
  'evt.rawarg': paramBound,
  'evt.args': () => bound(2 * ARGV_BYTES, 2000),
  'evt.info': () => bound(2 * ARGV_BYTES, 2000),
  'evt.buffer': () => bound(DATA_MAX, 6),
  'container.label': () => bound(65_537, 1),
  'container.labels': () => bound(LABELS, 1000),
  'container.mounts': () => bound(MOUNTS, 4000),
  'user.homedir': () => bound(USER_LINE, 3),
  'user.name': () => bound(USER_LINE, 3),
  'user.loginname': () => bound(USER_LINE, 3),
  'user.shell': () => bound(USER_LINE, 3),
  'group.name': () => bound(USER_LINE, 3),
};

const ofAncestors = (index: string | undefined): number =>
  index === undefined ? MAX_ANCESTORS : 1;

/** What a process has in use: 40 to 80 us a look at /proc were measured, and proc.fdusage takes two. */
const USAGE_FIELD =
  /^(?:proc\.(?:fd(?:opencount|limit|usage)|vm\w+|nthreads|nchilds)|thread\.(?:vm|pf|cgroup).*)$/;
const USAGE_MICROS = 160;

/** By field and argument. Authors of rules choose the arguments: long ones, and those beyond the limit, are not kept. */
const KNOWN = new Map<string, ValueBound>();
const MAX_KNOWN = 4096;
const MAX_KNOWN_ARGUMENT = 64;

/** The most that a use of the field can come to, and what it takes to read it. */
export function boundOf(field: FieldDefinition, argument: string | undefined): ValueBound {
  const key = argument === undefined ? field.name : `${field.name}[${argument}`;
  const known = KNOWN.get(key) ?? newBoundOf(field, argument);
  if (KNOWN.size < MAX_KNOWN && (argument?.length ?? 0) <= MAX_KNOWN_ARGUMENT)
    KNOWN.set(key, known);
  return known;
}

function newBoundOf(field: FieldDefinition, argument: string | undefined): ValueBound {
  if (field.status !== 'available') return bound(0, 0.1);
  const known = BOUNDS[field.name];
  if (known !== undefined) return known(argument);
  const { name, type } = field;
  const isText = type === 'CHARBUF' || type === 'DYNAMIC';
  if (USAGE_FIELD.test(name)) return bound(isText ? 65_537 : 32, USAGE_MICROS);
  if (name.startsWith('container.mount')) {
    return bound(MOUNT, argument !== undefined && /^\d/.test(argument) ? 5 : 20_000);
  }
  if (/^k8s\..*labels$/.test(name)) return bound(LABELS, 1000);
  // What follows from a path: two of them may have to be joined and made plain first.
  if (isOfPath(name)) return bound(FULL_PATH + 64, 240);
  if (ENDS.test(name)) return bound(256, 12, 2);
  if (/^(?:evt|syscall|fd)\./.test(name)) return bound(isText ? 512 : 32, 10);
  return isText ? bound(65_537, 8) : bound(32, 8);
}

const PATH_FIELDS = [
  'fd.name',
  'fd.nameraw',
  'fd.directory',
  'fd.filename',
  'fd.containername',
  'fd.containerdirectory',
  'fd.raced',
  'fd.proc_pid',
  'fs.path.name',
  'fs.path.nameraw',
  'fs.path.source',
  'fs.path.sourceraw',
  'fs.path.target',
  'fs.path.targetraw',
  'fs.path.placed',
  'evt.abspath',
  'evt.abspath.src',
  'evt.abspath.dst',
];
const isOfPath = (name: string): boolean => PATH_FIELDS.includes(name);

/** Fields of a connection's ends. */
const ENDS = /^fd\.[a-z]?(?:ip|net|port|proto)(?:\.name)?$/;

/** Params whose name no path, socket or word list has are numbers, flags and the like. */
function paramBound(argument = ''): ValueBound {
  // By number it is another param for each event.
  const types = /^\d/.test(argument) ? ['CHARBUFARRAY'] : paramTypes(argument);
  const isAny = (...wanted: string[]): boolean => wanted.some((type) => types.includes(type));
  if (isAny('CHARBUFARRAY', 'BYTEBUF') && !argument.startsWith('data')) {
    return bound(ARGV_BYTES, 1500);
  }
  return isAny('CHARBUF', 'FSPATH', 'FSRELPATH', 'FD', 'SOCKADDR', 'SOCKTUPLE', 'DYNAMIC', 'PID')
    ? bound(ARGV_MAX, 240)
    : bound(1024, 10);
}

/** The probe's own types of each param's name, in any event. */
const OWN_TYPES = new Map<string, Set<string>>();
for (const event of EVENT_NAMES) {
  for (const [name, type] of EVENT_TABLE[event].params) {
    const known = OWN_TYPES.get(name);
    if (known === undefined) OWN_TYPES.set(name, new Set([type]));
    else known.add(type);
  }
}

const paramTypes = (name: string): readonly string[] => [
  ...falcoParamTypes(name),
  ...(OWN_TYPES.get(name) ?? []),
];
