// Rules about calls with paths other than opens, and calls that they are about, of any shape.
import fc from 'fast-check';
import { callParam, pathNumber } from '../../src/events/call-params.ts';
import type { Process } from '../../src/context/process.ts';
import type { KernelEvent } from '../../src/events/event.ts';
import { JUDGED_CALLS } from '../../src/events/table.gen.ts';
import type { ExecEvent, PathEvent } from '../../src/plan/verdicts/call-kinds.ts';
import { PROGRAM_LAYERS } from '../../src/plan/verdicts/form-tests.ts';
import type { KnownProgram } from '../../src/plan/verdicts/known-call.ts';
import { verdictOf, type Verdict } from '../../src/plan/verdicts/verdict.ts';
import type { Subject } from '../../src/rules/subject.ts';
import { absolutePath } from '../../src/shared/path.ts';
import { encodeText } from '../../src/shared/text.ts';
import {
  BOOT_NS,
  CONTAINER,
  makeCall,
  makeEvent,
  makeExec,
  makeFile,
  makeProcess,
  makeSubject,
  type ProcessOverrides,
} from './rules-subject.ts';
import {
  comparisonOf,
  conditionsOf,
  environment,
  hasLoads,
  judgement,
  OF_CONTAINER,
  OF_ENVIRONMENT,
  ofName,
  path,
  processName,
  type Judgement,
} from './verdict-cases.ts';

const PARAMS = ['path', 'name', 'oldpath', 'newpath', 'linkpath', 'filename', 'pathname'];
const PLAIN = [
  ...PARAMS.map((param) => `evt.arg.${param}`),
  ...['name', 'source', 'target', 'placed'].map((of) => `fs.path.${of}`),
  'fd.name',
  'fd.directory',
  'fd.filename',
];
const TRANSFORMED = [
  ...PARAMS.flatMap((param) => [`tolower(evt.arg.${param})`, `basename(evt.arg.${param})`]),
  ...['tolower(fs.path.name)', 'basename(fs.path.name)', 'tolower(fd.filename)'],
  ...['basename(fs.path.target)', 'basename(fd.name)'],
];

const ofPath = comparisonOf([...PLAIN, ...TRANSFORMED]);
/** Comparisons of what the calling process runs. */
const ofProgram = fc.oneof(
  comparisonOf(['proc.exepath', 'basename(proc.exepath)', 'tolower(proc.exepath)']),
  fc.constantFrom(
    'proc.is_exe_upper_layer = true',
    'proc.is_exe_upper_layer != true',
    'proc.is_exe_lower_layer = false',
    ...OF_ENVIRONMENT,
    'proc.is_exe_from_memfd = true',
    'proc.is_exe_from_memfd != true',
    'evt.arg.path = val(proc.exepath)',
    'evt.arg.newpath = val(proc.exepath)',
    'evt.arg.filename != val(proc.exepath)',
    'fd.name = val(proc.exepath)',
    'proc.exepath = val(evt.arg.path)',
    'proc.exepath exists',
  ),
);
/** Comparisons of ages, and of where the process comes from. */
export const OF_NUMBERS: readonly string[] = [
  'proc.duration >= 30000000000',
  'proc.duration < 30000000000',
  'proc.ppid.duration < 60000000000',
  'proc.ppid.duration > 3600000000000',
  'proc.ppid.duration <= 28999999999',
  'not proc.ppid.duration < 60000000000',
  'proc.is_from_outside = true',
  'proc.is_from_outside != true',
  'proc.is_from_outside = false',
  'proc.vpid = 1',
  'not proc.vpid = 1',
  'proc.pvpid = 1',
  'not proc.pvpid = 1',
  'proc.pvpid != 1',
];
const ofCall = fc.constantFrom(
  ...OF_NUMBERS,
  ...OF_CONTAINER,
  'evt.rawres = 0',
  'evt.rawres != 0',
  'evt.rawres < 0',
  'evt.failed = true',
  'evt.failed != true',
  'evt.res = SUCCESS',
  'evt.res != ENOENT',
  'evt.arg.mode contains S_ISUID',
  'evt.arg.mode contains S_IXUSR',
  'evt.arg.mode = 0',
  'evt.arg.mode endswith S_ISGID',
  'evt.arg.flags contains RENAME_EXCHANGE',
  'evt.type = renameat2',
  'evt.type in (symlink, symlinkat)',
  'evt.type in (chmod, fchmod, fchmodat)',
  'evt.is_open_write = true',
  'evt.arg.target = /etc',
  'proc.name = node',
  'proc.name = nosuch',
  'fd.name exists',
  'fs.path.placed exists',
  'container.type = docker',
);

