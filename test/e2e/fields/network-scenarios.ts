import type { Step } from '../../support/kernel-process.ts';
import { bytes, call, callFd, ipv4, text, type CallResult } from '../../support/kernel-calls.ts';
import { hasSocket } from './proc-facts.ts';
import type { Comparison, Condition, Scenario, Truth, World } from './scenario.ts';

type Fields = Comparison['fields'];

const LOCAL = 'getsockname(2)';
const REMOTE = 'getpeername(2)';
const TABLE = '/proc/PID/net/tcp, udp';
const OWN = 'the program’s own report';

/** Addresses of the loopback device, and names for them that only the agent's /etc/hosts has. */
export const SERVER = { ip: '127.0.0.9', port: 8080, name: 'server.example' };
export const CLIENT = { ip: '127.0.0.8', name: 'client.example' };
const OTHER = { ip: '127.0.0.7', port: 5353 };

export const HOSTS = [`${SERVER.ip} ${SERVER.name}`, `${CLIENT.ip} ${CLIENT.name}`];

const AF_INET = 2;
const STREAM = 1;
const DATAGRAM = 2;

interface End {
  readonly ip: string;
  readonly port: number;
}

const bound = (ip: string, port: number): Step[] => call('bind', '@', bytes(ipv4(ip, port)), 16);

/** The connection's two ends as the program asked for them, by what it described nth. */
const local = (world: World, nth: number): End => ends(world.result('describe', nth)).local;
const remote = (world: World, nth: number): End => ends(world.result('describe', nth)).remote;

function ends({ local: here, remote: there }: CallResult): { local: End; remote: End } {
  if (here === undefined || there === undefined) throw new Error('the socket is not connected');
  return { local: here, remote: there };
}

const isInTable = (world: World, end: End): boolean => hasSocket(world.init, 'tcp', end);

/** The fields of a connection of which the process is at the client's or the server's end. */
function connection(nth: number, side: 'client' | 'server'): Fields {
  const of =
    (source: string, value: (world: World) => Truth['value']) =>
    (world: World): Truth => ({ source, value: value(world) });
  const here = (world: World): End => local(world, nth);
  const there = (world: World): End => remote(world, nth);
  const [client, clientSource] = side === 'client' ? [here, LOCAL] : [there, REMOTE];
  const [server, serverSource] = side === 'client' ? [there, REMOTE] : [here, LOCAL];
  const text = ({ ip, port }: End): string => `${ip}:${port}`;
  return {
    'fd.name': of(`${LOCAL}, ${REMOTE}`, (w) => `${text(client(w))}->${text(server(w))}`),
    'fd.cip': of(clientSource, (w) => client(w).ip),
    'fd.sip': of(serverSource, (w) => server(w).ip),
    'fd.lip': of(LOCAL, (w) => here(w).ip),
    'fd.rip': of(REMOTE, (w) => there(w).ip),
    'fd.cport': of(clientSource, (w) => client(w).port),
    'fd.sport': of(serverSource, (w) => server(w).port),
    'fd.lport': of(LOCAL, (w) => here(w).port),
    'fd.rport': of(REMOTE, (w) => there(w).port),
    'fd.cproto': of(clientSource, (w) => String(client(w).port)),
    'fd.sproto': of(serverSource, (w) => String(server(w).port)),
    'fd.lproto': of(LOCAL, (w) => String(here(w).port)),
    'fd.rproto': of(REMOTE, (w) => String(there(w).port)),
    'fd.cip.name': of('the agent’s hosts file', (w) => nameOf(client(w))),
    'fd.sip.name': of('the agent’s hosts file', (w) => nameOf(server(w))),
    'fd.lip.name': of('the agent’s hosts file', (w) => nameOf(here(w))),
    'fd.rip.name': of('the agent’s hosts file', (w) => nameOf(there(w))),
    'fd.l4proto': of(TABLE, (w) => (isInTable(w, here(w)) ? 'tcp' : null)),
    'fd.sockfamily': of(TABLE, (w) => (isInTable(w, here(w)) ? 'ip' : null)),
    'fd.type': of(TABLE, (w) => (isInTable(w, here(w)) ? 'ipv4' : null)),
    'fd.typechar': of(TABLE, (w) => (isInTable(w, here(w)) ? '4' : null)),
    'fd.is_server': of(OWN, () => side === 'server'),
    'fd.connected': of(REMOTE, (w) => there(w).port > 0),
  };
}

