import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { bootTimeNs } from 'ebpf-loader-napi';
import { CALL, RECORD_FLAGS } from '../../src/events/table.gen.ts';
import type { SocketAddress, SocketTuple } from '../../src/events/event.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { assertHeader, readFacts } from '../support/kernel-facts.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { KernelProbe } from '../support/kernel-probe.ts';
import { raw, type StepResult, type TestProcess } from '../support/kernel-process.ts';

const AF_UNSPEC = 0;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 2048;
const TCP = 6;
const UDP = 17;
const EBADF = -9;
const EFAULT = -14;
const EINVAL = -22;
const ENOTSOCK = -88;
const ECONNREFUSED = -111;
const EINPROGRESS = -115;

/** A server on the address; gives its port. */
async function listen(host: string): Promise<Server> {
  const server = createServer((socket) => socket.on('error', () => undefined));
  server.listen(0, host);
  await once(server, 'listening');
  return server;
}

/** What a rule sees of the call. */
function connectOf({ call }: WireEvent): {
  fd: number;
  tuple: SocketTuple | undefined;
  address: SocketAddress | undefined;
} {
  return { fd: call!.fd, tuple: call!.socket?.tuple, address: call!.address };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

describe('connect', () => {
  let probe: KernelProbe;
  let dir: string;
  const servers: Server[] = [];
  let port4 = 0;
  let port6 = 0;
  before(async () => {
    probe = new KernelProbe();
    dir = mkdtempSync(join(tmpdir(), 'varvel-connect-'));
    servers.push(await listen('127.0.0.1'), await listen('::1'));
    port4 = portOf(servers[0]!);
    port6 = portOf(servers[1]!);
  });
  after(async () => {
    for (const server of servers) server.close();
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  function connects(running: TestProcess): [WireEvent, StepResult][] {
    const events = probe.eventsOf(running.pid, 'connect');
    const results = running.results.filter((result) => result.step === 'connect');
    assert.equal(events.length, results.length);
    return events.map((event, index) => {
      const result = results[index]!;
      assert.equal(event.result, result.ret);
      assert.equal(connectOf(event).fd, result.fd);
      return [event, result];
    });
  }

  /** The tuple of an internet socket as getsockname and getpeername have it. */
  function tupleOf(
    result: StepResult,
    family: number,
    protocol: number,
    socketType: number,
  ): object {
    return {
      family,
      protocol,
      socketType,
      localIp: result.local?.ip,
      localPort: result.local?.port,
      remoteIp: result.remote?.ip,
      remotePort: result.remote?.port,
      unixPath: '',
    };
  }

  for (const kind of ['v2', 'v1-pids'] as const) {
    test(
      `the header, and a TCP connection, on ${kind}`,
      { skip: missingHierarchy(kind) },
      async () => {
        const own = new KernelProbe({ hierarchy: kind });
        try {
          const cgroup = own.mkdir('plain');
          const from = bootTimeNs();
          const running = own.spawn(cgroup, [
            'comm',
            'client',
            'connect4',
            SOCK_STREAM,
            '127.0.0.1',
            port4,
            'pause',
          ]);
          await running.paused();
          await own.settle();
          const event = own.theEvent(running.pid, 'connect');
          const result = running.result('connect');
          assertHeader(event, {
            facts: readFacts(running.pid),
            cgroupId: cgroup.id,
            result: 0,
            from,
            to: bootTimeNs(),
          });
          assert.deepEqual(connectOf(event), {
            fd: result.fd,
            tuple: tupleOf(result, AF_INET, TCP, SOCK_STREAM),
            address: { family: AF_INET, ip: '127.0.0.1', port: port4, unixPath: '' },
          });
          assert.equal(result.remote?.port, port4);
          assert.equal(
            event.records.number(event.at + CALL.flags),
            RECORD_FLAGS.TUPLE_KNOWN | RECORD_FLAGS.CONNECTED,
          );
          assert.equal(event.records.short(event.at + CALL.reserved), 0);
          assert.deepEqual(
            ['res', 'fd', 'tuple', 'addr'].map((name) => event.param(name)),
            [
              0,
              result.fd,
              `127.0.0.1:${result.local?.port ?? 0}->127.0.0.1:${port4}`,
              `127.0.0.1:${port4}`,
            ],
          );
          running.resume();
          await running.ended();
        } finally {
          await own.close();
        }
      },
    );
  }

  test('UDP, IPv6 and IPv4 over an IPv6 socket', async () => {
    const running = await probe.run(probe.mkdir('inet'), [
      ...['connect4', SOCK_DGRAM, '127.0.0.2', 53, 'connect6', SOCK_STREAM, '::1', port6],
      ...['connect6', SOCK_DGRAM, '::1', 53, 'connect6', SOCK_STREAM, '::ffff:127.0.0.1', port4],
    ]);
    const [udp, tcp6, udp6, mapped] = connects(running);
    assert.deepEqual(connectOf(udp![0]).tuple, tupleOf(udp![1], AF_INET, UDP, SOCK_DGRAM));
    assert.deepEqual(connectOf(udp![0]).address, {
      family: AF_INET,
      ip: '127.0.0.2',
      port: 53,
      unixPath: '',
    });
    assert.deepEqual(connectOf(tcp6![0]).tuple, tupleOf(tcp6![1], AF_INET6, TCP, SOCK_STREAM));
    assert.deepEqual(connectOf(tcp6![0]).address, {
      family: AF_INET6,
      ip: '::1',
      port: port6,
      unixPath: '',
    });
    assert.deepEqual(connectOf(udp6![0]).tuple, tupleOf(udp6![1], AF_INET6, UDP, SOCK_DGRAM));
    assert.deepEqual(connectOf(mapped![0]).tuple, tupleOf(mapped![1], AF_INET6, TCP, SOCK_STREAM));
    assert.equal(connectOf(mapped![0]).tuple?.remoteIp, '::ffff:127.0.0.1');
    for (const [event] of connects(running)) assert.equal(event.result, 0);
  });

  test('not yet connected: EINPROGRESS has its tuple; refused and failed ones have the claim only', async () => {
    const closed = await listen('127.0.0.1');
    const dead = portOf(closed);
    closed.close();
    await once(closed, 'close');
    const running = await probe.run(probe.mkdir('failed'), [
      ...[
        'connect4',
        SOCK_STREAM | SOCK_NONBLOCK,
        '127.0.0.1',
        port4,
        'connect4',
        SOCK_STREAM,
        '127.0.0.1',
        dead,
      ],
      ...[
        'connectraw',
        99,
        '0200',
        'open',
        '/etc/hostname',
        0,
        0,
        'connectraw',
        '@',
        '0200003500000000',
      ],
      ...['socket', AF_INET, SOCK_DGRAM, 'connectraw', '@', '02', 'connectbad', '@'],
    ]);
    const [pending, refused, badFd, notSocket, short, unreadable] = connects(running);
    assert.deepEqual(
      [pending, refused, badFd, notSocket, short, unreadable].map((one) => one?.[0].result),
      [...[EINPROGRESS, ECONNREFUSED, EBADF, ENOTSOCK, EINVAL, EFAULT]],
    );
    const { tuple, address } = connectOf(pending![0]);
    assert.deepEqual(
      { ...tuple, localPort: 0 },
      {
        family: AF_INET,
        protocol: TCP,
        socketType: SOCK_STREAM,
        localIp: '127.0.0.1',
        localPort: 0,
        remoteIp: '127.0.0.1',
        remotePort: port4,
        unixPath: '',
      },
    );
    assert.equal(tuple?.localPort, pending![1].local?.port);
    assert.deepEqual(address, { family: AF_INET, ip: '127.0.0.1', port: port4, unixPath: '' });

    const event = refused![0];
    assert.equal(connectOf(event).tuple, undefined);
    assert.deepEqual(connectOf(event).address, {
      family: AF_INET,
      ip: '127.0.0.1',
      port: dead,
      unixPath: '',
    });
    assert.deepEqual(
      [CALL.family, CALL.protocol, CALL.socket_type].map((field) =>
        event.records.short(event.at + field),
      ),
      [AF_INET, TCP, SOCK_STREAM],
    );
    assert.equal(event.records.number(event.at + CALL.flags), 0);

    for (const one of [badFd!, notSocket!]) {
      assert.equal(connectOf(one[0]).tuple, undefined);
      assert.equal(one[0].records.short(one[0].at + CALL.family), 0, 'no socket, no family');
    }
    assert.equal(connectOf(short![0]).address, undefined);
    assert.equal(connectOf(unreadable![0]).address, undefined);
    assert.equal(
      unreadable![0].records.number(unreadable![0].at + CALL.flags),
      RECORD_FLAGS.RAW_UNREADABLE,
    );
  });

  test('AF_UNSPEC takes the connection back', async () => {
    const running = await probe.run(probe.mkdir('unspec'), [
      'connect4',
      SOCK_DGRAM,
      '127.0.0.1',
      53,
      'connectraw',
      '@',
      '0000'.padEnd(32, '0'),
    ]);
    const [, [event, result]] = connects(running) as [unknown, [WireEvent, StepResult]];
    assert.equal(result.ret, 0);
    assert.deepEqual(connectOf(event).address, {
      family: AF_UNSPEC,
      ip: '',
      port: 0,
      unixPath: '',
    });
    assert.deepEqual(
      [connectOf(event).tuple?.remoteIp, connectOf(event).tuple?.remotePort],
      ['0.0.0.0', 0],
    );
  });

  test('unix sockets: the path that the peer is bound to', async () => {
    const path = join(dir, 'a socket');
    const name = `@varvel-${process.pid}`;
    const packets = join(dir, 'packets');
    const hostile = join(dir, 'line\nbreak');
    const longest = join(dir, 'p'.repeat(107 - dir.length - 1));
    const running = await probe.run(probe.mkdir('unix'), [
      ...[path, name, longest].flatMap((one) => [
        'bindun',
        SOCK_STREAM,
        one,
        'connectun',
        SOCK_STREAM,
        one,
      ]),
      ...['bindun', SOCK_DGRAM, raw(hostile), 'connectun', SOCK_DGRAM, raw(hostile)],
      ...['bindun', SOCK_SEQPACKET, packets, 'connectun', SOCK_SEQPACKET, packets],
      ...[
        'connectun',
        SOCK_STREAM,
        '/no/such/socket',
        'cd',
        dir,
        'connectun',
        SOCK_STREAM,
        'a socket',
      ],
    ]);
    const seen = connects(running).map(([event]) => [
      event.result,
      connectOf(event).tuple?.socketType,
      connectOf(event).tuple?.unixPath,
      connectOf(event).address?.unixPath,
    ]);
    assert.deepEqual(seen, [
      [0, SOCK_STREAM, path, path],
      [0, SOCK_STREAM, name, name],
      [0, SOCK_STREAM, longest, longest],
      [0, SOCK_DGRAM, hostile, hostile],
      [0, SOCK_SEQPACKET, packets, packets],
      [-2, undefined, undefined, '/no/such/socket'],
      [0, SOCK_STREAM, path, 'a socket'],
    ]);
    const [first] = connects(running)[0]!;
    const { tuple, address } = connectOf(first);
    assert.deepEqual(
      { ...tuple },
      {
        family: AF_UNIX,
        protocol: 0,
        socketType: SOCK_STREAM,
        localIp: '',
        localPort: 0,
        remoteIp: '',
        remotePort: 0,
        unixPath: path,
      },
    );
    assert.equal(address?.family, AF_UNIX);
    assert.equal(first.param('tuple'), path);
    assert.equal(first.param('addr'), path);
  });
});
