import { constants, readFileSync } from 'node:fs';
import { constants as os } from 'node:os';
import { basename, dirname } from 'node:path';
import { call, callFd, text, type CallResult } from '../../support/kernel-calls.ts';
import { bigStat, descriptorFlags, linkOf } from './proc-facts.ts';
import { isInLayer, LAYERS, type Comparison, type Scenario, type World } from './scenario.ts';

type Fields = Comparison['fields'];

const OWN = 'the program’s own report';
const STAT = 'stat(2)';
const LINK = 'readlink /proc/PID/fd/N';
const FLAGS = '/proc/PID/fdinfo/N';

const S_IFMT = 0o170000n;
const S_IFDIR = 0o040000n;

/** Of a device number as stat(2) has it, makedev(3). */
const major = (dev: bigint): bigint => (dev >> 8n) & 0xfffn;
const minor = (dev: bigint): bigint => (dev & 0xffn) | ((dev >> 12n) & 0xfff00n);

/** A path in the container, from the host. */
const inside = (world: World, path: string): string => `/proc/${world.init}/root${path}`;

/** The path that the kernel has for the descriptor that the call made. */
const pathOfFd = (world: World, { ret }: CallResult): string => linkOf(world.init, `fd/${ret}`);

/** As `evt.res` has it. */
const resultName = ({ ret }: CallResult): string =>
  ret >= 0 ? 'SUCCESS' : Object.entries(os.errno).find(([, number]) => number === -ret)![0];

/** What any call says of its result. */
const outcome = (result: (world: World) => CallResult): Fields => ({
  'evt.type': (world) => ({ source: OWN, value: result(world).name }),
  'evt.rawres': (world) => ({ source: OWN, value: result(world).ret }),
  'evt.res': (world) => ({ source: OWN, value: resultName(result(world)) }),
  'evt.failed': (world) => ({ source: OWN, value: result(world).ret < 0 }),
});

/** What an open that worked says of its file; `nth` of the program's opens. */
function opened(nth: number, passed: string): Fields {
  const result = (world: World): CallResult => world.result('openat', nth);
  const path = (world: World): string => pathOfFd(world, result(world));
  const isDirectory = (world: World): boolean =>
    (bigStat(inside(world, path(world))).mode & S_IFMT) === S_IFDIR;
  const flags = (world: World): number => descriptorFlags(world.init, result(world).ret);
  const access = (world: World): number => flags(world) & (constants.O_WRONLY | constants.O_RDWR);
  return {
    'fd.num': (world) => ({ source: OWN, value: result(world).ret }),
    ...outcome(result),
    'fd.name': (world) => ({ source: LINK, value: path(world) }),
    'fd.nameraw': () => ({ source: OWN, value: passed }),
    'fs.path.name': (world) => ({ source: LINK, value: path(world) }),
    'fs.path.nameraw': () => ({ source: OWN, value: passed }),
    'fd.type': (world) => ({ source: STAT, value: isDirectory(world) ? 'directory' : 'file' }),
    'fd.typechar': (world) => ({ source: STAT, value: isDirectory(world) ? 'd' : 'f' }),
    'fd.directory': (world) => ({
      source: LINK,
      value: isDirectory(world) ? path(world) : dirname(path(world)),
    }),
    'fd.filename': (world) => ({
      source: LINK,
      value: isDirectory(world) ? null : basename(path(world)),
    }),
    'fd.ino': (world) => ({ source: STAT, value: bigStat(inside(world, path(world))).ino }),
    'fd.dev': (world) => ({ source: STAT, value: bigStat(inside(world, path(world))).dev }),
    'fd.dev.major': (world) => ({
      source: STAT,
      value: major(bigStat(inside(world, path(world))).dev),
    }),
    'fd.dev.minor': (world) => ({
      source: STAT,
      value: minor(bigStat(inside(world, path(world))).dev),
    }),
    'fd.is_upper_layer': (world) => ({
      source: LAYERS,
      value: isInLayer(world, path(world), 'UpperDir'),
    }),
    'fd.is_lower_layer': (world) => ({
      source: LAYERS,
      value:
        !isInLayer(world, path(world), 'UpperDir') && isInLayer(world, path(world), 'LowerDir'),
    }),
    'fd.uid': (world) => ({ source: OWN, value: `${world.init}${result(world).ret}` }),
    'evt.is_open_read': (world) => ({
      source: FLAGS,
      value: access(world) !== constants.O_WRONLY,
    }),
    'evt.is_open_write': (world) => ({
      source: FLAGS,
      value: access(world) !== constants.O_RDONLY,
    }),
    'evt.is_open_exec': (world) => ({
      source: `${STAT}, ${LAYERS}`,
      value:
        isNew(world, path(world)) && (bigStat(inside(world, path(world))).mode & 0o111n) !== 0n,
    }),
    'evt.is_open_create': (world) => ({
      source: LAYERS,
      value: isNew(world, path(world)),
    }),
    'evt.arg.name': (world) => ({ source: LINK, value: path(world) }),
    'evt.rawarg.name': () => ({ source: OWN, value: passed }),
    'evt.abspath': (world) => ({ source: LINK, value: path(world) }),
  };
}

/** Was it not there when the container began? */
const isNew = (world: World, path: string): boolean => !isInLayer(world, path, 'LowerDir');

