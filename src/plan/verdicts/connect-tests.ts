import { LIMITS } from '../../events/table.gen.ts';
import { predicateOf } from '../../rules/compile/modifiers.ts';
import type { Test } from '../../rules/compile/checked.ts';
import { parseIp, parseNet, type IpNet } from '../../rules/fields/ip.ts';
import { CONNECT_KINDS, kindsOfConnects, NO_KINDS, type Judged, type Kinds } from './call-kinds.ts';
import type { ConnectKind } from './connect-kinds.ts';
import type { PathTest } from './path-tests.ts';
import { anything, type Part, type Pattern } from './patterns.ts';

// Addresses and ports are read by automata of their own, half a byte at a time: byte classes and rows stay small.

/** A comparison of where a connect goes. */
export interface ConnectTest {
  /** The connects for which it holds, and for which it fails, whatever the address: upper bounds. */
  readonly holds: Kinds;
  readonly fails: Kinds;
  /** For these it is decided by address or port. */
  readonly decided?: {
    readonly test: PathTest;
    readonly judged: Extract<Judged, 'address' | 'port'>;
    readonly kinds: Kinds;
  };
}

/** What the automaton reads before an address. */
const VERSION = { 4: LIMITS.VERDICT_IPV4, 6: LIMITS.VERDICT_IPV6 } as const;
const HALVES: Readonly<Record<4 | 6, number>> = { 4: 8, 6: 32 };
const PORTS = 65_536;

/** Not known of connects of a kind. */
const EITHER = Symbol('either');
type Fact = string | boolean | undefined | typeof EITHER;

const isIp = ({ end }: ConnectKind): boolean => end === 'ipv4' || end === 'ipv6';

/** Fields that are the same for all connects of a kind, as src/rules/fields/fd.ts has them; absent: undefined. */
const FACTS: Readonly<Record<string, (kind: ConnectKind) => Fact>> = {
  'fd.type': ({ end }) => (end === 'failed' ? undefined : end),
  'fd.typechar': ({ end }) => ({ ipv4: '4', ipv6: '6', unix: 'u', failed: undefined })[end],
  'fd.sockfamily': (kind) => (isIp(kind) ? 'ip' : kind.end === 'unix' ? 'unix' : undefined),
  'fd.l4proto': (kind) => {
    if (!isIp(kind)) return kind.end === 'unix' ? '<NA>' : undefined;
    return kind.protocol === 'other' ? EITHER : kind.protocol;
  },
  'fd.connected': ({ end, begun }) => end !== 'failed' && begun !== true,
  'fd.name_changed': ({ end }) => end !== 'failed',
  'fd.is_server': ({ end }) => (end === 'failed' ? undefined : false),
};

/** The process is the client: the server is at the other end. */
const ADDRESSES: readonly string[] = ['fd.sip', 'fd.rip', 'fd.snet', 'fd.rnet'];
const PORT_FIELDS: readonly string[] = ['fd.sport', 'fd.rport'];
const WITH_ADDRESS = kindsOfConnects(isIp);

/** A comparison of a connect's end; undefined for any other, and for what cannot be decided. */
export function connectTestOf(test: Test): ConnectTest | undefined {
  const { field } = test.left;
  if (field === undefined || test.right !== undefined || test.operator === 'exists')
    return undefined;
  const fact = FACTS[field];
  if (fact !== undefined) return ofFact(test, fact);
  const isAddress = ADDRESSES.includes(field);
  if (!isAddress && !PORT_FIELDS.includes(field)) return undefined;
  const decided = isAddress ? addressTestOf(test) : portTestOf(test);
  if (decided === undefined) return undefined;
  const judged = isAddress ? 'address' : 'port';
  // No comparison of an absent field holds.
  const fails = CONNECT_KINDS & ~WITH_ADDRESS;
  return { holds: NO_KINDS, fails, decided: { test: decided, judged, kinds: WITH_ADDRESS } };
}

function ofFact(test: Test, fact: (kind: ConnectKind) => Fact): ConnectTest {
  const predicate = predicateOf(test);
  const are = (wanted: boolean): Kinds =>
    kindsOfConnects((kind) => {
      const value = fact(kind);
      if (value === EITHER) return true;
      return (value !== undefined && predicate(value)) === wanted;
    });
  return { holds: are(true), fails: are(false) };
}

