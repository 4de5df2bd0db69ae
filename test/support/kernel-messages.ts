// Messages as arguments of kernel-steps.c, and what their events say of the sockets.
import assert from 'node:assert/strict';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { bytes, call, callFd, ipv4, type CallRun } from './kernel-calls.ts';
import type { Step } from './kernel-process.ts';

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;

export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_FASTOPEN = 0x20000000;

/** Any port of the loopback device, as an argument. */
export const LOOPBACK = bytes(ipv4('127.0.0.1', 0));

/** A struct msghdr of buffers, with a name or without. */
export const header = (name: readonly Step[], ...vectors: (readonly Step[])[]): Step[] => [
  '{',
  ...name,
  '{',
  ...vectors.flat(),
  '}',
  vectors.length,
  'n',
  0,
  0,
  '}',
];
/** The same as a struct mmsghdr, within a list of them. */
export const message = (name: readonly Step[], ...vectors: (readonly Step[])[]): Step[] => [
  ...header(name, ...vectors).slice(1, -1),
  0,
];
export const nobody: readonly Step[] = ['n', 0];
export const to = (text: string): Step[] => [bytes(text), text.length];

export interface Place {
  readonly fd: number;
  readonly at: string;
}

/** The sockets that were made, in their order: descriptor and own address. */
export function placesOf(run: CallRun): Place[] {
  return run.results
    .filter(({ step }) => step === 'describe')
    .map(({ ret, local }) => ({ fd: ret, at: `${local?.ip ?? ''}:${local?.port ?? ''}` }));
}

/** Is the socket connected, and the peer another than before? */
export function assertPeer(event: WireEvent, connected: boolean, changed: boolean): void {
  const { socket } = event.call!;
  assert.deepEqual([socket?.connected, socket?.peerChanged], [connected, changed]);
}

/** A bound UDP socket, which is `@` from then on. */
export const UDP: readonly Step[] = [
  ...callFd('socket', AF_INET, SOCK_DGRAM, 0),
  ...call('bind', '@', LOOPBACK, 16),
  ...['describe', '@'],
];

/** What makes a listening socket; `@` is it. */
export const listening = (backlog: number): Step[] => [
  ...callFd('socket', AF_INET, SOCK_STREAM, 0),
  ...call('bind', '@', LOOPBACK, 16),
  ...call('listen', '@', backlog),
  'describe',
  '@',
];
/** What makes a socket of the same kind, which is `@` then. */
export const STREAM = callFd('socket', AF_INET, SOCK_STREAM, 0);
