import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { datagramOpener } from '../../../src/streams/syslog/datagram-connection.ts';
import { standStill } from '../../support/stand-still.ts';

/** Is told while the agent waits and stands still, for longer than it waits, that nobody takes a datagram: does it hear that? */
async function isRefused(port: number): Promise<boolean> {
  const connection = await datagramOpener({ host: '127.0.0.1', port })(
    new AbortController().signal,
  );
  const settled = connection.settle().then(
    () => false,
    (error: unknown) => String(error).includes('connection refused'),
  );
  // After its last look at what the kernel has to say.
  await turn();
  connection.write('<14>1 - - - - - - x').catch(() => undefined);
  standStill(200);
  const refused = await settled;
  await connection.close();
  return refused;
}

test('that nobody listens is heard also when the agent stands still meanwhile', async () => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  // A busy kernel is silent about one datagram in 20,000.
  assert.ok((await isRefused(port)) || (await isRefused(port)));
});
