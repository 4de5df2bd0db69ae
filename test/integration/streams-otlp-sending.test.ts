// The OTLP receiver with real servers on the other side, made from the protocol's own definition: what is sent, and to whom.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { OtlpStreamConfig } from '../../src/config/receiver-config.ts';
import { formatLine } from '../../src/streams/format.ts';
import { containerFacts } from '../../src/streams/otlp/resource.ts';
import { Authority, type Certificate } from '../support/certificates.ts';
import { recordsIn, REQUEST } from '../support/otlp-proto.ts';
import {
  grpcServer,
  httpServer,
  idsOf,
  lines,
  NO_FILES,
  PROTOCOLS,
  receiverAt,
  saying,
} from '../support/otlp-receivers.ts';
import { OtlpHttpServer } from '../support/otlp-server.ts';
import { containerOf, deliveryOf } from '../unit/streams/delivery-fixture.ts';
import { lineOf } from '../unit/streams/outgoing-line-fixture.ts';

let folder: string;
let authority: Authority;
let server: Certificate;
let client: Certificate;

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-otlp-'));
  authority = new Authority(folder);
  server = authority.issue('collector.test');
  client = authority.issue('varvel');
});

after(() => rmSync(folder, { recursive: true }));

for (const protocol of PROTOCOLS) {
  for (const compression of ['none', 'gzip'] as const) {
    test(`${protocol}, ${compression}: records arrive whole, with headers and token, by mutual TLS`, async (context) => {
      const tls = { ...server, ca: authority.ca };
      const service = await (protocol === 'grpc'
        ? grpcServer(context, tls)
        : httpServer(context, tls));
      const token = join(folder, `token-${protocol.replace('/', '-')}-${compression}`);
      writeFileSync(token, 'first\n');
      const receiver = await receiverAt(context, service.port, {
        secure: true,
        protocol,
        compression,
        headers: { 'X-Team': 'payments' },
        tokenFile: token,
        tls: { ca: authority.ca, serverName: 'collector.test', ...client },
      });
      const delivery = deliveryOf({ output: 'é 🦅 "x"\nzweite\x1b[2J', incident: 'k3x9abcd' });
      const line = lineOf({
        timeNs: delivery.detection.timeNs,
        text: formatLine(delivery, { format: 'json' }),
        facts: containerFacts(containerOf()),
      });
      assert.deepEqual(await receiver.send([line, ...lines(99)]), { taken: 100 });
      writeFileSync(token, 'second token is longer\n'.replaceAll(' ', '-'));
      assert.deepEqual(await receiver.send(lines(1)), { taken: 1 });

      assert.equal(service.requests.length, 2);
      const [found] = recordsIn(service.requests[0]!);
      assert.equal(found?.record.body.stringValue, 'é 🦅 "x"\\nzweite\\x1b[2J');
      assert.equal(found.record.severityNumber, 13);
      assert.equal(found.record.timeUnixNano, String(delivery.detection.timeNs));
      assert.equal(found.attributes['falco.proc.name'], 'sh');
      assert.equal(found.resource['container.image.name'], 'registry/shop');
      assert.deepEqual(
        service.headers.map((it) => [it['x-team'], it['authorization'], it['user-agent']]),
        [
          ['payments', 'Bearer first', service.headers[0]?.['user-agent']],
          ['payments', 'Bearer second-token-is-longer', service.headers[1]?.['user-agent']],
        ],
      );
      assert.match(String(service.headers[0]?.['user-agent']), /^varvel/);
      if (service instanceof OtlpHttpServer) {
        const [sent] = service.headers;
        assert.equal(sent?.['content-encoding'], compression === 'gzip' ? 'gzip' : undefined);
        assert.deepEqual(service.paths, ['/v1/logs', '/v1/logs']);
      }
      assert.deepEqual(receiver.counters(), { connects: 1, connectFailures: 0 });
    });
  }
}

for (const protocol of PROTOCOLS) {
  test(`${protocol}: a certificate that is not to be trusted gets nothing, and the reason says what to look at`, async (context) => {
    const tls = { ...server, ca: authority.ca };
    const service = await (protocol === 'grpc'
      ? grpcServer(context, tls)
      : httpServer(context, tls));
    const other = new Authority(folder, `other-${protocol.replace('/', '-')}`);
    const good = { ca: authority.ca, serverName: 'collector.test', ...client };
    const cases: readonly (readonly [OtlpStreamConfig['tls'], RegExp])[] = [
      [{ ...good, ca: other.ca }, /; see ca/],
      [{ ...good, serverName: 'elsewhere.test' }, /; see server_name/],
      [{ ...good, ca: undefined }, /; see ca/],
    ];
    for (const [files, says] of cases) {
      const receiver = await receiverAt(context, service.port, {
        secure: true,
        protocol,
        tls: files,
      });
      const result = await receiver.send(lines(1));
      assert.deepEqual(saying(result, says, service.port), { taken: 0, rest: 'later' });
    }
    assert.deepEqual(service.requests, []);
  });
}

