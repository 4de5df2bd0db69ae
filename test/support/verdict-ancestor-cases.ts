// Rules about ancestors and standard descriptors of programs that are run, and such programs, of any shape.
import fc from 'fast-check';
import type { Container } from '../../src/apps/identity.ts';
import type { Process } from '../../src/context/process.ts';
import { LIMITS } from '../../src/events/table.gen.ts';
import type { KernelEvent, StandardDescriptor } from '../../src/events/event.ts';
import type { KnownAncestor, KnownCall } from '../../src/plan/verdicts/known-call.ts';
import type { Subject } from '../../src/rules/subject.ts';
import { encodeText } from '../../src/shared/text.ts';
import {
  CONTAINER,
  makeEvent,
  makeExec,
  makeFile,
  makeOpen,
  makeProcess,
  makeSubject,
} from './rules-subject.ts';
import { comparisonOf, conditionsOf, path, processName } from './verdict-cases.ts';
import { nsOf, secondsAgo } from './verdict-path-cases.ts';

const one = fc.record({
  path,
  name: processName,
  env: fc.constantFrom(
    [],
    ['A=1'],
    ['LD_PRELOAD=/etc/a'],
    ['LD_AUDIT=', 'LD_PRELOAD='],
    ['LD_AUDIT=x'],
  ),
  /** Whether it has a variable `LD_*`: the kernel knows of those that have none, or takes it that they may. */
  loadsKnown: fc.boolean(),
  /** It started so many s before its child. */
  older: fc.constantFrom(0, 1, 29, 61),
});

export const ancestorCall = fc.record({
  /** From the parent up. */
  inside: fc.array(one, { maxLength: LIMITS.GIVEN_ANCESTORS - 1 }),
  /** The runtime's. */
  outside: fc.array(one, { minLength: 1, maxLength: 2 }),
  /** So many of those inside are known to the kernel, and where all are also that there is no further one. */
  known: fc.nat(LIMITS.GIVEN_ANCESTORS),
  /** Bit n: descriptor n is a connection. */
  standard: fc.nat(7),
});
export type AncestorCall = typeof ancestorCall extends fc.Arbitrary<infer One> ? One : never;

const LEVELS = [1, 2, 3] as const;
const PATHS = [
  'proc.pexepath',
  'tolower(proc.pexepath)',
  'basename(proc.pexepath)',
  ...LEVELS.flatMap((level) => [`proc.aexepath[${level}]`, `proc.container_aexepath[${level}]`]),
  'proc.container_aexepath',
];
const NAMES = [
  'proc.pname',
  ...LEVELS.flatMap((level) => [`proc.aname[${level}]`, `proc.container_aname[${level}]`]),
  'proc.container_aname',
];
const ofName = fc
  .tuple(
    fc.constantFrom(...NAMES),
    fc.constantFrom(
      '= node',
      '!= sh',
      'in (node, sh)',
      'startswith k',
      'endswith h',
      'glob "k*:1"',
    ),
  )
  .map(([field, compared]) => `${field} ${compared}`);
const ofStandard = fc
  .tuple(
    fc.constantFrom('stdin', 'stdout', 'stderr'),
    fc.constantFrom(
      'contains "->"',
      'icontains "->"',
      'contains anyof ("->")',
      'contains ":"',
      'exists',
    ),
  )
  .map(([name, compared]) => `proc.${name}.name ${compared}`);

/** Those that an empty value fails are decided, one way. */
const ofEnvironment = fc
  .tuple(
    fc.constantFrom('LD_PRELOAD', 'LD_AUDIT', 'A'),
    fc.constantFrom('contains /etc', '!= ""', '= ""', 'startswith /', 'exists'),
  )
  .map(([name, compared]) => `proc.container_aenv[${name}] ${compared}`);

/** Of a container whose runtime tells no start. */
const ofAge = fc.constantFrom(
  'container.duration < 60000000000',
  'not container.duration < 60000000000',
  'container.duration >= 30000000000',
  'not container.duration <= 30000000000',
);

export const ancestorComparison = fc.oneof(
  { weight: 4, arbitrary: comparisonOf(PATHS).filter(isAllowed) },
  { weight: 2, arbitrary: ofName },
  { weight: 1, arbitrary: ofStandard },
  { weight: 1, arbitrary: ofEnvironment },
  { weight: 1, arbitrary: ofAge },
);
export const ancestorCondition = conditionsOf(
  fc.oneof(
    { weight: 6, arbitrary: ancestorComparison },
    // Neither is known to the kernel.
    { weight: 1, arbitrary: fc.constantFrom('proc.aexepath = /etc', 'proc.aname[4] = sh') },
  ),
);