const nameOf = ({ ip }: End): string | null =>
  HOSTS.map((line) => line.split(' ')).find(([address]) => address === ip)?.[1] ?? null;

/** That an end is in this network and not in that one, by its address. */
function network(
  field: string,
  source: string,
  address: string,
  isTrue: (world: World) => boolean,
): Condition {
  return {
    field,
    holds: `${field} = "${address}/32"`,
    fails: `${field} in ("${OTHER.ip}/32", "10.0.0.0/8")`,
    source,
    isTrue,
  };
}

const CONNECT_CONDITIONS: readonly Condition[] = [
  network('fd.cnet', LOCAL, CLIENT.ip, (w) => local(w, 0).ip === CLIENT.ip),
  network('fd.lnet', LOCAL, CLIENT.ip, (w) => local(w, 0).ip === CLIENT.ip),
  network('fd.snet', REMOTE, SERVER.ip, (w) => remote(w, 0).ip === SERVER.ip),
  network('fd.rnet', REMOTE, SERVER.ip, (w) => remote(w, 0).ip === SERVER.ip),
  network('fd.net', REMOTE, SERVER.ip, (w) => remote(w, 0).ip === SERVER.ip),
  {
    field: 'fd.ip',
    holds: `fd.ip = ${CLIENT.ip}`,
    fails: `fd.ip = ${OTHER.ip}`,
    source: LOCAL,
    isTrue: (w) => local(w, 0).ip === CLIENT.ip,
  },
  {
    field: 'fd.port',
    holds: `fd.port = ${SERVER.port}`,
    fails: `fd.port = ${OTHER.port}`,
    source: REMOTE,
    isTrue: (w) => remote(w, 0).port === SERVER.port,
  },
  {
    field: 'fd.proto',
    holds: `fd.proto = ${SERVER.port}`,
    fails: `fd.proto = ${OTHER.port}`,
    source: REMOTE,
    isTrue: (w) => remote(w, 0).port === SERVER.port,
  },
];

/** Names are looked up for what rules compare with. */
const NAMED = `fd.sip.name in (${SERVER.name}, ${CLIENT.name})`;
const SENT = 'what was sent';
const ASKED = 'asked';

const datagram = (to: { ip: string; port: number }): Step[] =>
  call('sendto', '@', text(ASKED), ASKED.length, 0, bytes(ipv4(to.ip, to.port)), 16);

/** Ends in a connection of its own, whose number is `@`. */
const CONNECT: readonly Step[] = [
  ...[...callFd('socket', AF_INET, STREAM, 0), ...bound(SERVER.ip, SERVER.port)],
  ...call('listen', '@', 5),
  ...[...callFd('socket', AF_INET, STREAM, 0), ...bound(CLIENT.ip, 0)],
  ...call('connect', '@', bytes(ipv4(SERVER.ip, SERVER.port)), 16),
  ...['describe', '@'],
];

/** What a program found at descriptors 0 to 2: the connection that was described first. */
const STANDARD: Fields = Object.fromEntries(
  ['stdin', 'stdout', 'stderr'].flatMap((name) => [
    [
      `proc.${name}.type`,
      (world: World): Truth => ({
        source: TABLE,
        value: isInTable(world, local(world, 0)) ? 'ipv4' : null,
      }),
    ],
    [
      `proc.${name}.name`,
      (world: World): Truth => {
        const [here, there] = [local(world, 0), remote(world, 0)];
        const value = `${here.ip}:${here.port}->${there.ip}:${there.port}`;
        return { source: `${LOCAL}, ${REMOTE}`, value };
      },
    ],
  ]),
);

