// google.rpc.Status and RetryInfo, written by hand from google/rpc/status.proto and error_details.proto.

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left > 127; left = Math.floor(left / 128)) bytes.push((left % 128) | 128);
  return Buffer.from([...bytes, left]);
}

function bytesField(id: number, value: Buffer): Buffer {
  return Buffer.concat([varint(id * 8 + 2), varint(value.length), value]);
}

function numberField(id: number, value: number): Buffer {
  return Buffer.concat([varint(id * 8), varint(value)]);
}

/** A google.protobuf.Any with a RetryInfo. */
export function retryInfo(seconds: number, nanos: number): Buffer {
  const duration = Buffer.concat([numberField(1, seconds), numberField(2, nanos)]);
  return Buffer.concat([
    bytesField(1, Buffer.from('type.googleapis.com/google.rpc.RetryInfo')),
    bytesField(2, bytesField(1, duration)),
  ]);
}

/** A google.rpc.Status with code 14. */
export function rpcStatus(message: string, details: readonly Buffer[]): Buffer {
  return Buffer.concat([
    numberField(1, 14),
    bytesField(2, Buffer.from(message)),
    ...details.map((detail) => bytesField(3, detail)),
  ]);
}
