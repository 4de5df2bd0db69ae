import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import type { HttpStreamConfig } from '../../src/config/receiver-config.ts';
import { SILENT_LOGGER } from '../../src/shared/logger.ts';
import { formatLine } from '../../src/streams/format.ts';
import { httpReceiver } from '../../src/streams/http/http-receiver.ts';
import type { HttpReceiver } from '../../src/streams/http/http-receiver.ts';
import type { OutgoingLine } from '../../src/streams/receiver.ts';
import { Authority } from '../support/certificates.ts';
import { HttpService } from '../support/http-receiver.ts';
import { freeTcpPort } from '../support/rsyslog.ts';
import { deliveryOf } from '../unit/streams/delivery-fixture.ts';
import { lineOf } from '../unit/streams/outgoing-line-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-http-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function serviceOf(
  context: TestContext,
  options?: Parameters<typeof HttpService.start>[0],
): Promise<HttpService> {
  const service = await HttpService.start(options);
  context.after(() => service.stop());
  return service;
}

const NO_FILES = { ca: undefined, cert: undefined, key: undefined, serverName: undefined };

function receiverAt(
  context: TestContext,
  port: number,
  overrides: Partial<HttpStreamConfig> = {},
  logger = SILENT_LOGGER,
): HttpReceiver {
  const receiver = httpReceiver(
    {
      enabled: true,
      audience: 'operator',
      format: 'json',
      onUrlChange: 'keep',
      address: { secure: false, host: '127.0.0.1', port, path: '/in?key=a%20b' },
      socket: undefined,
      batch: false,
      headers: {},
      tokenFile: undefined,
      tls: NO_FILES,
      ...overrides,
    },
    logger,
  );
  context.after(() => receiver.close());
  return receiver;
}

function lines(count: number): OutgoingLine[] {
  return Array.from({ length: count }, (_, index) =>
    lineOf({ seq: index + 1, text: `{"n":${index + 1}}` }),
  );
}

