// Calls that are judged by who makes them: before they are made, and only to be refused. native/schema/ways.mjs
import { namesOf } from '../../events/call-names.ts';
import { CALL_WAYS, JUDGED_CALLS, LIMITS } from '../../events/table.gen.ts';
import type { Test } from '../../rules/compile/checked.ts';
import { predicateOf } from '../../rules/compile/modifiers.ts';
import { isEventName } from '../../rules/fields/events.ts';
import { signalText } from '../../rules/fields/param-text.ts';

export type WayEvent = keyof typeof CALL_WAYS;

/** One of the ways to make such a call that the kernel tells apart, from 0. */
export interface WayKind {
  readonly event: WayEvent;
  readonly way: number;
}

const { VERDICT_CONNECT_KINDS, VERDICT_EXEC_KINDS, VERDICT_OPEN_KINDS } = LIMITS;
const FIRST_WAY =
  VERDICT_OPEN_KINDS + 16 * JUDGED_CALLS.length + VERDICT_EXEC_KINDS + VERDICT_CONNECT_KINDS;

/** All of them, in the order of their bits. */
const WAYS: readonly WayKind[] = Object.entries(CALL_WAYS).flatMap(([event, count]) =>
  Array.from({ length: count }, (_, way) => ({ event: event as WayEvent, way })),
);

export const WAY_EVENTS: readonly WayEvent[] = Object.keys(CALL_WAYS) as WayEvent[];

/** The index of its bit. */
export const wayIndex = ({ event, way }: WayKind): number =>
  FIRST_WAY + WAYS.findIndex((one) => one.event === event) + way;

const kindsOfWays = (are: (way: WayKind) => boolean): bigint =>
  WAYS.reduce((all, way, index) => (are(way) ? all | (1n << BigInt(FIRST_WAY + index)) : all), 0n);

/** Kinds of all such calls. */
export const WAY_KINDS = kindsOfWays(() => true);
/** Those of one of them. */
export const waysOf = (event: WayEvent): bigint => kindsOfWays((way) => way.event === event);

/** Calls that can make a user namespace: no hook sees one that does not. */
const NAMESPACE_EVENTS = ['unshare', 'clone', 'clone3'] as const satisfies readonly WayEvent[];
const makesNamespaces = (event: WayEvent): boolean => NAMESPACE_EVENTS.some((one) => one === event);

/** Of these no hook sees the call. */
export const UNHOOKED_WAYS = kindsOfWays(({ event, way }) => makesNamespaces(event) && way === 0);

export const isWayEvent = (event: string): event is WayEvent =>
  isEventName(event) && Object.hasOwn(CALL_WAYS, event);

/** Each has programs of its own that refuse them: not every kernel has those of namespaces, and those of memory cost the whole host. */
export type WayGroup = 'call' | 'memory' | 'namespace';

const GROUP_OF: Readonly<Partial<Record<WayEvent, WayGroup>>> = {
  mmap: 'memory',
  mprotect: 'memory',
  unshare: 'namespace',
  clone: 'namespace',
  clone3: 'namespace',
};

/** Those that hooks of cgroup v2 see, too: devices that are made, and binds, of which they see those to IP addresses. */
export const DEVICE_WAYS = kindsOfWays(({ event, way }) => event.startsWith('mknod') && way > 0);
export const BIND_WAYS = kindsOfWays(({ event }) => event === 'bind');

/** The kinds of each group. */
export const KINDS_OF_WAYS: Readonly<Record<WayGroup, bigint>> = {
  call: kindsOfWays(({ event }) => GROUP_OF[event] === undefined),
  memory: kindsOfWays(({ event }) => GROUP_OF[event] === 'memory'),
  namespace: kindsOfWays(({ event }) => GROUP_OF[event] === 'namespace'),
};

/** These do not return 0 where they succeed: a descriptor, a number of bytes, or an address. */
const WITH_RESULT: readonly WayEvent[] = [
  'process_vm_readv',
  'process_vm_writev',
  'pidfd_getfd',
  'bpf',
  'ptrace',
  'mmap',
];
/** Of these it is not known what they will return. */
export const WAYS_WITH_RESULT = kindsOfWays(({ event }) => WITH_RESULT.includes(event));
/** These return the number of a process, which is not 0. */
export const WAYS_WITH_PROCESS = kindsOfWays(
  ({ event }) => event === 'clone' || event === 'clone3',
);

const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const PERMISSIONS = 0o10000;
const PROT_EXEC = 4;
const CLONE_NEWUSER = 0x10000000;
const SIGNAL_EVENTS: ReadonlySet<WayEvent> = new Set([
  'kill',
  'tkill',
  'tgkill',
  'pidfd_send_signal',
]);
/** Signals that have a way of their own, from 1. */
const SIGNALS = [0, 1, 2, 9, 15, 19];
const PTRACE_TRACEME = 0;
const PTRACE_ATTACH = 16;
const PTRACE_SEIZE = 0x4206;

