import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Step } from '../support/kernel-probe.ts';
import {
  bytes,
  call,
  callFd,
  ipv4,
  suiteOf,
  testAllAsserted,
  u16,
  u32,
  unix,
  type CallResult,
} from '../support/kernel-calls.ts';
import {
  assertPeer,
  header,
  listening,
  LOOPBACK,
  message,
  MSG_DONTWAIT,
  MSG_FASTOPEN,
  MSG_NOSIGNAL,
  nobody,
  placesOf,
  STREAM,
  to,
  type Place,
} from '../support/kernel-messages.ts';

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const EBADF = -9;
const EAGAIN = -11;
const EFAULT = -14;
const EDESTADDRREQ = -89;
const EOPNOTSUPP = -95;
const ENOTCONN = -107;

/** A bound UDP socket, which is `@` from then on. */
const UDP: readonly Step[] = [
  ...callFd('socket', AF_INET, SOCK_DGRAM, 0),
  ...call('bind', '@', LOOPBACK, 16),
  ...['describe', '@'],
];
describe('calls of messages', () => {
  const suite = suiteOf('messages');

  test('sendto and recvfrom, by who is at the other end', async () => {
    const long = 'x'.repeat(70) + 'y'.repeat(130);
    const receive = (fd: string) =>
      call('recvfrom', fd, 'o:300', 300, MSG_DONTWAIT, 'o:16', bytes(u32(16)));
    const run = await suite.run(
      ...[UDP, UDP, UDP], // a is @2, b is @1, c is @
      call('sendto', '@2', bytes('one'), 3, 0, 'a:1', 16),
      call('sendto', '@2', bytes(long), 200, 0, 'a:1', 16),
      call('sendto', '@2', bytes('three'), 5, 0, 'a:0', 16),
      call('sendto', '@2', bytes('four'), 4, 0, 'a:1', 16),
      call('sendto', '@', bytes('five'), 4, 0, 'a:1', 16),
      receive('@1'),
      receive('@1'),
      receive('@1'),
      receive('@1'),
      receive('@1'), // nothing is left
    );
    const [a, b, c] = placesOf(run) as [Place, Place, Place];
    const sent = (from: Place, data: string, size: number, peer: Place, changed: boolean): void => {
      const tuple = `${from.at}->${peer.at}`;
      const event = run.check('sendto', {
        res: size,
        data: Buffer.from(data),
        fd: from.fd,
        size,
        tuple,
      });
      assertPeer(event, false, changed);
    };
    sent(a, 'one', 3, b, true);
    sent(a, long.slice(0, 80), 200, b, false);
    sent(a, 'three', 5, c, true);
    sent(a, 'four', 4, b, true);
    sent(c, 'five', 4, b, true);
    const received = (res: number, data: string, peer: Place, changed: boolean): void => {
      const tuple = `${peer.at}->${b.at}`;
      const event = run.check('recvfrom', {
        res,
        data: Buffer.from(data),
        tuple,
        fd: b.fd,
        size: 300,
      });
      assertPeer(event, false, changed);
    };
    received(3, 'one', a, true);
    received(200, long.slice(0, 80), a, false);
    received(4, 'four', a, false);
    received(4, 'five', c, true);
    const none = run.check('recvfrom', {
      res: EAGAIN,
      data: undefined,
      tuple: undefined,
      fd: b.fd,
      size: 300,
    });
    assertPeer(none, false, false);
    run.end();
  });

  test('what fails tells of no peer: the next to it is the first', async () => {
    const MSG_OOB = 1;
    const run = await suite.run(
      ...[UDP, UDP],
      call('sendto', '@1', bytes('no'), 2, MSG_OOB, 'a:0', 16),
      call('sendto', '@1', bytes('yes'), 3, 0, 'a:0', 16),
      call('sendto', 99, bytes('no'), 2, 0, 'a:0', 16),
      call('sendto', '@1', 1, 2, 0, 'a:0', 16),
      call('sendmsg', '@1', ...header(['a:0', 16], to('no')), MSG_OOB),
      call('sendmsg', '@1', 1, 0),
      call('recvmsg', '@1', ...header(nobody, ['o:9', 9]), MSG_DONTWAIT),
    );
    const [a, b] = placesOf(run) as [Place, Place];
    const failed = { data: undefined, fd: a.fd, tuple: undefined };
    assertPeer(run.check('sendto', { ...failed, res: EOPNOTSUPP, size: 2 }), false, false);
    const first = run.check('sendto', {
      res: 3,
      data: Buffer.from('yes'),
      fd: a.fd,
      size: 3,
      tuple: `${a.at}->${b.at}`,
    });
    assertPeer(first, false, true);
    const bad = run.check('sendto', { ...failed, res: EBADF, fd: 99, size: 2 });
    assert.equal(bad.call?.socket, undefined);
    run.check('sendto', { ...failed, res: EFAULT, size: 2 });
    run.check('sendmsg', { ...failed, res: EOPNOTSUPP, size: 2 });
    run.check('sendmsg', { ...failed, res: EFAULT, size: 0 });
    run.check('recvmsg', { ...failed, res: EAGAIN, size: 9 });
    run.end();
  });

  test('sendmsg and recvmsg: several buffers, and a name', async () => {
    const [ab, cd] = ['a'.repeat(50), 'c'.repeat(50)];
    const many = Array.from({ length: 10 }, (_, nth) => to(String(nth)));
    const run = await suite.run(
      ...[UDP, UDP],
      call('sendmsg', '@1', ...header(['a:0', 16], to(ab), to('-'), nobody, to(cd)), 0),
      call('sendmsg', '@1', ...header(['a:0', 16], ...many), 0),
      call('recvmsg', '@', ...header(['o:16', 16], ['o:60', 60], ['o:60', 60]), 0),
      call('recvmsg', '@', ...header(nobody, ['o:4', 4], ['o:60', 60]), 0),
    );
    const [a, b] = placesOf(run) as [Place, Place];
    const whole = `${ab}-${cd}`;
    const sent = run.check('sendmsg', {
      res: 101,
      data: Buffer.from(whole.slice(0, 80)),
      fd: a.fd,
      size: 101,
      tuple: `${a.at}->${b.at}`,
    });
    assertPeer(sent, false, true);
    // the first eight of ten
    const eight = run.check('sendmsg', {
      res: 10,
      data: Buffer.from('01234567'),
      fd: a.fd,
      size: 8,
      tuple: `${a.at}->${b.at}`,
    });
    assertPeer(eight, false, false);
    const received = run.check('recvmsg', {
      res: 101,
      size: 120,
      data: Buffer.from(whole.slice(0, 80)),
      tuple: `${a.at}->${b.at}`,
      fd: b.fd,
    });
    assertPeer(received, false, true);
    // Without room for a name nothing says who sent it.
    const unnamed = run.check('recvmsg', {
      res: 10,
      size: 64,
      data: Buffer.from('0123456789'),
      tuple: `0.0.0.0:0->${b.at}`,
      fd: b.fd,
    });
    assertPeer(unnamed, false, false);
    run.end();
  });

  test('sendmmsg and recvmmsg: an event for each message', async () => {
    const room = message(['o:16', 16], ['o:10', 10]);
    const nine = Array.from({ length: 9 }, (_, nth) =>
      message(['a:1', 16], to(String(nth))),
    ).flat();
    const run = await suite.run(
      ...[UDP, UDP, UDP],
      call(
        'sendmmsg',
        '@2',
        ...[
          '{',
          ...message(['a:1', 16], to('to'), to(' b')),
          ...message(['a:0', 16], to('to c')),
          '}',
        ],
        ...[2, 0],
      ),
      call('recvmmsg', '@1', '{', ...room, ...room, '}', 2, MSG_DONTWAIT, 'n'),
      call('sendmmsg', '@2', '{', ...nine, '}', 9, 0),
      call('sendmmsg', 99, '{', ...message(['a:1', 16], to('no')), '}', 1, 0),
      call('recvmmsg', '@2', '{', ...room, '}', 1, MSG_DONTWAIT, 'n'),
    );
    const [a, b, c] = placesOf(run) as [Place, Place, Place];
    assert.deepEqual(
      run.results.filter(({ name }) => name === 'sendmmsg').map(({ ret }) => ret),
      [2, 9, EBADF],
    );
    const sent = (data: string, peer: Place, changed: boolean): void => {
      const event = run.event('sendmmsg', run.results[0]!);
      assert.equal(event.result, data.length);
      const size = data.length;
      const tuple = `${a.at}->${peer.at}`;
      run.checkEvent(event, { res: size, fd: a.fd, size, data: Buffer.from(data), tuple });
      assertPeer(event, false, changed);
    };
    sent('to b', b, true);
    sent('to c', c, true);
    sent('0', b, true);
    for (let nth = 1; nth < 8; nth++) sent(String(nth), b, false); // the ninth is not reported
    const bad = run.event('sendmmsg', run.results[0]!);
    const failed = { data: undefined, tuple: undefined };
    run.checkEvent(bad, { ...failed, res: EBADF, fd: 99, size: 2 });

    const received = run.event('recvmmsg', run.results[0]!);
    run.checkEvent(received, {
      res: 4,
      fd: b.fd,
      size: 10,
      data: Buffer.from('to b'),
      tuple: `${a.at}->${b.at}`,
    });
    assertPeer(received, false, true);
    run.checkEvent(run.event('recvmmsg', run.results[0]!), {
      ...{ ...failed, res: EAGAIN, fd: a.fd, size: 10 },
    });
    run.end();
  });

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

  test('where rules ask for new peers only, the others are counted and go no further', async () => {
    const masks = {
      opens: { read: true, write: true, failed: true },
      dups: { network: true, other: true },
      sockets: { ordinary: true, local: true, other: true },
      env: true,
    };
    suite.probe.probe.setMasks({ ...masks, messages: { newPeer: true, other: false } });
    try {
      const steps = [
        ...[UDP, UDP, UDP], // a is @2, b is @1, c is @
        call('sendto', '@2', bytes('new'), 3, 0, 'a:1', 16),
        call('sendto', '@2', bytes('same'), 4, 0, 'a:1', 16),
        call('recvfrom', '@1', 'o:9', 9, 0, 'o:16', bytes(u32(16))),
        call('recvfrom', '@1', 'o:9', 9, 0, 'o:16', bytes(u32(16))),
        call('recvmsg', '@1', ...header(nobody, ['o:9', 9]), MSG_DONTWAIT),
        call('sendmsg', '@2', ...header(['a:0', 16], to('other')), 0),
        call('sendto', 99, bytes('bad'), 3, 0, 'a:0', 16),
        call('connect', '@2', 'a:1', 16),
        call('sendto', '@2', bytes('connected'), 9, 0, 'n', 0),
        call('sendto', '@2', bytes('aside'), 5, 0, 'a:1', 16),
      ];
      const run = await suite.run(...steps);
      const seen = suite
        .eventsOf(run.cgroup)
        .map((event) => [event.type, String(event.param('data')), event.call?.socket?.peerChanged]);
      assert.deepEqual(seen, [
        ['sendto', 'new', true],
        ['recvfrom', 'new', true],
        ['sendmsg', 'other', true],
        ['sendto', 'aside', true],
      ]);
      assert.equal(suite.probe.entry(run.cgroup).prefiltered, 5);
      const stream = await suite.run(
        listening(8),
        [...STREAM, ...call('sendto', '@', bytes('first'), 5, MSG_FASTOPEN, 'a:1', 16)],
        call('sendto', '@', bytes('second'), 6, 0, 'n', 0),
        call('sendto', '@', bytes('third'), 5, 0, 'a:1', 16),
        call('sendmsg', '@', ...header(nobody, to('fourth')), 0),
        call('sendmsg', '@', ...header(['a:1', 16], to('fifth')), 0),
      );
      const ofStream = suite.eventsOf(stream.cgroup);
      assert.deepEqual(
        ofStream.map((event) => [event.type, String(event.param('data'))]),
        [['sendto', 'first']],
      );
      assert.equal(suite.probe.entry(stream.cgroup).prefiltered, 4);
      suite.probe.probe.setMasks({ ...masks, messages: { newPeer: false, other: false } });
      const silent = await suite.run(...steps);
      assert.deepEqual(suite.eventsOf(silent.cgroup), []);
      assert.equal(suite.probe.entry(silent.cgroup).prefiltered, 9);
    } finally {
      suite.probe.probe.setMasks({ ...masks, messages: { newPeer: true, other: true } });
    }
  });

  testAllAsserted(suite);
});
