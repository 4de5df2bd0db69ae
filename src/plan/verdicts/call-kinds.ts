import { JUDGED_CALLS, LIMITS } from '../../events/table.gen.ts';
import type { Test } from '../../rules/compile/checked.ts';
import { predicateOf } from '../../rules/compile/modifiers.ts';
import { isEventName } from '../../rules/fields/events.ts';
import { modeText } from '../../rules/fields/param-text.ts';
import { kindsOfOpens } from '../open-mask.ts';
import { connectIndex, CONNECTS, type ConnectKind } from './connect-kinds.ts';
import {
  isWayEvent,
  UNHOOKED_WAYS,
  WAY_EVENTS,
  WAY_KINDS,
  wayIndex,
  WAYS_WITH_PROCESS,
  WAYS_WITH_RESULT,
  waysOf,
  type WayEvent,
  type WayKind,
} from './ways.ts';

const { VERDICT_KINDS, VERDICT_OPEN_KINDS } = LIMITS;

/** The calls that open a file, in the order of the probe's verdict.h. */
export const OPEN_EVENTS = ['open', 'openat', 'openat2', 'creat'] as const;
export type OpenEvent = (typeof OPEN_EVENTS)[number];
/** The other calls whose paths are judged. */
export type PathEvent = (typeof JUDGED_CALLS)[number];
export type FileEvent = OpenEvent | PathEvent;
/** Programs that are run: of these it is only decided whether a rule certainly matches. */
export const EXEC_EVENTS = ['execve', 'execveat'] as const;
export type ExecEvent = (typeof EXEC_EVENTS)[number];
/** A call that is judged by where it goes. */
export type ConnectEvent = 'connect';
export type JudgedEvent = FileEvent | ExecEvent | ConnectEvent | WayEvent;

/** Kinds of each open, and of each path of another call. */
const KINDS_OF_CALL = 8;
const OF_CALL = (1 << KINDS_OF_CALL) - 1;
const FAILED_OPEN = 0b1111_0000;

/** Kinds as bits. */
export type Kinds = bigint;
export const NO_KINDS: Kinds = 0n;

/** The kinds for which a comparison can hold, and for which it can fail: upper bounds. */
export interface PossibleKinds {
  readonly holds: Kinds;
  readonly fails: Kinds;
}

/** An open as known to the kernel before its path. */
export interface OpenKind {
  readonly event: OpenEvent;
  readonly reads: boolean;
  readonly writes: boolean;
  readonly failed: boolean;
}

/** Another call as known to the kernel before the path that is judged. */
export interface PathKind {
  readonly event: PathEvent;
  /** 0: its first path, or its descriptor's file; 1: its second path. */
  readonly which: 0 | 1;
  readonly failed: boolean;
  /** The mode that chmod and its kind ask for. */
  readonly mode?: number;
}

/** A program that was run. */
export interface ExecKind {
  readonly event: ExecEvent;
}

/** The index of its bit. */
export function kindIndex(kind: OpenKind | PathKind | ExecKind | ConnectKind | WayKind): number {
  if ('way' in kind) return wayIndex(kind);
  if ('end' in kind) return FIRST_CONNECT + connectIndex(kind);
  if (isExec(kind.event)) return FIRST_EXEC + EXEC_EVENTS.indexOf(kind.event);
  if ('reads' in kind) {
    const access = kind.reads ? (kind.writes ? 2 : 0) : kind.writes ? 1 : 3;
    return OPEN_EVENTS.indexOf(kind.event) * KINDS_OF_CALL + access + (kind.failed ? 4 : 0);
  }
  const { event, which, failed, mode = 0 } = kind as PathKind;
  return firstOf(event, which) + (failed ? 1 : 0) + modeBits(mode);
}

const FIRST_EXEC = VERDICT_OPEN_KINDS + JUDGED_CALLS.length * 2 * KINDS_OF_CALL;
const FIRST_CONNECT = FIRST_EXEC + EXEC_EVENTS.length;

const firstOf = (event: PathEvent, which: 0 | 1): number =>
  VERDICT_OPEN_KINDS + (JUDGED_CALLS.indexOf(event) * 2 + which) * KINDS_OF_CALL;

