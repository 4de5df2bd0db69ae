// The OTLP receiver with real servers on the other side, made from the protocol's own definition: what answers mean.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { recordsIn } from '../support/otlp-proto.ts';
import type { OtlpRequest } from '../support/otlp-proto.ts';
import {
  grpcServer,
  httpServer,
  idOf,
  idsOf,
  lines,
  PROTOCOLS,
  receiverAt,
  saying,
} from '../support/otlp-receivers.ts';
import { OtlpGrpcServer } from '../support/otlp-server.ts';
import type { GrpcFailure, HttpFailure } from '../support/otlp-server.ts';
import { retryInfo, rpcStatus } from '../support/rpc-status.ts';
import { freeTcpPort } from '../support/rsyslog.ts';

test('gRPC: each code, as the specification says, and how long to wait', async (context) => {
  const service = await grpcServer(context);
  const receiver = await receiverAt(context, service.port);
  const wait = rpcStatus('busy\x1b[2J', [retryInfo(7, 500_000_000)]);
  const cases: readonly (readonly [GrpcFailure, object, RegExp])[] = [
    [{ code: status.UNAVAILABLE, details: 'busy' }, { rest: 'later' }, /: busy$/],
    [
      { code: status.UNAVAILABLE, details: 'busy', status: wait },
      { rest: 'later', retryAfterMs: 7500 },
      /: busy$/,
    ],
    [
      { code: status.RESOURCE_EXHAUSTED, details: 'quota', status: wait },
      { rest: 'later', retryAfterMs: 7500 },
      /: quota$/,
    ],
    [{ code: status.RESOURCE_EXHAUSTED, details: 'too large' }, { rest: 'refused' }, /too large/],
    [{ code: status.CANCELLED, details: 'x' }, { rest: 'later' }, /x/],
    [{ code: status.DEADLINE_EXCEEDED, details: 'x' }, { rest: 'later' }, /x/],
    [{ code: status.ABORTED, details: 'x' }, { rest: 'later' }, /x/],
    [{ code: status.OUT_OF_RANGE, details: 'x' }, { rest: 'later' }, /x/],
    [{ code: status.DATA_LOSS, details: 'x' }, { rest: 'later' }, /x/],
    [{ code: status.INVALID_ARGUMENT, details: 'bad\n\x1b[2J' }, { rest: 'refused' }, /bad \\x1b/],
    [{ code: status.UNKNOWN, details: 'x' }, { rest: 'refused' }, /code 2: x/],
    [{ code: status.NOT_FOUND, details: 'x' }, { rest: 'refused' }, /x/],
    [{ code: status.ALREADY_EXISTS, details: 'x' }, { rest: 'refused' }, /x/],
    [{ code: status.FAILED_PRECONDITION, details: 'x' }, { rest: 'refused' }, /x/],
    [{ code: status.UNIMPLEMENTED, details: 'x' }, { rest: 'refused' }, /x/],
    [{ code: status.INTERNAL, details: 'x' }, { rest: 'refused' }, /x/],
    [{ code: status.UNAUTHENTICATED, details: 'who?' }, { rest: 'later' }, /credentials \(who\?\)/],
    [{ code: status.PERMISSION_DENIED, details: 'no' }, { rest: 'later' }, /credentials \(no\)/],
    [
      { code: status.UNAVAILABLE, details: 'y', status: Buffer.from('ffff', 'hex') },
      { rest: 'later' },
      /: y$/,
    ],
  ];
  for (const [failure, expected, says] of cases) {
    service.answer = () => failure;
    const result = await receiver.send(lines(1));
    assert.deepEqual(saying(result, says, service.port), { taken: 0, ...expected });
  }
  service.answer = () => ({});
  assert.deepEqual(await receiver.send(lines(1)), { taken: 1 });
});

