import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { WireEvent } from '../../src/events/wire-event.ts';
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

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const NETLINK_ROUTE = 0;
const EBADF = -9;
const EAGAIN = -11;
const EFAULT = -14;
const EINVAL = -22;
const ENOTSOCK = -88;
const EPROTONOSUPPORT = -93;
const EAFNOSUPPORT = -97;
const EADDRINUSE = -98;

/** A struct sockaddr_in6 of ::1. */
const LOCAL6 = Buffer.concat([
  u16(AF_INET6),
  u16(0),
  u32(0),
  Buffer.alloc(15),
  Buffer.of(1),
  u32(0),
]);
const STREAM = callFd('socket', AF_INET, SOCK_STREAM, 0);
const LOCAL4 = bytes(ipv4('127.0.0.1', 0));

const show = ({ ip, port }: { ip: string; port: number }): string => `${ip}:${port}`;
const described = (results: readonly CallResult[]): CallResult[] =>
  results.filter(({ step }) => step === 'describe');

/** The event's socket is this one: what the kernel has of it, against getsockname and getpeername. */
function checkSocket(event: WireEvent, result: CallResult, connected: boolean): void {
  const { socket, fd } = event.call!;
  assert.equal(fd, result.ret);
  assert.equal(socket?.connected, connected);
  assert.equal(socket.peerChanged, false);
  assert.equal(
    `${socket.tuple?.localIp ?? ''}:${socket.tuple?.localPort ?? ''}`,
    show(result.local!),
  );
  const { remoteIp = '', remotePort = 0 } = socket.tuple ?? {};
  if (connected) assert.equal(`${remoteIp}:${remotePort}`, show(result.remote!));
  else assert.equal(remotePort, 0);
}

