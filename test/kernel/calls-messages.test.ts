import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bytes, call, suiteOf, testAllAsserted, u32 } from '../support/kernel-calls.ts';
import {
  assertPeer,
  header,
  listening,
  message,
  MSG_DONTWAIT,
  MSG_FASTOPEN,
  nobody,
  placesOf,
  STREAM,
  to,
  UDP,
  type Place,
} from '../support/kernel-messages.ts';

const EBADF = -9;
const EAGAIN = -11;
const EFAULT = -14;
const EOPNOTSUPP = -95;

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
      ...failed,
      res: EAGAIN,
      fd: a.fd,
      size: 10,
    });
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
