import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { streamOpener } from '../../../src/streams/syslog/stream-connection.ts';
import { standStill } from '../../support/stand-still.ts';

/** A receiver that takes a connection and ends it, in a thread of its own. */
const SENDS_AWAY = `
  const { parentPort } = require('node:worker_threads');
  const server = require('node:net').createServer((socket) => socket.end());
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));`;

test('a receiver that sends us away while the agent stands still is heard before anything is written to it', async (context) => {
  const receiver = new Worker(SENDS_AWAY, { eval: true });
  context.after(() => receiver.terminate());
  const [port] = (await once(receiver, 'message')) as [number];
  const onSocket = (message: unknown): void => {
    const { socket } = message as { socket: Socket };
    // After all that others do when it is connected: longer than they wait for a word of the receiver's.
    socket.once('connect', () => process.nextTick(standStill, 400));
  };
  subscribe('net.client.socket', onSocket);
  context.after(() => unsubscribe('net.client.socket', onSocket));
  const open = streamOpener({
    address: { kind: 'tcp', host: '127.0.0.1', port },
    tls: undefined,
    serverName: undefined,
  });
  await assert.rejects(open(new AbortController().signal), /it ended the connection/);
});