export const NETWORK_SCENARIOS: readonly Scenario[] = [
  {
    name: 'connection',
    steps: [
      ...[...CONNECT, ...callFd('accept', '@1', 'n', 'n')],
      ...['describe', '@'],
      ...call('sendto', '@1', text(SENT), SENT.length, 0, 'n', 0),
      ...call('recvfrom', '@', 'o:64', 64, 0, 'n', 'n'),
      ...call('dup2', '@1', 9),
      'pause',
    ],
    comparisons: [
      {
        event: 'socket',
        when: `fd.num >= 0 and fd.num = 3`,
        fields: {
          'evt.arg.domain': () => ({ source: OWN, value: 'AF_INET' }),
          'fd.num': (world) => ({ source: OWN, value: world.result('socket').ret }),
        },
      },
      {
        event: 'connect',
        when: NAMED,
        fields: connection(0, 'client'),
        conditions: CONNECT_CONDITIONS,
      },
      { event: 'accept', when: NAMED, fields: connection(1, 'server') },
      {
        event: 'listen',
        when: 'evt.rawres = 0',
        fields: {
          'fd.lport': () => ({ source: OWN, value: SERVER.port }),
          'fd.lip': () => ({ source: OWN, value: SERVER.ip }),
        },
      },
      {
        event: 'sendto',
        when: 'evt.rawres >= 0',
        fields: {
          'evt.buffer': () => ({ source: OWN, value: SENT }),
          'evt.buflen': (world) => ({ source: OWN, value: world.result('sendto').ret }),
          'fd.connected': (world) => ({ source: REMOTE, value: remote(world, 0).port > 0 }),
          'fd.name_changed': () => ({ source: OWN, value: false }),
        },
      },
      {
        event: 'recvfrom',
        when: 'evt.rawres >= 0',
        fields: {
          'evt.buffer': (world) => ({
            source: OWN,
            value: Buffer.from(world.result('recvfrom').buffers[0]!, 'hex')
              .subarray(0, world.result('recvfrom').ret)
              .toString(),
          }),
          'evt.buflen': (world) => ({ source: OWN, value: world.result('recvfrom').ret }),
        },
      },
      {
        event: 'dup2',
        when: 'evt.rawres = 9',
        fields: {
          'fd.type': (world) => ({
            source: TABLE,
            value: isInTable(world, local(world, 0)) ? 'ipv4' : null,
          }),
          'fd.sip': (world) => ({ source: REMOTE, value: remote(world, 0).ip }),
          'fd.connected': (world) => ({ source: REMOTE, value: remote(world, 0).port > 0 }),
        },
      },
    ],
  },
  {
    name: 'standard',
    steps: [
      ...[...CONNECT, 'forkleft', '['],
      ...[0, 1, 2].flatMap((fd) => call('dup2', '@', fd)),
      ...['execve', '/bin/a1', 'a1', 'pause', ';', ']', 'pause'],
    ],
    comparisons: [{ event: 'execve', when: 'evt.rawres = 0 and proc.name = a1', fields: STANDARD }],
  },
  {
    name: 'datagrams',
    steps: [
      ...[...callFd('socket', AF_INET, DATAGRAM, 0), ...bound(CLIENT.ip, 4000)],
      ...[...datagram(SERVER), ...datagram(SERVER), ...datagram(OTHER)],
      'pause',
    ],
    comparisons: [
      {
        event: 'sendto',
        when: `fd.sip = ${OTHER.ip}`,
        fields: {
          'fd.name_changed': () => ({ source: OWN, value: true }),
          'fd.connected': () => ({ source: OWN, value: false }),
          'fd.l4proto': (world) => ({
            source: TABLE,
            value: hasSocket(world.init, 'udp', { ip: CLIENT.ip, port: 4000 }) ? 'udp' : null,
          }),
          'fd.name': () => ({
            source: OWN,
            value: `${CLIENT.ip}:4000->${OTHER.ip}:${OTHER.port}`,
          }),
        },
      },
    ],
  },
];
