import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { OtlpStreamConfig } from '../../src/config/receiver-config.ts';
import { SILENT_LOGGER } from '../../src/shared/logger.ts';
import { formatLine } from '../../src/streams/format.ts';
import { otlpReceiver, type OtlpReceiver } from '../../src/streams/otlp/otlp-receiver.ts';
import type { OutgoingLine, SendResult } from '../../src/streams/receiver.ts';
import { deliveryOf } from '../unit/streams/delivery-fixture.ts';
import { lineOf } from '../unit/streams/outgoing-line-fixture.ts';
import { OtlpGrpcServer, OtlpHttpServer } from './otlp-server.ts';

export const PROTOCOLS = ['grpc', 'http/protobuf', 'http/json'] as const;

export const NO_FILES = { ca: undefined, cert: undefined, key: undefined, serverName: undefined };

export async function receiverAt(
  context: TestContext,
  port: number,
  overrides: Partial<OtlpStreamConfig> & { secure?: boolean } = {},
): Promise<OtlpReceiver> {
  const { secure = false, ...more } = overrides;
  const receiver = await otlpReceiver(
    {
      enabled: true,
      audience: 'operator',
      onUrlChange: 'keep',
      protocol: 'grpc',
      address: { secure, host: '127.0.0.1', port, path: '/v1/logs' },
      compression: 'none',
      timeoutMs: 10_000,
      headers: {},
      tokenFile: undefined,
      tls: NO_FILES,
      ...more,
    },
    SILENT_LOGGER,
  );
  context.after(() => receiver.close());
  return receiver;
}

export async function grpcServer(
  context: TestContext,
  tls?: ConstructorParameters<typeof OtlpGrpcServer>[0],
): Promise<OtlpGrpcServer> {
  const service = new OtlpGrpcServer(tls);
  await service.start();
  context.after(() => service.stop());
  return service;
}

export async function httpServer(
  context: TestContext,
  tls?: Parameters<typeof OtlpHttpServer.start>[0],
): Promise<OtlpHttpServer> {
  const service = await OtlpHttpServer.start(tls);
  context.after(() => service.stop());
  return service;
}

export const idOf = (seq: number): string => `id-${seq}`;
export const idsOf = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => idOf(from + index));

/** Of one app instance, so that a request keeps their order. */
export function lines(count: number, from = 1): OutgoingLine[] {
  return Array.from({ length: count }, (_, index) => {
    const seq = from + index;
    const delivery = deliveryOf({ output: `n=${seq}` }, { seq, id: idOf(seq) });
    return lineOf({ seq, id: idOf(seq), text: formatLine(delivery, { format: 'json' }) });
  });
}

/** Without its sentence, which has to say where. */
export function saying({ reason = '', ...result }: SendResult, says: RegExp, port: number): object {
  assert.match(reason, says);
  assert.match(reason, new RegExp(`^https?://127\\.0\\.0\\.1:${port}: `));
  return result;
}