describe('calls of sockets', () => {
  const suite = suiteOf('sockets');

  test('socket', async () => {
    const run = await suite.run(
      callFd('socket', AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP),
      callFd('socket', AF_INET6, SOCK_DGRAM, 0),
      callFd('socket', AF_UNIX, SOCK_STREAM, 0),
      callFd('socket', 16, SOCK_RAW, NETLINK_ROUTE),
      call('socket', 99, SOCK_RAW, 1),
      call('socket', AF_INET, SOCK_STREAM, IPPROTO_UDP),
    );
    const made = run.results.filter(({ name }) => name === 'socket');
    const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    checkSocket(
      run.check('socket', ({ ret }) => ({ fd: ret, domain: 'AF_INET', type, proto: IPPROTO_TCP })),
      made[0]!,
      false,
    );
    const udp = run.check('socket', ({ ret }) => ({
      fd: ret,
      domain: 'AF_INET6',
      type: SOCK_DGRAM,
      proto: 0,
    }));
    checkSocket(udp, made[1]!, false);
    const { family, protocol, socketType } = udp.call!.socket!;
    assert.deepEqual([family, protocol, socketType], [AF_INET6, IPPROTO_UDP, SOCK_DGRAM]);
    run.check('socket', ({ ret }) => ({
      fd: ret,
      domain: 'AF_LOCAL',
      type: SOCK_STREAM,
      proto: 0,
    }));
    run.check('socket', ({ ret }) => ({ fd: ret, domain: 'AF_ROUTE', type: SOCK_RAW, proto: 0 }));
    const none = run.check('socket', {
      fd: EAFNOSUPPORT,
      domain: '99',
      type: SOCK_RAW,
      proto: 1,
    });
    assert.equal(none.call?.socket, undefined);
    run.check('socket', {
      fd: EPROTONOSUPPORT,
      domain: 'AF_INET',
      type: SOCK_STREAM,
      proto: IPPROTO_UDP,
    });
    run.end();
  });

  test('bind and listen', async () => {
    const path = join(suite.dir, 'bound');
    const name = `@varvel-bind-${process.pid}`;
    const run = await suite.run(
      STREAM,
      call('bind', '@', LOCAL4, 16),
      ['describe', '@'],
      call('listen', '@', 7),
      STREAM,
      call('bind', '@', 'a:1', 16), // in use
      call('listen', '@', -3),
      call('bind', 99, bytes(ipv4('10.1.2.3', 53)), 16),
      call('bind', '@', 1, 16),
      call('listen', 99, 5),
      callFd('socket', AF_INET6, SOCK_DGRAM, 0),
      call('bind', '@', bytes(LOCAL6), 28),
      ['describe', '@'],
      ...[path, name].flatMap((one) => [
        callFd('socket', AF_UNIX, SOCK_STREAM, 0),
        call('bind', '@', bytes(unix(one)), unix(one).length),
        call('bind', '@', bytes(unix(`${one}2`)), unix(one).length + 1),
      ]),
    );
    const [tcp, udp6] = described(run.results) as [CallResult, CallResult];
    for (let nth = 0; nth < 5; nth++) run.take('socket');
    const fdOf = (nth: number): number => run.results.filter((r) => r.name === 'socket')[nth]!.ret;

    const bound = run.check('bind', { res: 0, addr: '127.0.0.1:0', fd: tcp.ret });
    checkSocket(bound, tcp, false);
    assert.notEqual(tcp.local?.port, 0);
    run.check('bind', { res: EADDRINUSE, addr: show(tcp.local!), fd: fdOf(1) });
    run.check('bind', { res: EBADF, addr: '10.1.2.3:53', fd: 99 });
    run.check('bind', { res: EFAULT, addr: undefined, fd: fdOf(1) });
    checkSocket(run.check('bind', { res: 0, addr: '::1:0', fd: udp6.ret }), udp6, false);
    for (const [nth, one] of [path, name].entries()) {
      const event = run.check('bind', { res: 0, addr: one, fd: fdOf(3 + nth) });
      assert.equal(event.call?.socket?.tuple?.unixPath, one);
      const again = run.check('bind', { res: EINVAL, addr: `${one}2`, fd: fdOf(3 + nth) });
      assert.equal(again.call?.socket?.tuple, undefined);
    }

    checkSocket(run.check('listen', { res: 0, fd: tcp.ret, backlog: 7 }), tcp, false);
    run.check('listen', { res: 0, fd: fdOf(1), backlog: -3 });
    run.check('listen', { res: EBADF, fd: 99, backlog: 5 });
    run.end();
  });

  for (const name of ['accept', 'accept4'] as const) {
    test(name, async () => {
      const flags = name === 'accept4' ? SOCK_CLOEXEC | SOCK_NONBLOCK : 0;
      const more = name === 'accept4' ? { flags } : {};
      const accept = (...args: (string | number)[]) =>
        callFd(name, ...args, ...(name === 'accept4' ? [flags] : []));
      const run = await suite.run(
        callFd('socket', AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
        call('bind', '@', LOCAL4, 16),
        call('listen', '@', 5),
        ...[0, 1, 2].flatMap((nth) => [STREAM, call('connect', '@', `a:${nth + 1}`, 16)]),
        accept('@3', 'o:16', bytes(u32(16))),
        accept('@4', 'n', 'n'),
        accept('@5', 'n', 'n'),
        accept('@6', 'n', 'n'),
        accept(99, 'n', 'n'),
        accept('@2', 'n', 'n'), // no listener: a connection
      );
      for (let nth = 0; nth < 4; nth++) run.take('socket');
      run.take('bind');
      run.take('listen');
      const accepted = run.results.filter((result) => result.name === name);
      for (let nth = 0; nth < 3; nth++) {
        const queuelen = 2 - nth;
        const result = accepted[nth]!;
        const { local, remote } = result;
        const event = run.check(name, {
          fd: result.ret,
          tuple: `${show(remote!)}->${show(local!)}`, // who came first, as Falco has it
          queuepct: queuelen * 20,
          queuelen,
          queuemax: 5,
          ...more,
        });
        checkSocket(event, result, true);
      }
      const nobody = { tuple: undefined, queuepct: 0, queuelen: 0, queuemax: 0, ...more };
      run.check(name, { fd: EAGAIN, ...nobody });
      run.check(name, { fd: EBADF, ...nobody });
      run.check(name, { fd: EINVAL, ...nobody });
      run.end();
    });
  }

  test('accept on a unix socket, and on what is none', async () => {
    const path = join(suite.dir, 'served');
    const address = [bytes(unix(path)), unix(path).length];
    const run = await suite.run(
      callFd('openat', -100, 's:/dev/null', 0, 0),
      callFd('socket', AF_UNIX, SOCK_STREAM, 0),
      call('bind', '@', ...address),
      call('listen', '@', 4),
      callFd('socket', AF_UNIX, SOCK_STREAM, 0),
      call('connect', '@', ...address),
      callFd('accept', '@1', 'n', 'n'),
      call('accept', '@3', 'n', 'n'),
    );
    for (let nth = 0; nth < 2; nth++) run.take('socket');
    run.take('bind');
    run.take('listen');
    const event = run.check('accept', ({ ret }) => ({
      fd: ret,
      tuple: path,
      queuepct: 0,
      queuelen: 0,
      queuemax: 4,
    }));
    assert.equal(event.call?.socket?.connected, true);
    run.check('accept', { fd: ENOTSOCK, tuple: undefined, queuepct: 0, queuelen: 0, queuemax: 0 });
    run.end();
  });

  testAllAsserted(suite);
});
