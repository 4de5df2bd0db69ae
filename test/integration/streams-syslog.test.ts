import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, existsSync, renameSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { SyslogAddress } from '../../src/config/receiver-address.ts';
import type { TlsFilesConfig } from '../../src/config/receiver-config.ts';
import { SILENT_LOGGER } from '../../src/shared/logger.ts';
import type { OutgoingLine, SendResult } from '../../src/streams/receiver.ts';
import { MAX_FRAME_BYTES, renderRfc5424 } from '../../src/streams/syslog/rfc5424.ts';
import { datagramOpener } from '../../src/streams/syslog/datagram-connection.ts';
import type { SyslogReceiver } from '../../src/streams/syslog/syslog-receiver.ts';
import { SyslogFailure } from '../../src/streams/syslog/connection.ts';
import { Authority } from '../support/certificates.ts';
import { parseRfc5424 } from '../support/rfc5424-parser.ts';
import { freeTcpPort, freeUdpPort } from '../support/rsyslog.ts';
import { lineOf } from '../unit/streams/outgoing-line-fixture.ts';
import {
  rsyslog,
  at,
  receiverAt,
  clientFiles,
  lines,
  HOSTILE,
  arrived,
  arrivedOf,
  untilThere,
} from '../support/syslog-stream.ts';

for (const kind of ['tcp', 'tls', 'unix', 'udp'] as const) {
  test(`${kind}: rsyslog takes apart what was sent, field by field`, async (context) => {
    const receiver = receiverAt(context, at[kind](), kind === 'tls' ? clientFiles() : {});
    const big = lineOf({ seq: 3, text: 'y'.repeat(8192), app: HOSTILE.app });
    assert.deepEqual(await receiver.send([lineOf({ seq: 1 }), HOSTILE]), { taken: 2 });
    assert.deepEqual(await receiver.send([big]), { taken: 1 });
    assert.deepEqual(receiver.counters(), {
      connects: 1,
      connectFailures: 0,
      droppedTags: 0,
      cutMessages: 2,
      repeatedMessages: 0,
    });

    const [plain, hostile, long, ...more] = await arrived(kind, 3);
    assert.deepEqual(more, []);
    assert.deepEqual(plain, {
      input: kind,
      pri: '14',
      version: '1',
      time: '2026-01-31T08:15:04.123456+00:00',
      host: 'acme.prod.shop',
      app: '4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70',
      proc: '[VARVEL/0]',
      msgid: '-',
      sd:
        '[tags@47450 app_id="4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70" ' +
        'source_id="4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70" app_name="shop" organization_name="acme" ' +
        'space_name="prod" process_type="web" instance_id="0" source_type="VARVEL" varvel_priority="Warning" ' +
        'varvel_rule="Shell in an app container" varvel_incident="k3x9abcd" varvel_seq="1" varvel_id="01JGQ0000000000000000000AB"]',
      msg: '{"rule":"Shell in an app container","output":"sh"}',
      raw: renderRfc5424(lineOf({ seq: 1 }), { sourceType: 'VARVEL' }).text,
    });

    assert.equal(hostile!.pri, '11');
    assert.equal(hostile!.host, 'acme.prod.shop');
    assert.equal(hostile!.msg, HOSTILE.text);
    const { structuredData } = parseRfc5424(Buffer.from(`<14>1 - - - - - ${hostile!.sd}`));
    const tags = Object.fromEntries(structuredData.get('tags@47450')!);
    assert.equal(
      tags['evil'],
      '"] [tags@47450 app_id="forged"]\\n<0>1 - - - - - - forged\\x00\\x1b[2J',
    );
    assert.equal(tags['varvel_rule'], 'a "quoted\\ ] rule');
    assert.equal(tags['source_type'], 'VARVEL');
    assert.equal(tags['varvel_truncated'], 'true');
    assert.equal(long!.msg, 'y'.repeat(8192));
    assert.ok(Buffer.byteLength(long!.raw) < MAX_FRAME_BYTES);
  });
}

test('TLS: who is not let in, and who is not trusted, takes nothing', async (context) => {
  const stranger = new Authority(rsyslog.folder, 'stranger');
  const forged = stranger.issue('forged');
  const sent: OutgoingLine[] = [];
  const taken: OutgoingLine[] = [];
  const ca = rsyslog.authority.ca;
  const failures: readonly (readonly [Partial<TlsFilesConfig>, RegExp])[] = [
    [{ ca }, /certificate required/],
    [{ ca, cert: forged.cert, key: forged.key }, /unknown ca|decrypt error|bad certificate/],
    [{ ...clientFiles(), ca: stranger.ca }, /its certificate is not trusted; see ca/],
    [{ ...clientFiles(), serverName: 'elsewhere.test' }, /for another name; see server_name/],
    [clientFiles(), /^$/],
    [{ ...clientFiles(), serverName: 'logs.test' }, /^$/],
  ];
  for (const [files, says] of failures) {
    const receiver = receiverAt(context, at.tls(), files);
    const batch = lines(3);
    sent.push(...batch);
    const result = await receiver.send(batch);
    taken.push(...batch.slice(0, result.taken));
    assert.match(result.reason ?? '', says);
    const good = says.source === '^$';
    assert.deepEqual([result.taken, result.rest], good ? [3, undefined] : [0, 'later']);
    assert.equal(receiver.counters().connectFailures, good ? 0 : 1);
  }
  await untilThere(taken.at(-1)!);
  assert.deepEqual(
    arrivedOf(sent),
    taken.map(({ id }) => id),
  );
});