export const pathCondition = conditionsOf(
  fc.oneof(
    { weight: 4, arbitrary: ofPath },
    { weight: 2, arbitrary: ofCall },
    { weight: 2, arbitrary: ofProgram },
    { weight: 1, arbitrary: ofName },
  ),
);

export const anyPathCall = `evt.type in (${JUDGED_CALLS.join(', ')})`;

const WITH_DESCRIPTOR: readonly string[] = ['fchmod', 'fchown'];
const MODES = [0, 0o644, 0o755, 0o4755, 0o2000, 0o6000, 0o1777];

/** The ages of the process and of its parent, in s, what the kernel knows of the latter, and their numbers in the container. */
export const ancestry = {
  ages: fc.tuple(fc.constantFrom(0, 5, 29, 31, 3601), fc.constantFrom(5, 29, 61, 3601)),
  parent: fc.constantFrom('in scope', 'outside', 'not known'),
  vpids: fc.tuple(fc.constantFrom(1, 2, 17), fc.constantFrom(0, 1, 2, 17)),
};
type Ancestry = {
  readonly ages: readonly [own: number, parent: number];
  readonly parent: string;
  /** 0: the agent does not know it. */
  readonly vpids: readonly [own: number, parent: number];
};

export const nsOf = (seconds: number): bigint => BigInt(seconds) * 1_000_000_000n;
export const secondsAgo = (seconds: number): bigint => BOOT_NS - nsOf(seconds);

/** A process of this ancestry, as rules see it. */
export const processWith = (
  { ages, parent, vpids }: Ancestry,
  image: NonNullable<ProcessOverrides['image']>,
): Process =>
  makeProcess({
    startBootNs: secondsAgo(ages[0]),
    vpid: vpids[0],
    parent: makeProcess({
      startBootNs: secondsAgo(ages[1]),
      vpid: vpids[1],
      inScope: parent !== 'outside',
    }),
    image,
  });

/** The numbers of its process, as the kernel knows them. */
export function numbersOf({ ages, parent, vpids }: Ancestry): Partial<KnownProgram> {
  const [age, parentAge] = ages.map(nsOf);
  const [vpid, ofParent] = vpids.map(BigInt);
  if (parent !== 'in scope') return { age, vpid };
  // The kernel always knows it of one in scope.
  const parentVpid = ofParent === 0n ? 5n : ofParent;
  return { age, parentAge, fromOutside: false, vpid, parentVpid };
}

export const pathCall = fc.record({
  event: fc.constantFrom(...JUDGED_CALLS),
  failed: fc.boolean(),
  paths: fc.tuple(path, path),
  /** How many of its first components are the directory that it is relative to. */
  relative: fc.nat(2),
  directory: fc.boolean(),
  mode: fc.constantFrom(...MODES),
  exchanges: fc.boolean(),
  program: path,
  programLayer: fc.constantFrom(...PROGRAM_LAYERS),
  name: processName,
  thread: processName,
  /** The kernel does not know what a process ran before the probe was there. */
  isKnown: fc.boolean(),
  /** Nor the path of a program where that is too long, or not below its root. */
  isPathKnown: fc.boolean(),
  /** Undefined where the agent does not know it. */
  env: environment,
  ...ancestry,
});
export type PathCall = typeof pathCall extends fc.Arbitrary<infer One> ? One : never;