/** The steps' opens, in order, by the paths that they pass. */
const OPENS = [
  { path: '../../etc/passwd', flags: constants.O_RDONLY, mode: 0 },
  { path: '/tmp/new', flags: constants.O_WRONLY | constants.O_CREAT, mode: 0o755 },
  { path: '/tmp/plain', flags: constants.O_RDWR | constants.O_CREAT, mode: 0o640 },
  { path: '/etc', flags: constants.O_RDONLY | constants.O_DIRECTORY, mode: 0 },
];
const AT_FDCWD = -100;
const NONE = '/none';

const argument =
  (value: string | number): Fields[string] =>
  () => ({ source: OWN, value });
const modeOf = (world: World, path: string): bigint => bigStat(inside(world, path)).mode & 0o7777n;

/** Names of the bits, lowest first. */
function modeNames(mode: bigint): string {
  const header = readFileSync('/usr/include/linux/stat.h', 'utf8');
  return [...header.matchAll(/^#define (S_I[RWX](?:USR|GRP|OTH)|S_IS(?:UID|GID|VTX))\s+(0\d+)$/gm)]
    .map(([, name, octal]) => [name!, BigInt(`0o${octal!.slice(1)}`)] as const)
    .filter(([, bit]) => (mode & bit) !== 0n)
    .sort(([, one], [, other]) => Number(one - other))
    .map(([name]) => name)
    .join('|');
}

const whole = (name: string): Fields => outcome((world) => world.result(name));

/** A call of which the container makes one. */
const only = (event: string, fields: Fields): Comparison => ({
  event,
  when: 'evt.failed = false',
  fields: { ...whole(event), ...fields },
});

export const FILE_SCENARIOS: readonly Scenario[] = [
  {
    name: 'opens',
    steps: [
      ...OPENS.flatMap(({ path, flags, mode }) =>
        callFd('openat', AT_FDCWD, text(path), flags, mode),
      ),
      ...call('openat', AT_FDCWD, text(NONE), 0, 0),
      'pause',
    ],
    container: { WorkingDir: '/home/app' },
    comparisons: [
      ...OPENS.map(({ path }, nth) => ({
        event: 'openat',
        when: `fd.nameraw = ${path}`,
        fields: opened(nth, path),
      })),
      {
        event: 'openat',
        when: `fd.nameraw = ${NONE}`,
        fields: {
          ...outcome((world) => world.result('openat', OPENS.length)),
          'fd.num': argument(-1),
          'fd.name': argument(NONE),
          'fd.typechar': argument('f'),
        },
      },
    ],
  },
  {
    name: 'paths',
    steps: [
      ...call('mkdir', text('/tmp/made'), 0o711),
      ...call('symlinkat', text('../../etc/shadow'), AT_FDCWD, text('/tmp/made/link')),
      ...callFd('openat', AT_FDCWD, text('/tmp/made/one'), constants.O_CREAT, 0o600),
      ...call('linkat', AT_FDCWD, text('/tmp/made/one'), AT_FDCWD, text('/tmp/made/two'), 0),
      ...call('renameat', AT_FDCWD, text('/tmp/made/two'), AT_FDCWD, text('/tmp/made/three')),
      ...call('chmod', text('/tmp/made/one'), 0o4750),
      ...call('unlink', text('/tmp/made/three')),
      ...call('dup2', '@', 9),
      'pause',
    ],
    comparisons: [
      only('mkdir', {
        'evt.arg.path': argument('/tmp/made'),
        'fs.path.name': argument('/tmp/made'),
        'fs.path.nameraw': argument('/tmp/made'),
        'evt.rawtime': (world) => ({
          source: `${STAT}: birth`,
          value: bigStat(inside(world, '/tmp/made')).birthtimeNs,
          // The kernel stamps files within the call, whose end the event is.
          within: 1_000_000_000n,
        }),
        // Falco prints this one in hexadecimal.
        'evt.arg.mode': (world) => ({
          source: STAT,
          value: modeOf(world, '/tmp/made').toString(16).toUpperCase(),
        }),
      }),
      only('symlinkat', {
        'evt.arg.target': (world) => ({
          source: 'readlink(2)',
          value: linkOf(world.init, 'root/tmp/made/link'),
        }),
        'evt.arg.linkpath': argument('/tmp/made/link'),
        'fs.path.source': argument('/tmp/made/link'),
        'fs.path.sourceraw': argument('/tmp/made/link'),
        'fs.path.target': argument('/etc/shadow'),
        'fs.path.targetraw': argument('../../etc/shadow'),
      }),
      only('linkat', {
        'evt.arg.oldpath': argument('/tmp/made/one'),
        'evt.arg.newpath': argument('/tmp/made/two'),
        'fs.path.source': argument('/tmp/made/two'),
        'fs.path.target': argument('/tmp/made/one'),
      }),
      only('renameat', {
        'evt.arg.oldpath': argument('/tmp/made/two'),
        'evt.arg.newpath': argument('/tmp/made/three'),
        'fs.path.source': argument('/tmp/made/two'),
        'fs.path.target': argument('/tmp/made/three'),
        'evt.abspath.src': argument('/tmp/made/two'),
        'evt.abspath.dst': argument('/tmp/made/three'),
      }),
      only('chmod', {
        'evt.arg.filename': argument('/tmp/made/one'),
        'evt.arg.mode': (world) => ({
          source: `${STAT}, linux/stat.h`,
          value: modeNames(modeOf(world, '/tmp/made/one')),
        }),
      }),
      only('unlink', {
        'evt.arg.path': argument('/tmp/made/three'),
        'fs.path.name': argument('/tmp/made/three'),
      }),
      only('dup2', {
        'fd.name': (world) => ({ source: LINK, value: linkOf(world.init, 'fd/9') }),
        'fd.type': argument('file'),
      }),
    ],
  },
];