const modeBits = (mode: number): number => (mode & 0o6000 ? 2 : 0) + (mode & 0o111 ? 4 : 0);
const FAILED_PATH = 0b1010_1010;
/** Limit on modes that are judged: calls with other bits are reported. */
const MODES = 0o10000;

const at = (ofCall: number, first: number): Kinds => BigInt(ofCall) << BigInt(first);
const union = (all: readonly Kinds[]): Kinds => all.reduce((sum, one) => sum | one, NO_KINDS);

/** What of a call is judged: the file that it opens or that its descriptor is, or one of its paths. */
export type JudgedPath = 'file' | 'first path' | 'second path';
/**
 * What a comparison is about: a file, the program that the calling process runs, the name that the process has since its exec, that of the
 * thread at the call, the address or the port that is connected to, or of a program that is run: its path as passed, its standard
 * descriptors, a text of its words, a variable of its environment, or an ancestor.
 */
export type Judged =
  | JudgedPath
  | 'program'
  | 'process'
  | 'thread'
  | 'address'
  | 'port'
  | 'standard'
  | 'filename'
  | ArgvText
  | Variable
  | AncestorJudged;
/** Of the words of a program that is run: those after the first one, joined; with the process's name before them; the first one. */
export const ARGV_TEXTS = ['args', 'command line', 'first word'] as const;
export type ArgvText = (typeof ARGV_TEXTS)[number];
/** A variable of the environment of a program that is run, by its name. */
export type Variable = `${typeof VARIABLE}${string}`;
export const VARIABLE = 'variable ';
/** The variable's name; undefined if it is about anything else. */
export const variableOf = (judged: Judged): string | undefined =>
  judged.startsWith(VARIABLE) ? judged.slice(VARIABLE.length) : undefined;
/** An ancestor by its number, of which 1 is the parent: `inner`: the container has no such one where its parent is out of scope. */
export type AncestorJudged = `${'' | 'inner '}ancestor ${number}` | typeof ANY_ANCESTOR;
export const isAncestor = (judged: Judged): boolean => judged.includes('ancestor');
/** Any ancestor that is the container's. */
export const ANY_ANCESTOR = 'any inner ancestor';
export const ancestorAt = (level: number, inner: boolean): AncestorJudged =>
  inner ? `inner ancestor ${level}` : `ancestor ${level}`;
/** Of these the call has one, beside its paths. */
export const isPathOfCall = (judged: Judged): judged is JudgedPath =>
  judged === 'file' || judged === 'first path' || judged === 'second path';

/** Calls with two paths, of which a symbolic link's first is a text that the kernel does not resolve. */
export const RENAMES: readonly PathEvent[] = ['rename', 'renameat', 'renameat2'];
export const LINKS: readonly PathEvent[] = ['link', 'linkat'];
export const SYMLINKS: readonly PathEvent[] = ['symlink', 'symlinkat'];
/** Calls without a path. */
export const WITH_DESCRIPTOR: readonly PathEvent[] = ['fchmod', 'fchown'];
const WITH_SECOND = [...RENAMES, ...LINKS, ...SYMLINKS];
const WITHOUT_FIRST = [...WITH_DESCRIPTOR, ...SYMLINKS];

/** Connects of these kinds. */
export const kindsOfConnects = (are: (kind: ConnectKind) => boolean): Kinds =>
  union(CONNECTS.filter(are).map((kind) => at(1, kindIndex(kind))));
/** All connects that are judged. */
export const CONNECT_KINDS = kindsOfConnects(() => true);
/** Those to IP addresses. */
export const IP_KINDS = kindsOfConnects(({ end }) => end === 'ipv4' || end === 'ipv6');
/** Those with a path. */
export const UNIX_KINDS = kindsOfConnects(({ end }) => end === 'unix');

