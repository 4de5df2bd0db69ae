// Rules about connects, and connects that they are about, of any shape.
import fc from 'fast-check';
import type { SocketDetails, SocketTuple } from '../../src/events/event.ts';
import { PROTOCOL_KINDS, type ConnectEnd } from '../../src/plan/verdicts/connect-kinds.ts';
import { ancestry, numbersOf, OF_NUMBERS, processWith } from './verdict-path-cases.ts';
import type { KnownCall } from '../../src/plan/verdicts/known-call.ts';
import { verdictOf } from '../../src/plan/verdicts/verdict.ts';
import { parseIp } from '../../src/rules/fields/ip.ts';
import type { Subject } from '../../src/rules/subject.ts';
import { encodeText } from '../../src/shared/text.ts';
import { CONTAINER, makeConnect, makeEvent, makeSubject } from './rules-subject.ts';
import {
  comparisonOf,
  conditionsOf,
  judgement,
  ofName,
  path,
  processName,
  type Judgement,
} from './verdict-cases.ts';

const IPV4 = ['10.0.0.1', '10.0.0.2', '10.128.0.1', '192.168.7.255', '169.254.169.254', '0.0.0.0'];
const MAPPED = ['::ffff:10.0.0.1', '::ffff:192.168.7.255'];
const IPV6 = ['fd00::1', 'fd00:ec2::254', '2001:db8::ffff', '::1', '::', '::fffe:a00:1'];
const NETS = [
  '10.0.0.0/8',
  '10.0.0.0/9',
  '10.0.0.0/31',
  '192.168.0.0/21',
  '169.254.169.254/32',
  '0.0.0.0/0',
  'fd00::/7',
  'fd00::/8',
  '2001:db8::/33',
  '::1/128',
  '::ffff:10.0.0.0/104',
];
const PORTS = [0, 53, 80, 443, 1023, 1024, 3333, 32_768, 65_535];
const PROTOCOLS: Readonly<Record<(typeof PROTOCOL_KINDS)[number], readonly number[]>> = {
  tcp: [6],
  udp: [17],
  other: [1, 58, 132, 255],
};

const listed = (values: readonly (string | number)[]): string =>
  `(${values.map((value) => JSON.stringify(String(value))).join(', ')})`;

const some = <T>(values: readonly T[]): fc.Arbitrary<T[]> =>
  fc.array(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });

/** Of either end: not decided where the other one is the client's, whose address the kernel is not asked for. */
const EITHER_END = fc.oneof(
  fc
    .tuple(fc.constantFrom('fd.cip', 'fd.ip'), some([...IPV4, ...IPV6]))
    .map(([field, ips]) => `${field} in ${listed(ips)}`),
  fc
    .tuple(fc.constantFrom('fd.lnet', 'fd.net'), some(NETS))
    .map(([field, nets]) => `${field} in ${listed(nets)}`),
  fc
    .tuple(fc.constantFrom('fd.cport', 'fd.port'), some(PORTS))
    .map(([field, ports]) => `${field} in ${listed(ports)}`),
);
const ofAddress = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('fd.sip', 'fd.rip'),
      fc.constantFrom('=', '!='),
      fc.constantFrom(...IPV4, ...MAPPED, ...IPV6),
    )
    .map(([field, operator, ip]) => `${field} ${operator} "${ip}"`),
  fc
    .tuple(fc.constantFrom('fd.sip', 'fd.rip'), some([...IPV4, ...IPV6]))
    .map(([field, ips]) => `${field} in ${listed(ips)}`),
  fc
    .tuple(fc.constantFrom('fd.snet', 'fd.rnet'), some(NETS))
    .map(([field, nets]) => `${field} in ${listed(nets)}`),
  fc
    .tuple(
      fc.constantFrom('fd.snet', 'fd.rnet'),
      fc.constantFrom('=', '!='),
      fc.constantFrom(...NETS),
    )
    .map(([field, operator, net]) => `${field} ${operator} "${net}"`),
);
const ofPort = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('fd.sport', 'fd.rport'),
      fc.constantFrom('=', '!=', '<', '<=', '>', '>='),
      fc.constantFrom(...PORTS),
    )
    .map(([field, operator, port]) => `${field} ${operator} ${port}`),
  fc
    .tuple(fc.constantFrom('fd.sport', 'fd.rport'), some(PORTS))
    .map(([field, ports]) => `${field} in ${listed(ports)}`),
);
/** Comparisons that the kernel decides exactly. */
export const ofWhere = fc.oneof(ofAddress, ofPort);
const ofEnd = fc.constantFrom(
  'fd.type in (ipv4, ipv6)',
  'fd.type = unix',
  'fd.type != ipv4',
  'fd.typechar = 4',
  'fd.typechar in (4, 6)',
  'fd.typechar != u',
  'fd.l4proto = tcp',
  'fd.l4proto != udp',
  'fd.l4proto in (udp, icmp)',
  'fd.sockfamily = ip',
  'fd.sockfamily != unix',
  'fd.connected = true',
  'fd.connected != true',
  'fd.name_changed = true',
  'fd.name_changed = false',
  'fd.is_server = false',
  'fd.is_server = true',
  'evt.rawres = 0',
  'evt.rawres >= 0',
  'evt.rawres < 0',
  'evt.rawres in (0, -115)',
  'evt.res = SUCCESS',
  'evt.res in (SUCCESS, EINPROGRESS)',
  'evt.res = EINPROGRESS',
  'evt.failed = true',
  'evt.failed != true',
  'evt.is_open_write = true',
  'fd.num >= 0',
  'fd.sip exists',
  'fd.sport exists',
  'fd.type exists',
  'fd.sip.name = example.com',
  'fd.name contains ":443"',
  'fd.name exists',
  'fd.directory = /run',
  'fd.filename = a',
  'evt.type = connect',
  'evt.type in (openat, rename)',
  'proc.exepath = /usr/local/bin/node',
  'container.type = docker',
);

