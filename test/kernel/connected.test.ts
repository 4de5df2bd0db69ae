// When a socket counts as connected: with a peer, also while one side or both have stopped writing; by the kernel's own word.
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Step } from '../support/kernel-process.ts';
import { bytes, call, callFd, ipv4, suiteOf, u32, type CallRun } from '../support/kernel-calls.ts';
import { read } from '../support/rules-field-reads.ts';
import { makeSubject } from '../support/rules-subject.ts';

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const SHUT_WR = 1;
const MSG_DONTWAIT_NOSIGNAL = 0x4040;
const EPIPE = -32;

/** include/net/tcp_states.h */
const STATES = {
  ESTABLISHED: 1,
  FIN_WAIT1: 4,
  FIN_WAIT2: 5,
  CLOSE: 7,
  CLOSE_WAIT: 8,
  LAST_ACK: 9,
  LISTEN: 10,
  CLOSING: 11,
} as const;
type State = keyof typeof STATES;

const LISTENER = '@2';
const CLIENT = '@1';
const SERVER = '@';
const stream = callFd('socket', AF_INET, SOCK_STREAM, 0);
const small = (fd: string, option: number): Step[] =>
  call('setsockopt', fd, SOL_SOCKET, option, bytes(u32(4096)), 4);
const listener: Step[] = [
  ...stream,
  ...small('@', SO_RCVBUF),
  ...call('bind', '@', bytes(ipv4('127.0.0.1', 0)), 16),
  ...call('listen', '@', 5),
];
/** A listener, a client that is connected to it, and what it accepted: LISTENER, CLIENT, SERVER from then on. */
const connection: Step[] = [
  ...[...listener, ...stream, ...small('@', SO_SNDBUF), ...small('@', SO_RCVBUF)],
  ...[...call('connect', '@', 'a:1', 16), ...callFd('accept', '@1', 'n', 'n')],
  ...small('@', SO_SNDBUF),
];
const stopWriting = (fd: string): Step[] => call('shutdown', fd, SHUT_WR);
/** More than the other side takes: what comes after it has to wait. */
const fill = (fd: string): Step[] =>
  call('sendto', fd, 'o:100000', 100_000, MSG_DONTWAIT_NOSIGNAL, 'n', 0);
const send = (fd: string): Step[] => call('sendto', fd, 's:x', 1, MSG_DONTWAIT_NOSIGNAL, 'n', 0);
/** Waits until the socket is in that state; then what the kernel says of it, and a dup2 of it. */
const duplicate = (fd: string, state: State): Step[] => [
  ...['sockstate', fd, STATES[state]],
  ...call('getsockopt', fd, IPPROTO_TCP, TCP_INFO, 'o:104', bytes(u32(104))),
  ...call('dup2', fd, 50),
];

describe('fd.connected', () => {
  const suite = suiteOf('messages');
  before(() => {
    suite.probe.probe.attach('sys_dup2');
  });

  /** The next dup2 was of a socket in that state, and the event says whether it is connected. */
  function assertState(run: CallRun, state: State, connected: boolean): void {
    const info = Buffer.from(run.result('getsockopt').buffers[0]!, 'hex');
    assert.equal(info[0], STATES[state]);
    const [event] = run.take('dup2');
    assert.equal(event.result, 50);
    assert.equal(read('fd.connected', makeSubject(event)), connected, state);
  }

  /** The next send gave that, on a connected socket. */
  function assertSent(run: CallRun, result: (ret: number) => boolean): void {
    const [event, { ret }] = run.take('sendto');
    assert.ok(result(ret), `sent ${ret}`);
    assert.equal(read('fd.connected', makeSubject(event)), true);
  }

  test('one side has stopped writing: FIN_WAIT2 there, CLOSE_WAIT here', async () => {
    const run = await suite.run(
      [...connection, ...duplicate(CLIENT, 'ESTABLISHED'), ...duplicate(SERVER, 'ESTABLISHED')],
      [...send(CLIENT), ...stopWriting(CLIENT)],
      [...duplicate(CLIENT, 'FIN_WAIT2'), ...duplicate(SERVER, 'CLOSE_WAIT')],
      [...send(SERVER), ...send(CLIENT)],
    );
    assertState(run, 'ESTABLISHED', true);
    assertState(run, 'ESTABLISHED', true);
    assertSent(run, (ret) => ret === 1);
    assertState(run, 'FIN_WAIT2', true);
    assertState(run, 'CLOSE_WAIT', true);
    assertSent(run, (ret) => ret === 1);
    assertSent(run, (ret) => ret === EPIPE);
    run.end();
  });

  test('its end waits behind data: FIN_WAIT1, then CLOSING when the other side stops too', async () => {
    const run = await suite.run(
      [...connection, ...fill(CLIENT), ...stopWriting(CLIENT)],
      [...duplicate(CLIENT, 'FIN_WAIT1'), ...duplicate(SERVER, 'ESTABLISHED')],
      [...stopWriting(SERVER), ...duplicate(CLIENT, 'CLOSING')],
    );
    assertSent(run, (ret) => ret > 0 && ret < 100_000);
    assertState(run, 'FIN_WAIT1', true);
    assertState(run, 'ESTABLISHED', true);
    assertState(run, 'CLOSING', true);
    run.end();
  });

  test('the side that stops last, its end behind data: LAST_ACK', async () => {
    const run = await suite.run(
      [...connection, ...stopWriting(CLIENT), ...fill(SERVER)],
      [...stopWriting(SERVER), ...duplicate(SERVER, 'LAST_ACK')],
    );
    assertSent(run, (ret) => ret > 0 && ret < 100_000);
    assertState(run, 'LAST_ACK', true);
    run.end();
  });

  test('never connected, listening, closed by both, reset', async () => {
    const linger = call('setsockopt', SERVER, SOL_SOCKET, SO_LINGER, 'b:0100000000000000', 8);
    const run = await suite.run(
      [...stream, ...duplicate('@', 'CLOSE'), ...listener, ...duplicate('@', 'LISTEN')],
      [...connection, ...duplicate(LISTENER, 'LISTEN')],
      [...stopWriting(CLIENT), ...stopWriting(SERVER)],
      [...duplicate(CLIENT, 'CLOSE'), ...duplicate(SERVER, 'CLOSE')],
      [...connection, ...linger, ...call('close', SERVER), ...duplicate(CLIENT, 'CLOSE')],
    );
    for (const state of ['CLOSE', 'LISTEN', 'LISTEN', 'CLOSE', 'CLOSE', 'CLOSE'] as const) {
      assertState(run, state, false);
    }
    run.end();
  });
});