/** The kinds under which each is judged. Each call has one of them at least. */
export const KINDS_OF: Readonly<Record<JudgedPath, Kinds>> = {
  file:
    union(OPEN_EVENTS.map((_, index) => at(OF_CALL, index * KINDS_OF_CALL))) |
    union(WITH_DESCRIPTOR.map((event) => at(OF_CALL, firstOf(event, 0)))) |
    UNIX_KINDS,
  'first path': union(
    JUDGED_CALLS.filter((event) => !WITHOUT_FIRST.includes(event)).map((event) =>
      at(OF_CALL, firstOf(event, 0)),
    ),
  ),
  'second path': union(WITH_SECOND.map((event) => at(OF_CALL, firstOf(event, 1)))),
};
const FILE_KINDS = union(Object.values(KINDS_OF)) & ~UNIX_KINDS;
/** Those of programs that are run. */
export const EXEC_KINDS = at((1 << EXEC_EVENTS.length) - 1, FIRST_EXEC);
/** Connects to IP addresses, by what is known of them before they are made: they may succeed at once or go on by themselves. */
const CONNECTS_BOTH_WAYS: readonly Kinds[] = CONNECTS.filter(({ begun }) => begun === false).map(
  (kind) => at(1, kindIndex(kind)) | at(1, kindIndex({ ...kind, begun: true })),
);
/** Accesses of opens: for reading, for writing, for both, and of the path alone. The last one is not denied. */
export const OPEN_ACCESSES = 4;
const DENIED_ACCESSES = 0b0111;
const DENIED_OPENS = union(
  OPEN_EVENTS.map((_, index) => at(DENIED_ACCESSES, index * KINDS_OF_CALL)),
);
/**
 * Of these, the kinds of calls that a rule can deny if it is certain of them: programs that are run, connects to unix sockets, those to
 * IP addresses that it is certain of both ways, opens and changes of names, modes and owners that would succeed, and calls that are judged by who makes them.
 */
export const deniableAmong = (kinds: Kinds): Kinds =>
  (kinds & (EXEC_KINDS | DENIED_OPENS | WORKED_PATHS | UNIX_KINDS | (WAY_KINDS & ~UNHOOKED_WAYS))) |
  union(CONNECTS_BOTH_WAYS.filter((both) => (kinds & both) === both));

/** The accesses, as bits, of the opens that can be denied among these kinds. */
export const deniedAccessesAmong = (kinds: Kinds): number =>
  OPEN_EVENTS.reduce(
    (bits, _, index) =>
      bits | Number((kinds >> BigInt(index * KINDS_OF_CALL)) & BigInt(DENIED_ACCESSES)),
    0,
  );

/** Calls of which both paths are names that the kernel resolves. */
export const WITH_TWO_PATHS: Kinds = union(
  [...RENAMES, ...LINKS].map((event) => at(OF_CALL, firstOf(event, 0))),
);

/** With the second paths of the calls whose first ones are among these kinds: both are judged. */
export const withSecondPaths = (kinds: Kinds): Kinds =>
  WITH_SECOND.reduce((all, event) => {
    const ofFirst = (kinds >> BigInt(firstOf(event, 0))) & BigInt(OF_CALL);
    return all | (ofFirst << BigInt(firstOf(event, 1)));
  }, kinds);

/** Whether these are kinds of calls that change a name, a mode or an owner, and would succeed. */
export const deniesChangesAmong = (kinds: Kinds): boolean => (kinds & WORKED_PATHS) !== NO_KINDS;

/** Whether these are kinds of calls that are judged by who makes them. */
export const deniesCallsAmong = (kinds: Kinds): boolean => (kinds & WAY_KINDS) !== NO_KINDS;

export const ALL_KINDS: Kinds = FILE_KINDS | EXEC_KINDS | CONNECT_KINDS | WAY_KINDS;
/** The kinds by which a call is judged if no comparison is about one of its paths. */
export const ANY_PATH: Kinds =
  WAY_KINDS |
  EXEC_KINDS |
  CONNECT_KINDS |
  KINDS_OF.file |
  KINDS_OF['first path'] |
  union(SYMLINKS.map((event) => at(OF_CALL, firstOf(event, 1))));

/** All kinds of a call. */
export function kindsOfEvent(event: JudgedEvent): Kinds {
  if (isExec(event)) return at(1, kindIndex({ event }));
  if (isWayEvent(event)) return waysOf(event);
  if (event === 'connect') return CONNECT_KINDS;
  const open = OPEN_EVENTS.findIndex((one) => one === event);
  const own =
    open >= 0
      ? at(OF_CALL, open * KINDS_OF_CALL)
      : at(OF_CALL, firstOf(event as PathEvent, 0)) | at(OF_CALL, firstOf(event as PathEvent, 1));
  return own & FILE_KINDS;
}

