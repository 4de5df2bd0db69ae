// Ways around a denial of connections: test/support/ways-around.ts says what comes of each.
import assert from 'node:assert/strict';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import {
  Bypass,
  endOfCall,
  many,
  MANY,
  placeWays,
  RACES,
  racedOf,
  runs,
  type Attempt,
  type End,
} from '../support/bypass.ts';
import { ipv4 } from '../support/kernel-calls.ts';
import { runsIn } from '../support/kernel-container.ts';
import { findHierarchy, missingHierarchy } from '../support/kernel-cgroups.ts';
import { DENIED, FREE } from '../support/kernel-denied-connects.ts';
import type { Step, StepResult } from '../support/kernel-process.ts';
import { programOf } from '../support/kernel-program.ts';
import { forbidden } from '../support/kernel-uring.ts';
import { until } from '../support/until.ts';
import { CONNECT_WAYS, type Outcome } from '../support/ways-around.ts';

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const IPPROTO_RAW = 255;
const IPPROTO_MPTCP = 262;
const CLONE_NEWNET = 0x40000000;
const ENETUNREACH = -101;
const MARK = '127.0.0.7';

for (const kind of ['v2', 'v1-pids'] as const)
  describe(`ways around denied connections, with ${kind}`, { skip: missingHierarchy(kind) }, () => {
    let own: Bypass;
    let server: Server;
    let port = 0;
    /** Connections that were made to the denied address since the last look. */
    let made = 0;
    let marks = 0;
    /** Of all that was tried before. */
    const countMade = async (): Promise<number> => {
      const before = marks;
      connect({ host: MARK, port }).on('error', () => undefined);
      await until('it is accepted, after all others', () => marks > before);
      return made;
    };
    const forget = async (): Promise<void> => {
      await countMade();
      made = 0;
    };
    before(async () => {
      own = new Bypass(kind);
      own.deny(`evt.type = connect and fd.sip = ${DENIED}`);
      own.probe.probe.denyConnects(findHierarchy('v2').mount);
      server = createServer((socket) => {
        if (socket.localAddress === DENIED) made++;
        if (socket.localAddress === MARK) marks++;
        socket.on('error', () => undefined);
        socket.destroy();
      });
      server.listen({ port: 0, host: '0.0.0.0', backlog: 4 * MANY });
      await once(server, 'listening');
      ({ port } = server.address() as AddressInfo);
    });
    after(async () => {
      server.close();
      await own.close();
    });

    /** Of connects by the steps. */
    const endsOf = (results: readonly StepResult[]): End[] =>
      results.filter(({ step }) => step === 'connect').map(({ ret }) => endOfCall(ret));
    /** Of those by other programs, which print no step: all that are not in `leave`. */
    const printed =
      (ofMade: (one: { readonly nr?: number }) => boolean = () => true) =>
      (results: readonly StepResult[]): End[] =>
        results
          .filter((one) => (one.step as string | undefined) === undefined && ofMade(one as never))
          .map(({ ret }) => endOfCall(Math.min(ret, 0)));
    const tcp = (): Step[] => ['connect4', SOCK_STREAM, DENIED, port];
    const address = (): string => ipv4(DENIED, port).toString('hex');
    const calls = (source: string, ...args: Step[]): Pick<Attempt, 'steps'> => ({
      steps: (_, cgroup) => runs(programOf(source), cgroup.dir, own.dir, ...args),
    });
    const raced = (mode: string): Attempt => ({
      steps: () => runs(programOf('denial-races.c'), mode, RACES / 4, DENIED, FREE, port),
      race: (results) => {
        assert.ok(racedOf(results).refused + racedOf(results).made > 0);
        return countMade();
      },
    });
    const uring = (ring: string, ...words: Step[]): Attempt => ({
      cannot: forbidden() && 'nobody may use it here',
      ...calls(
        'uring-calls.c',
        ...[
          ring,
          ...Array.from({ length: MANY }, () => [
            ...words,
            'connect',
            SOCK_DGRAM,
            DENIED,
            9,
            ';',
          ]).flat(),
        ],
      ),
      endsOf: printed(),
    });

    const ATTEMPTS = (): Readonly<Record<keyof typeof CONNECT_WAYS, Attempt>> => ({
      ...placeWays(
        () => own,
        kind,
        tcp(),
        () => endsOf,
      ),
      'session from outside (docker exec)': {
        whole: (_, cgroup) => own.sessions(cgroup, ...runs(own.at('good'), ...tcp())),
        endsOf,
      },
      'own network namespace': {
        steps: () => ['unshare', CLONE_NEWNET, ...many(...tcp())],
        endsOf,
        elsewhere: `failed: ${ENETUNREACH}`,
      },
      'address changed in memory meanwhile': raced('connect-address'),
      'dup2 by another thread meanwhile': raced('connect-fd'),
      io_uring: uring('plain'),
      'io_uring, by a worker': uring('plain', 'async'),
      'io_uring, by a thread of the kernel': uring('sqpoll'),
      // A datagram socket can be connected again and again.
      'int 0x80': {
        ...calls(
          'compat-calls.c',
          ...['native', 41, AF_INET, SOCK_DGRAM, 0, ';'],
          ...Array.from({ length: MANY }, () => [
            'ia32',
            362,
            '@0',
            `b:${address()}`,
            16,
            ';',
          ]).flat(),
        ),
        endsOf: printed(({ nr }) => nr === 362),
      },
      'socketcall of int 0x80': {
        ...calls(
          'compat-calls.c',
          ...['native', 41, AF_INET, SOCK_DGRAM, 0, ';'],
          ...Array.from({ length: MANY }, () => [
            'ia32',
            102,
            3,
            '[',
            '@0',
            `b:${address()}`,
            16,
            ']',
            ';',
          ]).flat(),
        ),
        endsOf: printed(({ nr }) => nr === 102),
      },
      'IPv4 address in an IPv6 one': {
        steps: () => many('connect6', SOCK_STREAM, `::ffff:${DENIED}`, port),
        endsOf,
      },
      'Multipath TCP': {
        steps: () =>
          many(
            'callfd',
            'socket',
            AF_INET,
            SOCK_STREAM,
            IPPROTO_MPTCP,
            ';',
            'connectraw',
            '@',
            address(),
          ),
        endsOf,
      },
      'socket made outside': {
        whole: (_, cgroup) => [
          ...['socket', AF_INET, SOCK_DGRAM],
          ...runsIn(cgroup, own.at('good'), ...many('connectraw', 3, address())),
        ],
        endsOf,
      },
      'raw socket': {
        steps: () => [
          ...['callfd', 'socket', AF_INET, SOCK_RAW, IPPROTO_RAW, ';'],
          ...many('connectraw', '@', address()),
        ],
        endsOf,
      },
    });

    for (const [way, outcome] of Object.entries<Outcome>(CONNECT_WAYS))
      test(`${way}: ${typeof outcome === 'string' ? outcome : outcome.reportedBy}`, async (t) => {
        const attempt = ATTEMPTS()[way as keyof typeof CONNECT_WAYS];
        if (attempt.cannot) t.skip(attempt.cannot);
        else await own.assertOutcome({ ...attempt, restore: forget }, outcome);
      });
  });
