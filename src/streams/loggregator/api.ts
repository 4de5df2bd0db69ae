import { fromJSON } from '@grpc/proto-loader';

/**
 * What we use of the Loggregator v2 ingress, as protobufjs writes a .proto file in JSON: its messages, fields and
 * their numbers are those of the platform (loggregator-api v2: envelope.proto, ingress.proto). Fields that we do not send
 * are left out.
 */
const API = {
  nested: {
    loggregator: {
      nested: {
        v2: {
          nested: {
            Envelope: {
              oneofs: { message: { oneof: ['log', 'counter', 'gauge'] } },
              fields: {
                timestamp: { type: 'int64', id: 1 },
                sourceId: { type: 'string', id: 2 },
                instanceId: { type: 'string', id: 8 },
                tags: { keyType: 'string', type: 'string', id: 9 },
                log: { type: 'Log', id: 4 },
                counter: { type: 'Counter', id: 5 },
                gauge: { type: 'Gauge', id: 6 },
              },
            },
            EnvelopeBatch: { fields: { batch: { rule: 'repeated', type: 'Envelope', id: 1 } } },
            Log: {
              fields: { payload: { type: 'bytes', id: 1 }, type: { type: 'Type', id: 2 } },
              nested: { Type: { values: { OUT: 0, ERR: 1 } } },
            },
            Counter: {
              fields: {
                name: { type: 'string', id: 1 },
                delta: { type: 'uint64', id: 2 },
                total: { type: 'uint64', id: 3 },
              },
            },
            Gauge: { fields: { metrics: { keyType: 'string', type: 'GaugeValue', id: 1 } } },
            GaugeValue: {
              fields: { unit: { type: 'string', id: 1 }, value: { type: 'double', id: 2 } },
            },
            SendResponse: { fields: {} },
            BatchSenderResponse: { fields: {} },
            Ingress: {
              methods: {
                Send: { requestType: 'EnvelopeBatch', responseType: 'SendResponse' },
                BatchSender: {
                  requestType: 'EnvelopeBatch',
                  requestStream: true,
                  responseType: 'BatchSenderResponse',
                },
              },
            },
          },
        },
      },
    },
  },
};

interface Addressed {
  /** Unix ns, as a decimal number. */
  readonly timestamp: string;
  readonly sourceId: string;
  readonly instanceId: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** One line on its way to the platform. */
export interface LogEnvelope extends Addressed {
  readonly log: { readonly payload: Buffer; readonly type: 'OUT' | 'ERR' };
}

/** A number that only grows; both as decimal numbers of at most 64 bits. */
export interface CounterEnvelope extends Addressed {
  readonly counter: { readonly name: string; readonly delta: string; readonly total: string };
}

/** Numbers of one moment. */
export interface GaugeEnvelope extends Addressed {
  readonly gauge: {
    readonly metrics: Readonly<Record<string, { readonly unit: string; readonly value: number }>>;
  };
}

export type Envelope = LogEnvelope | CounterEnvelope | GaugeEnvelope;

/** What one message of the ingress holds. */
export interface EnvelopeBatch {
  readonly batch: readonly Envelope[];
}

interface Method {
  readonly path: string;
  readonly requestSerialize: (batch: EnvelopeBatch) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => object;
}

/** The ingress's methods: their paths and encodings. */
export const INGRESS = fromJSON(API as unknown as Parameters<typeof fromJSON>[0])[
  'loggregator.v2.Ingress'
] as unknown as {
  /** One batch, acknowledged when it is in the agent's own queue. */
  readonly Send: Method;
  /** Batches for as long as wanted; none is acknowledged. */
  readonly BatchSender: Method;
};