/** Of a device it is only known that it has a number. */
const ANY_NUMBER = 'any number but 0';
/** A list of names, of which one is known to be there, or not to be. */
type Names = { readonly has: string } | { readonly lacks: string };
type Possible = readonly (number | string)[] | Names | typeof ANY_NUMBER;

/** All that a field can be where the call is made in this way; undefined: that is not known. */
function possibleOf({ event, way }: WayKind, field: string): Possible | undefined {
  const [, kind, name] = /^evt\.(arg|rawarg)\.([a-z]+)$/.exec(field) ?? [];
  const isRaw = kind === 'rawarg';
  const numberOf = (set: 'BPF' | 'PROT' | 'PTRACE', value: number): Possible => [
    isRaw ? value : namesOf(set, value),
  ];
  if (event === 'bpf' && name === 'cmd')
    return way < CALL_WAYS.bpf - 1 ? numberOf('BPF', way) : undefined;
  if (event === 'ptrace' && name === 'request') {
    const request = [undefined, PTRACE_TRACEME, PTRACE_ATTACH, PTRACE_SEIZE][way];
    return request === undefined ? undefined : numberOf('PTRACE', request);
  }
  if (makesNamespaces(event) && name === 'flags' && !isRaw) {
    const flag = namesOf('CLONE', CLONE_NEWUSER);
    return way === 1 ? { has: flag } : { lacks: flag };
  }
  if ((event === 'mmap' || event === 'mprotect') && name === 'prot')
    return way === 0 ? undefined : numberOf('PROT', PROT_EXEC + way - 1);
  if (SIGNAL_EVENTS.has(event) && name === 'sig') {
    const signal = SIGNALS[way - 1];
    return signal === undefined ? undefined : [isRaw ? signal : signalText(signal)];
  }
  if ((event === 'mknod' || event === 'mknodat') && way > 0 && isRaw) {
    if (name === 'dev') return ANY_NUMBER;
    const type = way === 1 ? S_IFCHR : S_IFBLK;
    if (name === 'mode') return Array.from({ length: PERMISSIONS }, (_, mode) => type + mode);
  }
  return undefined;
}

/** Of these calls, the ones for which a comparison of an argument can hold, and for which it can fail; undefined: it says nothing of any. */
export function waysOfArgument(test: Test): { holds: bigint; fails: bigint } | undefined {
  if (test.right !== undefined) return undefined;
  const known = KNOWN.get(test.key);
  if (known !== undefined) return known ?? undefined;
  const found = readArgument(test);
  if (KNOWN.size < KNOWN_MAX) KNOWN.set(test.key, found ?? null);
  return found;
}

/** By the text of a comparison. Rules have some thousand different ones. */
const KNOWN = new Map<string, { holds: bigint; fails: bigint } | null>();
const KNOWN_MAX = 4096;

function readArgument(test: Test): { holds: bigint; fails: bigint } | undefined {
  const results = WAYS.map((way) => resultsOf(test, possibleOf(way, test.left.key)));
  if (results.every((result) => result === undefined)) return undefined;
  const kinds = (can: boolean): bigint =>
    results.reduce(
      (all, result, index) =>
        result?.includes(can) === false ? all : all | (1n << BigInt(FIRST_WAY + index)),
      0n,
    );
  return { holds: kinds(true), fails: kinds(false) };
}

const isNames = (possible: Possible): possible is Names =>
  typeof possible === 'object' && ('has' in possible || 'lacks' in possible);

/** Whether such a list contains a text, if that is known. */
function containsName(test: Test, names: Names): readonly boolean[] | undefined {
  if (test.operator !== 'contains' || test.modifier !== undefined) return undefined;
  // More names in the list change nothing then.
  if ('has' in names) return predicateOf(test)(names.has) ? [true] : undefined;
  return test.values.every((value) => String(value).includes(names.lacks)) ? [false] : undefined;
}

/** What a comparison with these can give. */
function resultsOf(test: Test, possible: Possible | undefined): readonly boolean[] | undefined {
  if (possible === undefined) return undefined;
  const predicate = predicateOf(test);
  if (isNames(possible)) return containsName(test, possible);
  if (possible !== ANY_NUMBER) return [...new Set(possible.map((value) => predicate(value)))];
  // Compared with 0, all other numbers are alike.
  const isWithZero = ['=', '==', '!='].includes(test.operator) && test.modifier === undefined;
  return isWithZero && test.values.every((value) => Number(value) === 0)
    ? [predicate(1)]
    : undefined;
}