test('one object a request, as Falco sends it, over one connection', async (context) => {
  const service = await serviceOf(context);
  const receiver = receiverAt(context, service.port, { headers: { 'X-Team': 'payments é' } });
  const sent = Array.from({ length: 20 }, (_, index) => {
    const output = `A shell "was" started\n é 🦅 (n=${index})`;
    const delivery = deliveryOf({ output, incident: 'k3x9abcd' });
    return lineOf({ text: formatLine(delivery, { format: 'json' }) });
  });
  assert.deepEqual(await receiver.send(sent), { taken: 20 });
  assert.deepEqual(
    service.requests.map(({ body }) => body),
    sent.map(({ text }) => text),
  );
  const { method, path, headers, body } = service.requests[0]!;
  assert.deepEqual([method, path], ['POST', '/in?key=a%20b']);
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(headers['content-length'], String(Buffer.byteLength(body)));
  assert.equal(headers['x-team'], 'payments é');
  assert.equal(headers['user-agent'], 'varvel');
  assert.equal(headers.host, `127.0.0.1:${service.port}`);
  assert.equal(headers.authorization, undefined);
  assert.equal(service.connections, 1);
  assert.deepEqual(receiver.counters(), { connects: 1, connectFailures: 0 });

  // What falcosidekick wants of a payload (types.FalcoPayload.Check), with the types of its struct.
  const falco = JSON.parse(body) as Record<string, unknown>;
  for (const key of ['output', 'priority', 'rule', 'time', 'source', 'hostname'])
    assert.ok(typeof falco[key] === 'string' && falco[key] !== '', key);
  assert.match(String(falco['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  assert.ok(Object.keys(falco['output_fields'] as object).length > 0);
  assert.ok(Array.isArray(falco['tags']));
});

test('what is taken is taken, and the answer to the next line says what becomes of it', async (context) => {
  const service = await serviceOf(context);
  const receiver = receiverAt(context, service.port);
  const answers: readonly (readonly [number, Record<string, string>, object, RegExp])[] = [
    [
      503,
      { 'retry-after': '7' },
      { rest: 'later', retryAfterMs: 7000 },
      /cannot take it now \(503: because\)/,
    ],
    [429, {}, { rest: 'later' }, /cannot take it now \(429/],
    [500, {}, { rest: 'later' }, /cannot take it now \(500/],
    [401, {}, { rest: 'later' }, /rejects the agent’s credentials \(401/],
    [400, {}, { rest: 'refused' }, /refuses the request \(400: because\)/],
    [413, {}, { rest: 'refused' }, /refuses the request \(413/],
  ];
  for (const [status, headers, expected, says] of answers) {
    service.answer = ({ body }, response) => {
      const bad = body === '{"n":3}';
      response.writeHead(bad ? status : 202, bad ? headers : {}).end(bad ? 'because\n' : '');
    };
    const { reason, ...result } = await receiver.send(lines(5));
    assert.deepEqual(result, { taken: 2, ...expected });
    assert.match(reason!, says);
    assert.ok(reason!.startsWith(`http://127.0.0.1:${service.port}: `), 'where, without its path');
  }
  assert.equal(service.requests.length, answers.length * 3, 'nothing after a line that failed');
});

test('a redirect is not followed', async (context) => {
  const [service, elsewhere] = [await serviceOf(context), await serviceOf(context)];
  for (const status of [301, 302, 307, 308]) {
    service.answer = (_, response) =>
      response.writeHead(status, { location: `http://127.0.0.1:${elsewhere.port}/` }).end();
    const result = await receiverAt(context, service.port).send(lines(2));
    assert.deepEqual([result.taken, result.rest], [0, 'refused']);
    assert.match(result.reason!, /it redirects the request \(\d+ to http:/);
  }
  assert.equal(elsewhere.connections, 0);
});

test('batch: one array, and the line that it is refused for is found', async (context) => {
  const service = await serviceOf(context);
  const receiver = receiverAt(context, service.port, { batch: true });
  assert.equal(receiver.maxBatch, 100);
  assert.deepEqual(await receiver.send(lines(100)), { taken: 100 });
  assert.equal(service.requests.length, 1);
  const numbers = (body: string) => (JSON.parse(body) as { n: number }[]).map(({ n }) => n);
  assert.deepEqual(
    numbers(service.requests[0]!.body),
    lines(100).map(({ seq }) => seq),
  );

  const taken: number[] = [];
  service.answer = ({ body }, response) => {
    const bad = numbers(body).includes(38);
    if (!bad) taken.push(...numbers(body));
    response.writeHead(bad ? 400 : 200).end();
  };
  let left = lines(100);
  const results: unknown[] = [];
  for (let round = 0; left.length > 0; round++) {
    const result = await receiver.send(left);
    results.push([result.taken, result.rest]);
    left = left.slice(result.taken + (result.rest === 'refused' ? 1 : 0));
    assert.ok(round < 5, 'it comes to an end');
  }
  assert.deepEqual(results, [
    [37, 'refused'],
    [62, undefined],
  ]);
  assert.deepEqual(
    taken,
    lines(100)
      .map(({ seq }) => seq)
      .filter((seq) => seq !== 38),
    'each once, in order',
  );
});

test('batch: lines of before the format was changed go as text', async (context) => {
  const service = await serviceOf(context);
  const receiver = receiverAt(context, service.port, { batch: true });
  const text = lineOf({ text: '08:15:04.123456789: Warning [rule=x] é' });
  assert.deepEqual(await receiver.send([...lines(2), text, ...lines(1)]), { taken: 4 });
  assert.deepEqual(
    service.requests.map(({ body, headers }) => [headers['content-type'], body]),
    [
      ['application/json', '[{"n":1},{"n":2}]'],
      ['text/plain; charset=utf-8', text.text],
      ['application/json', '[{"n":1}]'],
    ],
  );
});

test('answers with a body: chunked, and without an end', async (context) => {
  const service = await serviceOf(context);
  const receiver = receiverAt(context, service.port);
  service.answer = (_, response) => {
    response.write('{"ok":');
    setImmediate(() => response.end('true}'));
  };
  assert.deepEqual(await receiver.send(lines(3)), { taken: 3 });
  assert.equal(service.connections, 1, 'read to its end, the connection is used again');

  let written = 0;
  service.answer = (_, response) => {
    const more = (): void => {
      if (response.destroyed) return;
      written += 65_536;
      if (response.write(Buffer.alloc(65_536))) setImmediate(more);
      else response.once('drain', more);
    };
    more();
  };
  assert.deepEqual(await receiver.send(lines(1)), { taken: 1 });
  while (service.sockets.size > 0) await delay(10);
  assert.ok(written < 32 * 1024 ** 2, `no more than the kernel's buffers hold: ${written}`);
  service.answer = (_, response) => response.end();
  assert.deepEqual(await receiver.send(lines(1)), { taken: 1 });
  assert.equal(service.connections, 2);
});

test('connections that break: before, within and after an answer', async (context) => {
  const service = await serviceOf(context);
  const receiver = receiverAt(context, service.port);
  const result = async () => {
    const { taken, rest, reason } = await receiver.send(lines(1));
    return [taken, rest, reason?.replace(/^.*?: /, '')];
  };
  service.answer = (_, response) => response.socket!.resetAndDestroy();
  const [taken, rest, reason] = await result();
  assert.deepEqual([taken, rest], [0, 'later']);
  assert.match(String(reason), /it ended the connection \(ECONNRESET\)/);

  // The answer was there; only its body was cut off.
  service.answer = (_, response) => {
    response.writeHead(200, { 'content-length': '100' }).write('half', () => {
      setImmediate(() => response.socket!.resetAndDestroy());
    });
  };
  assert.deepEqual(await result(), [1, undefined, undefined]);

  // Kept alive, and ended by the receiver just as the next request comes: sent again at once, on a new connection.
  service.answer = (_, response) => response.end();
  assert.deepEqual(await result(), [1, undefined, undefined]);
  const before = [service.connections, service.requests.length] as const;
  let resets = 0;
  service.answer = (_, response) => {
    if (resets++ === 0) response.socket!.resetAndDestroy();
    else response.end();
  };
  assert.deepEqual(await result(), [1, undefined, undefined]);
  assert.deepEqual([service.connections, service.requests.length], [before[0] + 1, before[1] + 2]);

  // Only once: one that always does it is down.
  service.answer = (_, response) => response.socket!.resetAndDestroy();
  assert.deepEqual((await result()).slice(0, 2), [0, 'later']);
});

test('no HTTP, no answer, nobody', async (context) => {
  const answers = {
    'SSH-2.0-OpenSSH_9.2\r\n': /Expected HTTP|Parse Error/i,
    'HTTP/1.1 2000 OK\r\n\r\n': /Parse Error/i,
    [`HTTP/1.1 200 OK\r\n${'X-A: b\r\n'.repeat(20_000)}\r\n`]: /Header overflow/i,
    'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n':
      /another protocol \(101\)/,
  };
  for (const [answer, says] of Object.entries(answers)) {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(answer));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    context.after(() => server.close());
    const result = await receiverAt(context, (server.address() as AddressInfo).port).send(lines(1));
    assert.deepEqual([result.taken, result.rest], [0, 'later']);
    assert.match(result.reason!, says);
  }
  const nobody = receiverAt(context, await freeTcpPort());
  const refused = await nobody.send(lines(1));
  assert.match(refused.reason!, /connection refused \(ECONNREFUSED\)/);
  assert.deepEqual(nobody.counters(), { connects: 0, connectFailures: 1 });

  const service = await serviceOf(context);
  service.answer = () => undefined;
  const silent = await receiverAt(context, service.port).send(lines(2));
  assert.deepEqual([silent.taken, silent.rest], [0, 'later']);
  assert.match(silent.reason!, /it does not answer/);
  const closing = receiverAt(context, service.port);
  const waiting = closing.send(lines(1));
  while (service.requests.length < 2) await delay(10);
  await closing.close();
  assert.match((await waiting).reason!, /the agent ends/);
  assert.match((await closing.send(lines(1))).reason!, /the agent ends/);
});

test('HTTPS with certificates on both sides, renewed while it runs; nobody else', async (context) => {
  const authority = new Authority(folder);
  const stranger = new Authority(folder, 'stranger');
  const server = authority.issue('hooks.test', ['DNS:hooks.test', 'IP:127.0.0.1']);
  const service = await serviceOf(context, {
    tls: {
      cert: readFileSync(server.cert),
      key: readFileSync(server.key),
      ca: readFileSync(authority.ca),
      requestCert: true,
      rejectUnauthorized: true,
    },
  });
  const address = { secure: true, host: '127.0.0.1', port: service.port, path: '/' };
  const client = authority.issue('client');
  const forged = stranger.issue('client');
  const tries: readonly (readonly [Partial<HttpStreamConfig['tls']>, RegExp])[] = [
    [{ ca: stranger.ca, ...client }, /its certificate is not trusted; see ca/],
    [
      { ca: authority.ca, ...client, serverName: 'other.test' },
      /for another name; see server_name/,
    ],
    [{ ca: authority.ca }, /certificate required|ended the connection/],
    [{ ca: authority.ca, ...forged }, /unknown ca|ended the connection/],
  ];
  for (const [tls, says] of tries) {
    const receiver = receiverAt(context, 0, { address, tls: { ...NO_FILES, ...tls } });
    const result = await receiver.send(lines(1));
    assert.deepEqual([result.taken, result.rest], [0, 'later']);
    assert.match(result.reason!, says);
  }
  assert.deepEqual(service.requests, []);

  const mine = { cert: join(folder, 'mine.crt'), key: join(folder, 'mine.key') };
  copyFileSync(forged.cert, mine.cert);
  copyFileSync(forged.key, mine.key);
  const tls = { ...NO_FILES, ca: authority.ca, ...mine, serverName: 'hooks.test' };
  const receiver = receiverAt(context, 0, { address, tls });
  assert.equal((await receiver.send(lines(1))).rest, 'later');
  copyFileSync(client.cert, mine.cert);
  copyFileSync(client.key, mine.key);
  assert.deepEqual(await receiver.send(lines(3)), { taken: 3 });
  assert.equal(service.requests.length, 3);
});

test('a unix socket', async (context) => {
  const socket = join(folder, 'hooks.sock');
  const service = await serviceOf(context, { socket });
  const address = { secure: false, host: 'hooks.test', port: 80, path: '/x' };
  assert.deepEqual(await receiverAt(context, 0, { address, socket }).send(lines(2)), { taken: 2 });
  assert.equal(service.requests[1]!.headers.host, 'hooks.test');
  const gone = receiverAt(context, 0, { address, socket: join(folder, 'none.sock') });
  assert.match((await gone.send(lines(1))).reason!, /there is no such socket/);
});

test('a bearer token from a file, replaced while it runs', async (context) => {
  const service = await serviceOf(context);
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, 'first.token~+/=\n');
  const said: string[] = [];
  const logger = {
    ...SILENT_LOGGER,
    warn: (_: object, message: string) => void said.push(message),
  };
  const receiver = receiverAt(context, service.port, { tokenFile }, logger);
  service.answer = ({ headers }, response) =>
    response.writeHead(headers.authorization === 'Bearer second' ? 200 : 401).end();
  const first = await receiver.send(lines(1));
  assert.match(first.reason!, /it rejects the agent’s credentials \(401\)/);
  assert.equal(service.requests[0]!.headers.authorization, 'Bearer first.token~+/=');
  assert.ok(!first.reason!.includes('first.token'));
  writeFileSync(tokenFile, 'second');
  assert.deepEqual(await receiver.send(lines(1)), { taken: 1 });
  for (const wrong of ['two words', '', 'x\r\nHost: evil', 'é', 'x'.repeat(9000)]) {
    said.length = 0;
    writeFileSync(tokenFile, wrong);
    assert.deepEqual(await receiver.send(lines(2)), { taken: 2 });
    assert.equal(said.length, 1, 'said once');
    assert.match(said[0]!, /The previous token stays in use: "streams\.http\.token_file"/);
  }
  assert.throws(() => receiverAt(context, 1, { tokenFile }), /larger than 8192 bytes/);
  assert.throws(() => receiverAt(context, 1, { tokenFile: folder }), /is not a regular file/);
  assert.throws(
    () => receiverAt(context, 1, { tokenFile: join(folder, 'none') }),
    /there is no such file\. Check the path\./,
  );
});