/** The text of a path as passed, and the directory that the probe reports for it. */
function passed(whole: string, relative: number): readonly [text: string, start: string] {
  const parts = whole.split('/').slice(1);
  if (relative === 0 || parts.length <= relative) return [whole, ''];
  return [parts.slice(relative).join('/'), `/${parts.slice(0, relative).join('/')}`];
}

const hasPath = (event: PathEvent, number: 1 | 2): boolean =>
  [...PARAMS].some((param) => pathNumber(event, param) === number);

/** The call as rules see it. */
export function subjectOfCall(one: PathCall): Subject {
  const { event, failed, paths, relative, directory, mode, exchanges } = one;
  const texts = paths.map((whole) => passed(whole, relative));
  const call = makeCall({
    // The mode is the second argument or the third, the flags of renameat2 the fifth.
    int: (n) => (n === 5 ? (exchanges ? 2 : 0) : mode),
    text: (n) => texts[n - 1]?.[0] ?? '',
    directory: (n) => texts[n - 1]?.[1] ?? '',
    path: (n) => absolutePath(texts[n - 1]?.[0] ?? '', texts[n - 1]?.[1] ?? ''),
    ...(WITH_DESCRIPTOR.includes(event)
      ? { fd: 5, file: makeFile(paths[0]), fileMode: directory ? 0o40755 : 0o100644 }
      : {}),
  });
  const made: KernelEvent = {
    ...makeEvent(event, { result: failed ? -2 : 0, call, comm: one.thread }),
    param: (name) => callParam(made, name),
  };
  return makeSubject(made, { container: CONTAINER, process: processOf(one) });
}

const processOf = (one: PathCall): Process =>
  processWith(one, {
    name: one.name,
    exePath: one.program,
    exeUpperLayer: one.programLayer === 'upper',
    exeLowerLayer: one.programLayer === 'lower',
    exeMemfd: one.programLayer === 'memfd',
    env: one.env,
  });

/** The program as far as the kernel knows it. */
function programOf(one: PathCall): KnownProgram | undefined {
  const { isKnown, isPathKnown, program, programLayer: layer, env } = one;
  const path = isPathKnown ? encodeText(program) : undefined;
  if (!isKnown) return undefined;
  const name = encodeText(one.name);
  return { path, layer, loads: hasLoads(env), name, ...numbersOf(one) };
}

/** That its program is run. */
export const subjectOfExec = (one: PathCall, event: ExecEvent): Subject =>
  // The thread that runs it has the process's name.
  makeSubject(
    makeEvent(event, { exec: makeExec({ file: makeFile(one.program) }), comm: one.name }),
    { container: CONTAINER, process: processOf(one) },
  );

/** Those of the rules that deny, in the order of the table, that certainly match that. */
export function deniedBy(
  bytes: Uint8Array,
  denied: readonly string[],
  one: PathCall,
  event: ExecEvent,
): readonly string[] {
  const known = { directory: false, layer: 'none', path: undefined } as const;
  const thread = encodeText(one.name);
  const { failing } = verdictOf(bytes, { event, ...known, program: programOf(one), thread });
  return denied.filter((_, rule) => ((failing >>> rule) & 1) === 0);
}

/** What a table says of a call, as the probe's call-paths.h puts it together. */
export function judgedCall(bytes: Uint8Array, one: PathCall): Judgement {
  const { event, failed, paths, directory, mode } = one;
  const hasMode = ['chmod', 'fchmod', 'fchmodat'].includes(event);
  const program = programOf(one);
  const thread = encodeText(one.thread);
  const made = { program, thread, ...(hasMode ? { mode } : {}) };
  const known = { event, failed, layer: 'none', ...made } as const;
  const ofPath = (which: 0 | 1, isDirectory: boolean): Verdict =>
    verdictOf(bytes, { ...known, which, directory: isDirectory, path: encodeText(paths[which]) });
  const verdicts = WITH_DESCRIPTOR.includes(event)
    ? [ofPath(0, directory)]
    : ([0, 1] as const)
        .filter((which) => hasPath(event, which === 0 ? 1 : 2))
        .map((which) => ofPath(which, false));
  return judgement(verdicts);
}
