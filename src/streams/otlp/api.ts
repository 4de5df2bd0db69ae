import { fromJSON } from '@grpc/proto-loader';

/**
 * What we use of OTLP's logs, as protobufjs writes a .proto file in JSON: its messages, fields and their numbers are those of
 * the protocol (opentelemetry-proto 1.x: logs_service.proto, logs.proto, common.proto, resource.proto). Fields that we do not
 * send are left out. `Status` and what it holds are gRPC's (google/rpc/status.proto, error_details.proto).
 */
const API = {
  nested: {
    otlp: {
      nested: {
        Request: { fields: { resourceLogs: { rule: 'repeated', type: 'ResourceLogs', id: 1 } } },
        ResourceLogs: {
          fields: {
            resource: { type: 'Resource', id: 1 },
            scopeLogs: { rule: 'repeated', type: 'ScopeLogs', id: 2 },
          },
        },
        Resource: {
          fields: {
            attributes: { rule: 'repeated', type: 'KeyValue', id: 1 },
            droppedAttributesCount: { type: 'uint32', id: 2 },
          },
        },
        ScopeLogs: {
          fields: {
            scope: { type: 'Scope', id: 1 },
            logRecords: { rule: 'repeated', type: 'LogRecord', id: 2 },
          },
        },
        Scope: { fields: { name: { type: 'string', id: 1 } } },
        LogRecord: {
          fields: {
            timeUnixNano: { type: 'fixed64', id: 1 },
            observedTimeUnixNano: { type: 'fixed64', id: 11 },
            severityNumber: { type: 'int32', id: 2 },
            severityText: { type: 'string', id: 3 },
            body: { type: 'AnyValue', id: 5 },
            attributes: { rule: 'repeated', type: 'KeyValue', id: 6 },
            eventName: { type: 'string', id: 12 },
          },
        },
        KeyValue: {
          fields: { key: { type: 'string', id: 1 }, value: { type: 'AnyValue', id: 2 } },
        },
        AnyValue: {
          oneofs: {
            value: {
              oneof: [
                'stringValue',
                'boolValue',
                'intValue',
                'doubleValue',
                'arrayValue',
                'kvlistValue',
              ],
            },
          },
          fields: {
            stringValue: { type: 'string', id: 1 },
            boolValue: { type: 'bool', id: 2 },
            intValue: { type: 'int64', id: 3 },
            doubleValue: { type: 'double', id: 4 },
            arrayValue: { type: 'ArrayValue', id: 5 },
            kvlistValue: { type: 'KeyValueList', id: 6 },
          },
        },
        ArrayValue: { fields: { values: { rule: 'repeated', type: 'AnyValue', id: 1 } } },
        KeyValueList: { fields: { values: { rule: 'repeated', type: 'KeyValue', id: 1 } } },
        Response: { fields: { partialSuccess: { type: 'PartialSuccess', id: 1 } } },
        PartialSuccess: {
          fields: {
            rejectedLogRecords: { type: 'int64', id: 1 },
            errorMessage: { type: 'string', id: 2 },
          },
        },
        Status: {
          fields: {
            message: { type: 'string', id: 2 },
            details: { rule: 'repeated', type: 'Detail', id: 3 },
          },
        },
        Detail: { fields: { typeUrl: { type: 'string', id: 1 }, value: { type: 'bytes', id: 2 } } },
        RetryInfo: { fields: { retryDelay: { type: 'Duration', id: 1 } } },
        Duration: {
          fields: { seconds: { type: 'int64', id: 1 }, nanos: { type: 'int32', id: 2 } },
        },
      },
    },
  },
};

/** One of them; a 64-bit integer is a decimal number in a text, as OTLP's JSON has it. */
export interface AnyValue {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly intValue?: string;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values: readonly AnyValue[] };
  readonly kvlistValue?: { readonly values: readonly KeyValue[] };
}

export interface KeyValue {
  readonly key: string;
  readonly value: AnyValue;
}

export interface LogRecord {
  /** Unix ns, as a decimal number. */
  readonly timeUnixNano: string;
  readonly observedTimeUnixNano: string;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: AnyValue;
  readonly attributes: readonly KeyValue[];
  readonly eventName: string;
}

export interface Resource {
  readonly attributes: readonly KeyValue[];
  readonly droppedAttributesCount: number;
}

/**
 * An ExportLogsServiceRequest. `JSON.stringify` of it is OTLP's JSON: names in lowerCamelCase, 64-bit integers as texts,
 * enumerations as numbers, no bytes.
 */
export interface ExportRequest {
  readonly resourceLogs: readonly {
    readonly resource: Resource;
    readonly scopeLogs: readonly {
      readonly scope: { readonly name: string };
      readonly logRecords: readonly LogRecord[];
    }[];
  }[];
}

/** What a receiver answers; in JSON of a stranger's every part may be something else. */
export interface ExportResponse {
  readonly partialSuccess?: {
    readonly rejectedLogRecords?: string | number;
    readonly errorMessage?: string;
  } | null;
}

interface Status {
  readonly message?: string;
  readonly details?: readonly { readonly typeUrl: string; readonly value: Buffer }[];
}

interface Message<Value> {
  readonly serialize: (value: Value) => Buffer;
  readonly deserialize: (bytes: Buffer) => Value;
}

const MESSAGES = fromJSON(API, {
  longs: String,
}) as unknown as {
  readonly 'otlp.Request': Message<ExportRequest>;
  readonly 'otlp.Response': Message<ExportResponse>;
  readonly 'otlp.Status': Message<Status>;
  readonly 'otlp.RetryInfo': Message<{
    readonly retryDelay?: { readonly seconds?: string; readonly nanos?: number };
  }>;
};

/** The method of the service that takes logs. */
export const EXPORT_PATH = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';

export const encodeRequest = (request: ExportRequest): Buffer =>
  MESSAGES['otlp.Request'].serialize(request);

/** Throws for bytes that are no such message. */
export const decodeResponse = (bytes: Buffer): ExportResponse =>
  MESSAGES['otlp.Response'].deserialize(bytes);

/** The message of a google.rpc.Status, and ms of the RetryInfo in it; nothing of what is not there or cannot be read. */
export function readStatus(bytes: Buffer): {
  readonly message?: string;
  readonly retryAfterMs?: number;
} {
  try {
    const { message, details = [] } = MESSAGES['otlp.Status'].deserialize(bytes);
    const info = details.find(({ typeUrl }) => typeUrl.endsWith('/google.rpc.RetryInfo'));
    const delay = info && MESSAGES['otlp.RetryInfo'].deserialize(info.value).retryDelay;
    const ms = Number(delay?.seconds ?? 0) * 1000 + Math.ceil((delay?.nanos ?? 0) / 1e6);
    return {
      ...(message === undefined ? {} : { message }),
      ...(info === undefined ? {} : { retryAfterMs: Math.max(0, ms) }),
    };
  } catch {
    return {};
  }
}