/** Whether it is a call that ends in the kernel if no rule is about it: a file call, or a connect. */
export const isJudged = (event: string): event is FileEvent | ConnectEvent =>
  isEventName(event) && JUDGED.includes(event);
const JUDGED: readonly string[] = [...OPEN_EVENTS, ...JUDGED_CALLS, 'connect'];

/** Whether a file is opened, or a name, a mode or an owner changed. */
export const isFileCall = (event: string): event is FileEvent =>
  isJudged(event) && event !== 'connect';

/** Whether a program is run. */
export const isExec = (event: string): event is ExecEvent =>
  (EXEC_EVENTS as readonly string[]).includes(event);

/** Whether it is a call that a rule can deny. */
export const isDeniable = (event: string): event is JudgedEvent =>
  isExec(event) || isJudged(event) || isWayEvent(event);

/** All kinds of these calls, of others nothing. */
export const kindsOfEvents = (events: Iterable<string>): Kinds =>
  union([...events].filter(isDeniable).map(kindsOfEvent));

const OPENS = kindsOfEvents(OPEN_EVENTS);
const PATHS = FILE_KINDS & ~OPENS;
/** A program that could not be run is reported elsewhere. */
const NOT_OPENS = PATHS | EXEC_KINDS | CONNECT_KINDS | WAY_KINDS;
const FAILED_PATHS =
  union(
    JUDGED_CALLS.flatMap((event) => [
      at(FAILED_PATH, firstOf(event, 0)),
      at(FAILED_PATH, firstOf(event, 1)),
    ]),
  ) & FILE_KINDS;
/** Of these calls that worked. */
export const WORKED_PATHS: Kinds = PATHS & ~FAILED_PATHS;
const FAILED_CONNECTS = kindsOfConnects(({ end, begun }) => end === 'failed' || begun === true);
const WORKED = WORKED_PATHS | EXEC_KINDS | (CONNECT_KINDS & ~FAILED_CONNECTS) | WAY_KINDS;
const FAILED = FAILED_PATHS | FAILED_CONNECTS;

const everyOpen = (ofCall: number): Kinds =>
  union(OPEN_EVENTS.map((_, index) => at(ofCall, index * KINDS_OF_CALL)));

/** The calls for which a comparison can hold and can fail; undefined if their kind does not decide it. */
export function kindsOf(test: Test): PossibleKinds | undefined {
  if (test.left.key === 'evt.type') return kindsOfType(test);
  if (test.left.key === 'evt.arg.mode') return kindsOfMode(test);
  const opens = kindsOfOpens(test);
  const paths = kindsOfResult(test, opens);
  if (opens.holds === OF_CALL && opens.fails === OF_CALL && paths === undefined) return undefined;
  return {
    holds: everyOpen(opens.holds) | (paths?.holds ?? NOT_OPENS),
    fails: everyOpen(opens.fails) | (paths?.fails ?? NOT_OPENS),
  };
}

function kindsOfType(test: Test): PossibleKinds | undefined {
  if (test.right !== undefined) return undefined;
  const holds = predicateOf(test);
  const events = [...OPEN_EVENTS, ...JUDGED_CALLS, ...EXEC_EVENTS, 'connect', ...WAY_EVENTS];
  const kinds = kindsOfEvents(events.filter((event) => holds(event)));
  return { holds: kinds, fails: ALL_KINDS & ~kinds };
}