/** Equal to one of the constants, or in one of the networks. */
function addressTestOf({ key, operator, modifier, left, values }: Test): PathTest | undefined {
  if (modifier !== undefined && (modifier !== 'anyof' || operator === '!=')) return undefined;
  if (!['=', '==', '!=', 'in'].includes(operator)) return undefined;
  const nets: IpNet[] = [];
  for (const value of values.map(String)) {
    const net = left.kind === 'net' ? parseNet(value) : wholeAddress(value);
    if (net === undefined) return undefined;
    nets.push(net);
  }
  return endTest(key, 'address', nets.map(netPattern), operator === '!=');
}

function wholeAddress(text: string): IpNet | undefined {
  const address = parseIp(text);
  return address && { address, prefixLength: address.version === 4 ? 32 : 128 };
}

const endTest = (
  key: string,
  machine: 'address' | 'port',
  patterns: readonly Pattern[],
  negated: boolean,
): PathTest => ({
  // Not equal to that of a path.
  key: `${machine} ${key.replace(/^fd\.r/, 'fd.s')}`,
  machine,
  point: 'end',
  patterns,
  part: 'path',
  negated,
  holdsForRoot: false,
});

/** One symbol of these: half bytes, or what is read before an address. */
function oneOf(symbols: readonly number[]): Part {
  const bytes = new Uint8Array(256);
  for (const symbol of symbols) bytes[symbol] = 1;
  return { bytes, many: false };
}

const SYMBOLS = Array.from({ length: LIMITS.VERDICT_IPV6 + 1 }, (_, symbol) => oneOf([symbol]));
const only = (symbol: number): Part => SYMBOLS[symbol] ?? anything;

/** The addresses of a network: its leading halves, those that the last bits allow, and any others. */
function netPattern({ address, prefixLength }: IpNet): Pattern {
  const { version, words } = address;
  const pattern: Part[] = [only(VERSION[version])];
  for (let at = 0; at < HALVES[version]; at++) {
    const bits = Math.min(4, prefixLength - 4 * at);
    if (bits <= 0) return [...pattern, anything];
    const place = version === 4 ? at + 24 : at;
    const half = ((words[place >> 3] ?? 0) >>> (28 - 4 * (place & 7))) & 15;
    const kept = half >> (4 - bits);
    pattern.push(
      bits === 4
        ? only(half)
        : oneOf(
            Array.from({ length: 16 }, (_, one) => one).filter((one) => one >> (4 - bits) === kept),
          ),
    );
  }
  return pattern;
}

/** Operators whose result is the same for all ports between two constants. */
const OF_RANGES: readonly string[] = ['=', '==', '!=', '<', '<=', '>', '>=', 'in'];

/** By trying a port of each range between constants. */
function portTestOf(test: Test): PathTest | undefined {
  if (!OF_RANGES.includes(test.operator)) return undefined;
  const predicate = predicateOf(test);
  const bounds = test.values.flatMap((value) => [Number(value), Number(value) + 1]);
  const starts = [0, ...bounds].filter((port) => port >= 0 && port < PORTS);
  const holds = new Uint8Array(PORTS);
  // Each range overwrites what the one before says of it.
  for (const start of starts.sort((one, other) => one - other))
    holds.fill(predicate(start) ? 1 : 0, start);
  return endTest(test.key, 'port', portPatterns(holds, 0, PORTS), false);
}

/** Equal for equal ports. Most are all alike. */
function contentOf(ports: Uint8Array): string {
  if (!ports.includes(0)) return 'all';
  return ports.includes(1) ? Buffer.from(ports).toString('latin1') : 'none';
}

/** Patterns for the ports from `from` on, of which there are 16 times as many as with each next half. */
function portPatterns(holds: Uint8Array, from: number, count: number): Pattern[] {
  if (!holds.subarray(from, from + count).includes(0)) return [count === 1 ? [] : [anything]];
  if (!holds.subarray(from, from + count).includes(1)) return [];
  const each = count / 16;
  // Halves that lead to the same ports are one.
  const byContent = new Map<string, number[]>();
  for (let half = 0; half < 16; half++) {
    const start = from + half * each;
    const content = contentOf(holds.subarray(start, start + each));
    byContent.set(content, [...(byContent.get(content) ?? []), half]);
  }
  return [...byContent.values()].flatMap((halves) =>
    portPatterns(holds, from + (halves[0] ?? 0) * each, each).map((rest) => [
      oneOf(halves),
      ...rest,
    ]),
  );
}