test('TLS: certificates that were renewed are used from the next batch on', async (context) => {
  const folder = rsyslog.folder;
  const mine = { cert: join(folder, 'mine.pem'), key: join(folder, 'mine.key') };
  const place = (from: { cert: string; key: string }): void => {
    for (const part of ['cert', 'key'] as const) {
      copyFileSync(from[part], `${mine[part]}.new`);
      renameSync(`${mine[part]}.new`, mine[part]);
    }
  };
  const stranger = new Authority(folder, 'stranger2');
  place(stranger.issue('forged'));
  const said: string[] = [];
  const logger = {
    ...SILENT_LOGGER,
    warn: (_: object, message: string) => void said.push(message),
  };
  const files = { ca: rsyslog.authority.ca, ...mine };
  const receiver = receiverAt(context, at.tls(), files, logger);
  assert.equal((await receiver.send(lines(1))).rest, 'later');
  place(rsyslog.client);
  assert.deepEqual(await receiver.send(lines(1)), { taken: 1 });
  assert.deepEqual(await receiver.send(lines(1)), { taken: 1 });
  assert.equal(receiver.counters().connects, 1);

  // Half of a renewal: the connection stays, and the sentence comes once.
  const renewed = rsyslog.authority.issue('renewed');
  copyFileSync(renewed.cert, mine.cert);
  assert.deepEqual(await receiver.send(lines(1)), { taken: 1 });
  assert.deepEqual(await receiver.send(lines(1)), { taken: 1 });
  assert.equal(receiver.counters().connects, 1);
  assert.equal(said.length, 1);
  assert.match(said[0]!, /The previous certificates stay in use: .*key values mismatch/);
  copyFileSync(renewed.key, mine.key);
  assert.deepEqual(await receiver.send(lines(1)), { taken: 1 });
  assert.equal(receiver.counters().connects, 2);
});

/** What the first batch is told of which the kernel says that nobody listens: a busy one says so late, one in 20,000 never. */
async function refused(receiver: SyslogReceiver, batch: OutgoingLine[]): Promise<SendResult> {
  for (let tries = 1; ; tries++) {
    const result = await receiver.send(batch);
    if (result.rest !== undefined) return result;
    assert.ok(tries < 5, `${tries} batches were sent, and none was refused`);
  }
}

test('UDP: a batch that nobody took is sent again as a whole', async (context) => {
  const port = await freeUdpPort();
  const receiver = receiverAt(context, { kind: 'udp', host: '127.0.0.1', port });
  for (const count of [1, 5]) {
    const result = await refused(receiver, lines(count));
    assert.deepEqual([result.taken, result.rest], [0, 'later']);
    assert.match(result.reason!, /connection refused \(ECONNREFUSED\)/);
  }
  await rsyslog.kill('SIGTERM');
  const there = receiverAt(context, at.udp());
  const batch = lines(5);
  assert.equal((await refused(there, batch)).taken, 0);
  await rsyslog.run();
  assert.deepEqual(await there.send(batch), { taken: 5 });
  await untilThere(batch.at(-1)!);
  assert.deepEqual(
    arrivedOf(batch),
    batch.map(({ id }) => id),
  );
});

test('UDP: a datagram that the network does not take is refused, and the next one goes', async () => {
  const open = datagramOpener({ host: 'localhost', port: rsyslog.ports.udp });
  const connection = await open(new AbortController().signal);
  const failure = await connection.write('x'.repeat(70_000)).catch((error: unknown) => error);
  assert.ok(failure instanceof SyslogFailure && failure.refused);
  assert.match(failure.message, /larger than the network takes \(EMSGSIZE\)/);
  assert.equal(connection.broken, undefined);
  const [next] = lines(1);
  await connection.write(renderRfc5424(next!, { sourceType: 'VARVEL' }).text);
  await connection.settle();
  await untilThere(next!);
  await connection.close();
});

test('addresses where nobody is, each with a sentence; close ends what waits', async (context) => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  context.after(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  const says: readonly (readonly [SyslogAddress, RegExp])[] = [
    [{ kind: 'tcp', host: '127.0.0.1', port: await freeTcpPort() }, /connection refused/],
    [{ kind: 'tls', host: '127.0.0.1', port: await freeTcpPort() }, /connection refused/],
    [
      { kind: 'tcp', host: 'nowhere.invalid', port: 514 },
      /its host name (?:is not found|cannot be looked up)/,
    ],
    [
      { kind: 'udp', host: 'nowhere.invalid', port: 514 },
      /its host name (?:is not found|cannot be looked up)/,
    ],
    [{ kind: 'unix', path: '/nonexistent/socket' }, /there is no such socket/],
  ];
  for (const [address, reason] of says) {
    const result = await receiverAt(context, address).send(lines(1));
    assert.match(result.reason!, reason);
    assert.deepEqual([result.taken, result.rest], [0, 'later']);
  }
  const handshake = receiverAt(context, { kind: 'tls', host: '127.0.0.1', port });
  const waiting = handshake.send(lines(1));
  await delay(50);
  await handshake.close();
  assert.match((await waiting).reason!, /the agent ends/);
  assert.match((await handshake.send(lines(1))).reason!, /the agent ends/);
});

test(
  'a datagram socket is named as what it is',
  { skip: !existsSync('/usr/bin/python3') },
  async (context) => {
    const { spawn } = await import('node:child_process');
    const path = join(rsyslog.folder, 'datagram.sock');
    const program = `import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\nsys.stdin.read()`;
    const child = spawn('python3', ['-c', program, path], { stdio: ['pipe', 'ignore', 'inherit'] });
    context.after(() => child.kill());
    while (!existsSync(path)) await delay(20);
    const result = await receiverAt(context, { kind: 'unix', path }).send(lines(1));
    assert.match(result.reason!, /it is a datagram socket, which varvel cannot write to/);
  },
);