export const connectCondition = conditionsOf(
  fc.oneof(
    { weight: 4, arbitrary: ofAddress },
    { weight: 3, arbitrary: ofPort },
    { weight: 3, arbitrary: ofEnd },
    { weight: 1, arbitrary: EITHER_END },
    { weight: 2, arbitrary: comparisonOf(['fd.name', 'basename(fd.name)', 'tolower(fd.name)']) },
    { weight: 1, arbitrary: ofName },
    { weight: 1, arbitrary: fc.constantFrom(...OF_NUMBERS) },
  ),
);

export const connectCall = fc.record({
  end: fc.constantFrom<ConnectEnd>('ipv4', 'ipv4', 'ipv6', 'ipv6', 'unix', 'failed'),
  protocol: fc.constantFrom(...PROTOCOL_KINDS),
  number: fc.nat(3),
  /** How far it has come: an error of a connection that goes on by itself. */
  result: fc.constantFrom(0, 0, -115, -4),
  ipv4: fc.constantFrom(...IPV4, ...MAPPED),
  ipv6: fc.constantFrom(...IPV6),
  port: fc.constantFrom(...PORTS),
  path,
  name: processName,
  thread: processName,
  ...ancestry,
  /** The kernel does not know what a process ran before the probe was there. */
  isKnown: fc.boolean(),
});
export type ConnectCall = typeof connectCall extends fc.Arbitrary<infer One> ? One : never;

const isIp = ({ end }: ConnectCall): boolean => end === 'ipv4' || end === 'ipv6';
const ipOf = (one: ConnectCall): string => (one.end === 'ipv6' ? one.ipv6 : one.ipv4);

function socketOf(one: ConnectCall): SocketDetails {
  const { end, protocol, number, port } = one;
  const protocols = PROTOCOLS[protocol];
  const kernel = {
    family: end === 'unix' ? 1 : end === 'ipv6' || ipOf(one).includes(':') ? 10 : 2,
    protocol: end === 'unix' ? 0 : (protocols[number % protocols.length] ?? 0),
    socketType: 1,
  };
  const tuple: SocketTuple = isIp(one)
    ? {
        ...kernel,
        localIp: '10.0.0.9',
        localPort: 4_000,
        remoteIp: ipOf(one),
        remotePort: port,
        unixPath: '',
      }
    : { ...kernel, localIp: '', localPort: 0, remoteIp: '', remotePort: 0, unixPath: one.path };
  return {
    ...kernel,
    tuple: end === 'failed' ? undefined : tuple,
    connected: true,
    peerChanged: false,
  };
}

/** The connect as rules see it. */
export function subjectOfConnect(one: ConnectCall): Subject {
  const result = one.end === 'failed' ? -111 : isIp(one) ? one.result : 0;
  const call = { ...makeConnect(), socket: socketOf(one) };
  return makeSubject(makeEvent('connect', { result, call, comm: one.thread }), {
    container: CONTAINER,
    process: processWith(one, { name: one.name }),
  });
}

/** An address as the kernel has it. */
export function addressBytes(text: string): Buffer {
  const { version, words } = parseIp(text)!;
  const bytes = Buffer.alloc(16);
  for (const [index, word] of words.entries()) bytes.writeUInt32BE(word >>> 0, 4 * index);
  return version === 4 ? bytes.subarray(12) : bytes;
}

/** The connect as the probe's connect-verdict.h puts it together. */
export function knownConnect(one: ConnectCall): KnownCall {
  const { end, protocol, result, port, isKnown } = one;
  const program = { path: Buffer.from('/usr/local/bin/node'), layer: 'lower' } as const;
  return {
    event: 'connect',
    end,
    ...(isIp(one) ? { protocol, begun: result < 0, address: addressBytes(ipOf(one)), port } : {}),
    path: end === 'unix' ? encodeText(one.path) : undefined,
    directory: false,
    layer: 'none',
    program: isKnown ? { ...program, name: encodeText(one.name), ...numbersOf(one) } : undefined,
    thread: encodeText(one.thread),
  };
}

export const judgedConnect = (bytes: Uint8Array, one: ConnectCall): Judgement =>
  judgement([verdictOf(bytes, knownConnect(one))]);