/** A name is no path: with `pmatch` it never has components. */
function isAllowed(text: string): boolean {
  return !text.startsWith('basename') || !text.includes('pmatch');
}

/** A container of Garden: it began with its oldest process. */
export const IN_GARDEN: Container = { ...CONTAINER, runtime: 'garden', startedAtMs: undefined };

const PROGRAM = '/bin/tool';
/** The age of the process, s. */
const AGE = 1;
/** The age of an ancestor: 0 is the parent. */
const ageOf = (all: readonly { readonly older: number }[], level: number): number =>
  all.slice(0, level + 1).reduce((sum, { older }) => sum + older, AGE);

const RUN = makeEvent('execve', { exec: makeExec({ file: makeFile(PROGRAM) }) });
const FILE = '/srv/file';
const CONNECTION: StandardDescriptor = {
  type: 'ipv4',
  connected: true,
  tuple: {
    family: 2,
    protocol: 6,
    socketType: 1,
    localIp: '10.0.0.2',
    localPort: 40000,
    remoteIp: '203.0.113.9',
    remotePort: 443,
    unixPath: '',
  },
};
const OTHER: readonly StandardDescriptor[] = [
  { type: 'file', tuple: undefined, connected: false },
  {
    ...CONNECTION,
    connected: false,
    tuple: { ...CONNECTION.tuple!, remoteIp: '0.0.0.0', remotePort: 0 },
  },
];

/** That the program is run, or what it does then, as rules see it. */
export function subjectOfAncestors(
  { inside, outside, standard }: AncestorCall,
  event: KernelEvent = RUN,
): Subject {
  const all = [
    ...inside.map((image) => ({ ...image, inScope: true })),
    ...outside.map((image) => ({ ...image, inScope: false })),
  ];
  const parent = all.reduceRight<Process | undefined>(
    (above, { name, path: exePath, env, inScope }, level) =>
      makeProcess({
        pid: 100 + level,
        inScope,
        parent: above,
        startBootNs: secondsAgo(ageOf(all, level)),
        image: { name, exePath, env },
      }),
    undefined,
  );
  const descriptors = [0, 1, 2].map((fd) =>
    (standard >> fd) & 1 ? CONNECTION : (OTHER[fd % OTHER.length] ?? CONNECTION),
  );
  return makeSubject(event, {
    container: IN_GARDEN,
    process: makeProcess({
      parent,
      startBootNs: secondsAgo(AGE),
      image: { exePath: PROGRAM, standard: descriptors },
    }),
  });
}

/** What the kernel knows of them. */
export function knownAncestors({
  inside,
  known,
}: AncestorCall): readonly (KnownAncestor | 'none')[] {
  const found = inside.slice(0, known).map(({ path: text, name, env, loadsKnown }, level) => ({
    path: encodeText(text),
    name: encodeText(name),
    loads: !loadsKnown || env.some((word) => word.startsWith('LD_')),
    age: nsOf(ageOf(inside, level)),
  }));
  return known > inside.length ? [...found, 'none'] : found;
}

/** The same as the kernel knows it. */
export const knownAncestorCall = (call: AncestorCall): KnownCall => ({
  event: 'execve',
  directory: false,
  layer: 'none',
  path: undefined,
  program: {
    path: encodeText(PROGRAM),
    layer: 'none',
    age: nsOf(AGE),
    insideAge: nsOf(AGE),
    ancestors: knownAncestors(call),
  },
  standard: call.standard,
});

/** The rule about opens of a file, or about its removal. */
export const ofFile = (text: string): string =>
  `((evt.type = openat and fd.name = ${FILE}) or (evt.type = unlink and evt.arg.path = ${FILE})) and (${text})`;

/** That it opens the file, as rules see it. */
export const subjectOfOpen = (call: AncestorCall): Subject =>
  subjectOfAncestors(call, makeEvent('openat', { result: 3, open: makeOpen(FILE) }));

/** The same as the kernel knows it. */
export const knownOpen = (call: AncestorCall): KnownCall => ({
  ...knownAncestorCall(call),
  event: 'openat',
  reads: true,
  writes: false,
  failed: false,
  path: encodeText(FILE),
  standard: undefined,
});

/** That it removes the file, as rules see it. */
export const subjectOfRemoval = (call: AncestorCall): Subject =>
  subjectOfAncestors(call, makeEvent('unlink', { result: 0, params: { path: FILE } }));

/** The same as the kernel knows it. */
export const knownRemoval = (call: AncestorCall): KnownCall => ({
  ...knownAncestorCall(call),
  event: 'unlink',
  which: 0,
  failed: false,
  path: encodeText(FILE),
  standard: undefined,
});
