import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Step } from '../support/kernel-process.ts';
import {
  bytes,
  call,
  callFd,
  ipv4,
  suiteOf,
  u16,
  u32,
  unix,
  type CallResult,
} from '../support/kernel-calls.ts';
import {
  assertPeer,
  header,
  LOOPBACK,
  MSG_NOSIGNAL,
  nobody,
  placesOf,
  to,
  UDP,
  type Place,
} from '../support/kernel-messages.ts';

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const EDESTADDRREQ = -89;
const ENOTCONN = -107;

describe('messages, by the kind of socket', () => {
  const suite = suiteOf('messages');

  test('connected sockets: the message is to the peer, unless it says another', async () => {
    const run = await suite.run(
      ...[UDP, UDP, UDP], // a is @2, b is @1, c is @
      call('connect', '@2', 'a:1', 16),
      call('sendto', '@2', bytes('to b'), 4, 0, 'n', 0),
      call('sendto', '@2', bytes('to c'), 4, 0, 'a:0', 16),
      call('sendto', '@2', bytes('to c'), 4, 0, 'a:0', 16),
      call('sendmsg', '@2', ...header(nobody, to('to b')), 0),
      call('sendmsg', '@2', ...header(['a:1', 16], to('to b')), 0),
      call('recvfrom', '@1', 'o:4', 4, 0, 'n', 'n'),
    );
    const [a, b, c] = placesOf(run) as [Place, Place, Place];
    const sent = (name: string, peer: Place, connected: boolean, changed: boolean): void => {
      const event = run.check(name, {
        res: 4,
        data: Buffer.from(peer === b ? 'to b' : 'to c'),
        fd: a.fd,
        size: 4,
        tuple: `${a.at}->${peer.at}`,
      });
      assertPeer(event, connected, changed);
    };
    sent('sendto', b, true, false);
    sent('sendto', c, false, true);
    sent('sendto', c, false, false);
    sent('sendmsg', b, true, false);
    sent('sendmsg', b, false, true);
    run.check('recvfrom', {
      res: 4,
      data: Buffer.from('to b'),
      tuple: `0.0.0.0:0->${b.at}`,
      fd: b.fd,
      size: 4,
    });
    run.end();
  });

  test('a stream', async () => {
    const run = await suite.run(
      callFd('socket', AF_INET, SOCK_STREAM, 0),
      call('bind', '@', LOOPBACK, 16),
      call('sendto', '@', bytes('early'), 5, MSG_NOSIGNAL, 'n', 0),
      call('listen', '@', 1),
      callFd('socket', AF_INET, SOCK_STREAM, 0),
      call('connect', '@', 'a:1', 16),
      callFd('accept', '@1', 'n', 'n'),
      call('sendto', '@1', bytes('hello'), 5, 0, 'a:2', 16),
      call('recvfrom', '@', 'o:20', 20, 0, 'o:16', bytes(u32(16))),
    );
    const [listener, client, server] = run.results.filter(({ step, ret, name }) => {
      return step === 'call' && ret >= 0 && ['socket', 'accept'].includes(name);
    }) as [CallResult, CallResult, CallResult];
    const early = { data: undefined, fd: listener.ret, size: 5, tuple: undefined };
    const { ret } = run.results.find(({ name }) => name === 'sendto')!;
    assert.ok(ret === ENOTCONN || ret === -32); // as the state has it
    run.check('sendto', { ...early, res: ret });
    const ends = [server.remote!, server.local!].map(({ ip, port }) => `${ip}:${port}`).join('->');
    const data = Buffer.from('hello');
    assertPeer(
      run.check('sendto', { res: 5, data, fd: client.ret, size: 5, tuple: ends }),
      true,
      false,
    );
    assertPeer(
      run.check('recvfrom', { res: 5, data, tuple: ends, fd: server.ret, size: 20 }),
      true,
      false,
    );
    run.end();
  });

  test('an address that does not say of which kind it is: IPv4 takes it, IPv6 does not look at it', async () => {
    const none = bytes(
      Buffer.concat([u16(0), u16(0x3500), Buffer.of(127, 0, 0, 1), u32(0), u32(0)]),
    );
    const run = await suite.run(
      UDP,
      call('sendto', '@', bytes('one'), 3, 0, none, 16),
      call('sendto', '@', bytes('two'), 3, 0, bytes(ipv4('127.0.0.1', 53)), 16),
      callFd('socket', AF_INET6, SOCK_DGRAM, 0),
      call('sendto', '@', bytes('six'), 3, 0, none, 16),
    );
    const [own] = placesOf(run) as [Place];
    for (const [data, changed] of [
      ['one', true],
      ['two', false],
    ] as const) {
      const sent = { res: 3, data: Buffer.from(data), fd: own.fd, size: 3 };
      assertPeer(
        run.check('sendto', { ...sent, tuple: `${own.at}->127.0.0.1:53` }),
        false,
        changed,
      );
    }
    const [six] = run.take('sendto');
    assert.equal(six.result, EDESTADDRREQ);
    assertPeer(six, false, false);
    run.end();
  });

  test('IPv6, and IPv4 over it', async () => {
    const any6 = Buffer.concat([u16(AF_INET6), Buffer.alloc(26)]);
    const mapped = (port: string): Step[] => {
      const address = Buffer.concat([u16(AF_INET6), u16(0x3500), u32(0), Buffer.alloc(16), u32(0)]);
      address.fill(0xff, 18, 20);
      address.set([127, 0, 0, 1], 20);
      assert.equal(port, '53');
      return [bytes(address), 28];
    };
    const run = await suite.run(
      callFd('socket', AF_INET6, SOCK_DGRAM, 0),
      call('bind', '@', bytes(any6), 28),
      ['describe', '@'],
      call('sendto', '@', bytes('six'), 3, 0, 'a:0', 28), // to the unspecified address: to itself
      call('recvfrom', '@', 'o:9', 9, 0, 'o:28', bytes(u32(28))),
      call('sendto', '@', bytes('four'), 4, 0, ...mapped('53')),
    );
    const [own] = placesOf(run) as [Place];
    const port = own.at.slice(own.at.lastIndexOf(':') + 1);
    const sent = { fd: own.fd };
    run.check('sendto', {
      ...sent,
      res: 3,
      data: Buffer.from('six'),
      size: 3,
      tuple: `:::${port}->:::${port}`,
    });
    const received = run.check('recvfrom', {
      res: 3,
      data: Buffer.from('six'),
      tuple: `::1:${port}->:::${port}`,
      fd: own.fd,
      size: 9,
    });
    assertPeer(received, false, true);
    const four = run.check('sendto', {
      ...sent,
      res: 4,
      data: Buffer.from('four'),
      size: 4,
      tuple: `:::${port}->::ffff:127.0.0.1:53`,
    });
    assertPeer(four, false, true);
    run.end();
  });

  test('unix sockets: the path in the message, or that of the peer', async () => {
    const [path, from] = [join(suite.dir, 'to'), join(suite.dir, 'from')];
    const bound = (one: string): Step[] => [
      ...callFd('socket', AF_UNIX, SOCK_DGRAM, 0),
      ...call('bind', '@', bytes(unix(one)), unix(one).length),
    ];
    const run = await suite.run(
      ...[bound(path), bound(from)],
      call('sendto', '@', bytes('x'), 1, 0, bytes(unix(path)), unix(path).length),
      call('recvfrom', '@1', 'o:9', 9, 0, 'o:110', bytes(u32(110))),
      call('connect', '@', bytes(unix(path)), unix(path).length),
      call('sendto', '@', bytes('y'), 1, 0, 'n', 0),
      call('recvmsg', '@1', ...header(['o:110', 110], ['o:9', 9]), 0),
    );
    const [receiver, sender] = run.results.filter(({ name }) => name === 'socket');
    const sent = { res: 1, fd: sender!.ret, size: 1, tuple: path };
    const got = { res: 1, fd: receiver!.ret, size: 9, tuple: from };
    assertPeer(run.check('sendto', { ...sent, data: Buffer.from('x') }), false, false);
    run.check('recvfrom', { ...got, data: Buffer.from('x') });
    assertPeer(run.check('sendto', { ...sent, data: Buffer.from('y') }), true, false);
    run.check('recvmsg', { ...got, data: Buffer.from('y') });
    run.end();
  });
});