/** A call other than an open mostly returns 0 or an error, of which opens' kinds say what can be. */
function kindsOfResult(
  test: Test,
  opens: { readonly holds: number; readonly fails: number },
): PossibleKinds | undefined {
  const worked = { 'evt.rawres': 0, 'evt.res': 'SUCCESS', 'evt.failed': false }[test.left.key];
  if (worked === undefined || test.right !== undefined) return undefined;
  const holds = predicateOf(test)(worked);
  const failed = (kinds: number): Kinds => (kinds & FAILED_OPEN ? FAILED : NO_KINDS);
  const isNumber = test.left.key === 'evt.rawres';
  const answers: readonly (readonly [kinds: Kinds, holds: boolean | undefined])[] = [
    [WORKED & ~WAYS_WITH_RESULT & ~WAYS_WITH_PROCESS, holds],
    [WAYS_WITH_RESULT, isNumber ? holdsFrom(test, 0) : holds],
    [WAYS_WITH_PROCESS, isNumber ? holdsFrom(test, 1) : holds],
  ];
  const worksIf = (answer: boolean): Kinds =>
    union(answers.flatMap(([kinds, can]) => (can === !answer ? [] : [kinds])));
  return {
    holds: worksIf(true) | failed(opens.holds),
    fails: worksIf(false) | failed(opens.fails),
  };
}

/** What the comparison gives for this number and for all that are more; undefined: not the same for all. */
function holdsFrom(test: Test, from: number): boolean | undefined {
  const isOrder = ['<', '<=', '>', '>='].includes(test.operator) && test.modifier === undefined;
  const predicate = predicateOf(test);
  const holds = predicate(from);
  return isOrder && holds === predicate(Number.MAX_SAFE_INTEGER) ? holds : undefined;
}

const WITH_MODE = (['chmod', 'fchmod', 'fchmodat'] as const).map((event) => firstOf(event, 0));
const MODE_KINDS = new Map<string, PossibleKinds>();

/** By trying all modes. */
function kindsOfMode(test: Test): PossibleKinds | undefined {
  if (test.right !== undefined) return undefined;
  const known = MODE_KINDS.get(test.key);
  if (known !== undefined) return known;
  const predicate = predicateOf(test);
  const found = { holds: 0, fails: 0 };
  for (let mode = 0; mode < MODES; mode++) {
    // Of a call that worked and of one that failed.
    const bits = 0b11 << modeBits(mode);
    if (predicate(modeText(mode))) found.holds |= bits;
    else found.fails |= bits;
  }
  const others = ALL_KINDS & ~union(WITH_MODE.map((first) => at(OF_CALL, first)));
  const kinds = {
    holds: others | union(WITH_MODE.map((first) => at(found.holds, first))),
    fails: others | union(WITH_MODE.map((first) => at(found.fails, first))),
  };
  if (MODE_KINDS.size < MODE_KINDS_MAX) MODE_KINDS.set(test.key, kinds);
  return kinds;
}

/** Rules have a handful of comparisons of modes. */
const MODE_KINDS_MAX = 64;

/** What the calls of a set of kinds have in common. */
export interface KindsSummary {
  readonly events: readonly JudgedEvent[];
  /** Whether all opens among them read; whether all write. */
  readonly reads: boolean;
  readonly writes: boolean;
  /** Whether some succeeded; whether some failed. */
  readonly worked: boolean;
  readonly failed: boolean;
}

/** The calls of which a set contains kinds, and a summary of the kinds over all calls. */
export function summaryOf(kinds: Kinds): KindsSummary {
  const ofCall = (first: number): number => Number((kinds >> BigInt(first)) & BigInt(OF_CALL));
  const opens = OPEN_EVENTS.reduce((sum, _, index) => sum | ofCall(index * KINDS_OF_CALL), 0);
  const has = (bits: number): boolean => (opens & bits) !== 0;
  const onlyOpens = (kinds & NOT_OPENS) === NO_KINDS;
  return {
    events: [...OPEN_EVENTS, ...JUDGED_CALLS, ...EXEC_EVENTS, 'connect' as const].filter(
      (event) => (kinds & kindsOfEvent(event)) !== NO_KINDS,
    ),
    // Any kind other than READ and BOTH, or other than WRITE and BOTH.
    reads: onlyOpens && !has(0b1010_1010),
    writes: onlyOpens && !has(0b1001_1001),
    worked: has(0b0000_1111) || (kinds & WORKED) !== NO_KINDS,
    failed: has(FAILED_OPEN) || (kinds & FAILED) !== NO_KINDS,
  };
}

/** Kinds by index, as a table has them. */
export function* eachKind(): Generator<readonly [index: number, bit: Kinds]> {
  for (let index = 0; index < VERDICT_KINDS; index++) yield [index, 1n << BigInt(index)];
}