test('gRPC without a client certificate, where the receiver wants one: nothing arrives', async (context) => {
  const service = await grpcServer(context, { ...server, ca: authority.ca });
  const tls = { ...NO_FILES, ca: authority.ca, serverName: 'collector.test' };
  const receiver = await receiverAt(context, service.port, { secure: true, tls });
  const { taken, rest } = await receiver.send(lines(1));
  assert.deepEqual([taken, rest, service.requests], [0, 'later', []]);
});

test('gRPC: what is compressed says so, and is smaller', async (context) => {
  const sizes: number[] = [];
  const service = createHttp2Server();
  service.on('stream', (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      // A message begins with whether it is compressed, and its length (gRPC over HTTP/2).
      const [compressed, body] = [chunks[0]?.[0], Buffer.concat(chunks).subarray(5)];
      assert.equal(headers['grpc-encoding'], compressed === 1 ? 'gzip' : undefined);
      sizes.push(body.length);
      assert.equal(recordsIn(REQUEST.deserialize(compressed ? gunzipSync(body) : body)).length, 50);
      stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.alloc(5));
    });
  });
  await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
  context.after(() => service.close());
  for (const compression of ['none', 'gzip'] as const) {
    const { port } = service.address() as AddressInfo;
    const receiver = await receiverAt(context, port, { compression });
    assert.deepEqual(await receiver.send(lines(50)), { taken: 50 });
  }
  assert.ok(sizes[1]! * 5 < sizes[0]!, sizes.join(' '));
});

test('gRPC: certificates are read again when they change', async (context) => {
  const service = await grpcServer(context, { ...server, ca: authority.ca });
  const ca = join(folder, 'rotated-ca.pem');
  const other = new Authority(folder, 'rotated');
  writeFileSync(ca, readFileSync(other.ca));
  const tls = { ca, serverName: 'collector.test', ...client };
  const receiver = await receiverAt(context, service.port, { secure: true, tls });
  assert.equal((await receiver.send(lines(1))).rest, 'later');
  writeFileSync(ca, `${readFileSync(authority.ca, 'utf8')}\n`);
  assert.deepEqual(await receiver.send(lines(1)), { taken: 1 });
});

/** What a reader could not see, or what steers a terminal. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

const textsIn = (attributes: Record<string, unknown>): unknown[] =>
  Object.entries(attributes).flat(2);

test('hostile lines of the largest size: a full request stays below what receivers take', async (context) => {
  const service = await grpcServer(context);
  const receiver = await receiverAt(context, service.port);
  const hostile = '\u202e\x1b[2J\n\ud800"\\é🦅'.repeat(3000);
  const outputFields = Object.fromEntries(
    Array.from({ length: 256 }, (_, index) => [`f${index}`, hostile.slice(0, 4000)]),
  );
  const tags = Object.fromEntries(
    Array.from({ length: 100 }, (_, index) => [`tag${index}`, hostile.slice(0, 2000)]),
  );
  const text = formatLine(deliveryOf({ output: hostile, outputFields }), { format: 'json' });
  const labels = Object.fromEntries(
    ['pod.namespace', 'pod.name', 'pod.uid', 'container.name'].map((name) => [
      `io.kubernetes.${name}`,
      hostile,
    ]),
  );
  const image = { imageRepository: hostile, imageTag: hostile, imageId: hostile };
  const container = containerOf({
    ...image,
    runtime: 'cri',
    name: hostile,
    imageDigest: hostile,
    sidecar: hostile,
    labels,
  });
  const all = lines(100).map((line, index) => {
    const app = {
      ...{ name: hostile, guid: hostile, org: hostile, space: hostile, processType: hostile },
      instance: `${index}${hostile}`,
      tags,
    };
    return { ...line, text, app, facts: containerFacts(container) };
  });
  assert.deepEqual(await receiver.send(all), { taken: 100 });
  const [request] = service.requests;
  const found = recordsIn(request!);
  assert.deepEqual(service.ids, idsOf(1, 100));
  const bytes = REQUEST.serialize(request!).length;
  context.diagnostic(`${bytes} bytes`);
  assert.ok(bytes < 4 * 1024 * 1024, String(bytes));
  for (const { record, attributes, resource } of found) {
    const texts = [record.body.stringValue, ...textsIn(attributes), ...textsIn(resource)];
    assert.ok(!texts.some((text) => HIDDEN.test(String(text))), 'something is hidden in a text');
    assert.equal(attributes['varvel.truncated'], true);
  }
  assert.ok(Number(request?.resourceLogs[0]?.resource.droppedAttributesCount) > 0);
});