test('HTTP: each status, as the specification says, with what the body says', async (context) => {
  const service = await httpServer(context);
  const receiver = await receiverAt(context, service.port, { protocol: 'http/protobuf' });
  const protobuf = { 'content-type': 'application/x-protobuf' };
  const cases: readonly (readonly [HttpFailure, object, RegExp])[] = [
    ...[429, 502, 503, 504].map(
      (code) => [{ status: code }, { rest: 'later' }, new RegExp(`\\(${code}\\)`)] as const,
    ),
    [
      { status: 503, headers: { 'retry-after': '7' } },
      { rest: 'later', retryAfterMs: 7000 },
      /cannot take it now \(503\)/,
    ],
    ...[400, 404, 408, 413, 415, 425, 500, 501, 505, 307].map(
      (code) =>
        [
          { status: code },
          { rest: 'refused' },
          new RegExp(`refuses the request \\(${code}`),
        ] as const,
    ),
    ...[401, 403, 407].map(
      (code) => [{ status: code }, { rest: 'later' }, /rejects the agent’s credentials/] as const,
    ),
    [
      { status: 400, headers: protobuf, body: rpcStatus('bad\n\x1b[2Jdata', []) },
      { rest: 'refused' },
      /\(400: bad \\x1b\[2Jdata\)/,
    ],
    [
      { status: 400, headers: { 'content-type': 'application/json' }, body: '{"message":"no"}' },
      { rest: 'refused' },
      /\(400: no\)/,
    ],
    [
      { status: 502, headers: { 'content-type': 'text/html' }, body: '<b>proxy</b>'.repeat(9999) },
      { rest: 'later' },
      /\(502: <b>proxy/,
    ],
  ];
  for (const [failure, expected, says] of cases) {
    service.answer = () => failure;
    const result = await receiver.send(lines(1));
    assert.deepEqual(saying(result, says, service.port), { taken: 0, ...expected });
  }
  // Whatever its body is, the status has said that it is taken.
  for (const body of ['', 'ok', Buffer.from('ffff', 'hex'), '{}', 'null']) {
    for (const type of ['application/x-protobuf', 'application/json', 'text/plain']) {
      service.answer = () => ({ status: 200, headers: { 'content-type': type }, body });
      assert.deepEqual(await receiver.send(lines(1)), { taken: 1 });
    }
  }
});

for (const protocol of PROTOCOLS) {
  test(`${protocol}: of a refused request the line that it is refused for is found`, async (context) => {
    const service = await (protocol === 'grpc' ? grpcServer(context) : httpServer(context));
    const receiver = await receiverAt(context, service.port, { protocol });
    const bad = (request: OtlpRequest): boolean =>
      recordsIn(request).some(({ attributes }) => attributes['log.record.uid'] === idOf(38));
    service.answer = (request: OtlpRequest) =>
      !bad(request)
        ? {}
        : protocol === 'grpc'
          ? { code: status.INVALID_ARGUMENT, details: 'line 38' }
          : { status: 400 };
    const all = lines(100);
    const first = await receiver.send(all);
    assert.deepEqual([first.taken, first.rest], [37, 'refused']);
    let taken = 38;
    while (taken < 100) taken += (await receiver.send(all.slice(taken))).taken;
    assert.deepEqual(service.ids, [...idsOf(1, 37), ...idsOf(39, 100)]);
  });

  test(`${protocol}: a rejected part is not sent again, and is told; then it is known which line`, async (context) => {
    const service = await (protocol === 'grpc' ? grpcServer(context) : httpServer(context));
    const receiver = await receiverAt(context, service.port, { protocol });
    const reject = (count: number) => ({
      partialSuccess: { rejectedLogRecords: count, errorMessage: 'too\nold' },
    });
    service.answer = () => reject(3);
    const where = `http://127.0.0.1:${service.port}: too old`;
    assert.deepEqual(await receiver.send(lines(10)), {
      taken: 10,
      rejected: { count: 3, of: 10, reason: where },
    });
    assert.equal(service.requests.length, 1);
    // One by one: exactly this line.
    service.answer = ({ resourceLogs }) => {
      const [record] = recordsIn({ resourceLogs });
      return record?.attributes['log.record.uid'] === idOf(12) ? reject(1) : {};
    };
    assert.deepEqual(await receiver.send(lines(10, 11)), {
      taken: 3,
      rejected: { count: 1, of: 2, reason: where },
    });
    // More than there were, and a remark about what was taken.
    service.answer = () => reject(1_000_000);
    assert.deepEqual(await receiver.send(lines(1)), {
      taken: 1,
      rejected: { count: 1, of: 1, reason: where },
    });
    service.answer = () => ({ partialSuccess: { errorMessage: 'use another endpoint' } });
    assert.deepEqual(await receiver.send(lines(1)), { taken: 1 });
  });

  test(`${protocol}: a receiver that is down, comes, and goes`, async (context) => {
    const port = await freeTcpPort();
    const receiver = await receiverAt(context, port, { protocol });
    const down = await receiver.send(lines(3));
    assert.deepEqual(saying(down, /ECONNREFUSED/, port), { taken: 0, rest: 'later' });
    assert.equal(receiver.counters().connectFailures, 1);
    if (protocol !== 'grpc') return;
    const service = new OtlpGrpcServer();
    service.port = port;
    await service.start();
    context.after(() => service.stop());
    assert.deepEqual(await receiver.send(lines(3)), { taken: 3 });
    service.stop();
    const gone = await receiver.send(lines(3, 4));
    assert.deepEqual([gone.taken, gone.rest], [0, 'later']);
    await service.start();
    assert.deepEqual(await receiver.send(lines(3, 4)), { taken: 3 });
    assert.deepEqual(service.ids, idsOf(1, 6));
  });

  test(`${protocol}: a receiver that is too slow is tried again, and closing does not wait`, async (context) => {
    const service = await (protocol === 'grpc' ? grpcServer(context) : httpServer(context));
    service.slowMs = 5000;
    const receiver = await receiverAt(context, service.port, { protocol, timeoutMs: 1000 });
    const { taken, rest } = await receiver.send(lines(3));
    assert.deepEqual([taken, rest], [0, 'later']);
    const patient = await receiverAt(context, service.port, { protocol, timeoutMs: 20_000 });
    const sending = patient.send(lines(3));
    setTimeout(() => void patient.close(), 200);
    const closed = await sending;
    assert.deepEqual([closed.taken, closed.rest], [0, 'later']);
  });
}
