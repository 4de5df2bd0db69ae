import { loadSync } from '@grpc/proto-loader';
import type { MessageTypeDefinition, ServiceDefinition } from '@grpc/proto-loader';

/** The protocol's own definition, of Debian's package opentelemetry-proto: not what src/ encodes with. */
const loaded = loadSync('opentelemetry/proto/collector/logs/v1/logs_service.proto', {
  includeDirs: ['/usr/include'],
  longs: String,
  enums: Number,
  oneofs: true,
}) as unknown as {
  readonly 'opentelemetry.proto.collector.logs.v1.LogsService': ServiceDefinition;
  readonly 'opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest': MessageTypeDefinition<
    object,
    OtlpRequest
  >;
  readonly 'opentelemetry.proto.collector.logs.v1.ExportLogsServiceResponse': MessageTypeDefinition<
    object,
    object
  >;
};

/** A value, as protobufjs shows one that it decoded. */
export interface OtlpValue {
  readonly value?: string;
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly intValue?: string;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values?: readonly OtlpValue[] };
  readonly kvlistValue?: { readonly values?: readonly OtlpAttribute[] };
}

export interface OtlpAttribute {
  readonly key: string;
  readonly value: OtlpValue;
}

export interface OtlpRecord {
  readonly timeUnixNano: string;
  readonly observedTimeUnixNano: string;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly eventName: string;
  readonly body: OtlpValue;
  readonly attributes: readonly OtlpAttribute[];
}

/** An ExportLogsServiceRequest. */
export interface OtlpRequest {
  readonly resourceLogs: readonly {
    readonly resource: {
      readonly attributes: readonly OtlpAttribute[];
      readonly droppedAttributesCount?: number;
    };
    readonly scopeLogs: readonly {
      readonly scope: { readonly name: string };
      readonly logRecords: readonly OtlpRecord[];
    }[];
  }[];
}

export const LOGS_SERVICE = loaded['opentelemetry.proto.collector.logs.v1.LogsService'];
export const REQUEST = loaded['opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest'];
export const RESPONSE = loaded['opentelemetry.proto.collector.logs.v1.ExportLogsServiceResponse'];

/** A value as JavaScript has it; integers are bigints. */
export function plainValue(value: OtlpValue): unknown {
  if (value.stringValue !== undefined) return value.stringValue;
  if (value.boolValue !== undefined) return value.boolValue;
  if (value.intValue !== undefined) return BigInt(value.intValue);
  if (value.doubleValue !== undefined) return value.doubleValue;
  if (value.arrayValue !== undefined) return (value.arrayValue.values ?? []).map(plainValue);
  if (value.kvlistValue !== undefined) return plainAttributes(value.kvlistValue.values ?? []);
  return undefined;
}

/** Throws where a name is there twice, which the protocol forbids. */
export function plainAttributes(attributes: readonly OtlpAttribute[]): Record<string, unknown> {
  const plain = Object.fromEntries(attributes.map(({ key, value }) => [key, plainValue(value)]));
  if (Object.keys(plain).length < attributes.length)
    throw new Error(`an attribute is there twice: ${attributes.map(({ key }) => key).join(', ')}`);
  return plain;
}

/** All records of a request, each with the attributes of its resource, in the request's order. */
export function recordsIn(request: OtlpRequest): {
  readonly record: OtlpRecord;
  readonly attributes: Record<string, unknown>;
  readonly resource: Record<string, unknown>;
}[] {
  return request.resourceLogs.flatMap(({ resource, scopeLogs }) =>
    scopeLogs.flatMap(({ logRecords }) =>
      logRecords.map((record) => ({
        record,
        attributes: plainAttributes(record.attributes),
        resource: plainAttributes(resource.attributes),
      })),
    ),
  );
}
