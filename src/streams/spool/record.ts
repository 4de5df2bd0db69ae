import { crc32 } from 'node:zlib';

// A spool's file: MAGIC, then records one after the other. A record is its body's length and CRC-32 (both 32 bits,
// little endian), then the body: flags (8 bits), the lane's length (16 bits) and name, the payload. A record that was moved
// to another file has its first place between name and payload: file number (48 bits) and running number in it (32 bits).

export const MAGIC = Buffer.from('VARVELS1');
const HEAD_BYTES = 8;
const BODY_HEAD_BYTES = 3;
const URGENT = 1;
const KEPT = 2;
const MOVED = 4;
/** By how much a record is longer once it was moved. */
export const ORIGIN_BYTES = 10;
/** A line is at most 8 KiB; beside it there is its app. */
export const MAX_PAYLOAD_BYTES = 64 * 1024;
export const MAX_LANE_BYTES = 1024;
const MAX_BODY_BYTES = BODY_HEAD_BYTES + MAX_LANE_BYTES + ORIGIN_BYTES + MAX_PAYLOAD_BYTES;

/** What the spool needs to know of a payload: whose it is, and whether it goes before others. */
export interface RecordLabel {
  /** Order is kept within a lane; lanes take turns. At most MAX_LANE_BYTES. */
  readonly lane: string;
  readonly urgent: boolean;
  /** It tells what was lost, so it is never dropped to make room. */
  readonly kept?: boolean;
}

/** Where a record was first: this orders the records, wherever they are now. */
export interface RecordOrigin {
  readonly file: number;
  readonly ordinal: number;
}

/** Where a record stands in its file. */
export interface RecordPlace extends RecordLabel {
  readonly offset: number;
  /** Head and body. */
  readonly length: number;
  /** Of a record that was moved. */
  readonly origin?: RecordOrigin;
}

/** Throws RangeError past the bounds above. `origin`: for a record that is moved. */
export function encodeRecord(
  { lane, urgent, kept = false }: RecordLabel,
  payload: Buffer,
  origin?: RecordOrigin,
): Buffer {
  const laneBytes = Buffer.from(lane);
  if (laneBytes.length > MAX_LANE_BYTES || payload.length > MAX_PAYLOAD_BYTES) {
    throw new RangeError(
      `a spool's record has ${laneBytes.length} bytes of lane and ${payload.length} of payload`,
    );
  }
  const originBytes = origin === undefined ? 0 : ORIGIN_BYTES;
  const payloadAt = HEAD_BYTES + BODY_HEAD_BYTES + laneBytes.length + originBytes;
  const record = Buffer.allocUnsafe(payloadAt + payload.length);
  record.writeUInt32LE(record.length - HEAD_BYTES, 0);
  const flags = (urgent ? URGENT : 0) | (kept ? KEPT : 0) | (origin === undefined ? 0 : MOVED);
  record.writeUInt8(flags, HEAD_BYTES);
  record.writeUInt16LE(laneBytes.length, HEAD_BYTES + 1);
  laneBytes.copy(record, HEAD_BYTES + BODY_HEAD_BYTES);
  if (origin !== undefined) {
    record.writeUIntLE(origin.file, payloadAt - ORIGIN_BYTES, 6);
    record.writeUInt32LE(origin.ordinal, payloadAt - 4);
  }
  payload.copy(record, payloadAt);
  record.writeUInt32LE(crc32(record.subarray(HEAD_BYTES)), 4);
  return record;
}

/** The payload of a record's bytes; undefined if they are not what was written. */
export function payloadOf(record: Buffer): Buffer | undefined {
  const place = readRecord(record, 0);
  if (place?.length !== record.length) return undefined;
  const originBytes = place.origin === undefined ? 0 : ORIGIN_BYTES;
  const laneBytes = record.readUInt16LE(HEAD_BYTES + 1);
  return record.subarray(HEAD_BYTES + BODY_HEAD_BYTES + laneBytes + originBytes);
}

/** The record at that offset; undefined where there is no whole one. */
function readRecord(file: Buffer, offset: number): RecordPlace | undefined {
  if (offset + HEAD_BYTES > file.length) return undefined;
  const bodyBytes = file.readUInt32LE(offset);
  const end = offset + HEAD_BYTES + bodyBytes;
  if (bodyBytes < BODY_HEAD_BYTES || bodyBytes > MAX_BODY_BYTES || end > file.length) {
    return undefined;
  }
  const body = file.subarray(offset + HEAD_BYTES, end);
  if (crc32(body) !== file.readUInt32LE(offset + 4)) return undefined;
  const flags = body.readUInt8(0);
  const isMoved = (flags & MOVED) !== 0;
  const laneBytes = body.readUInt16LE(1);
  const laneEnd = BODY_HEAD_BYTES + laneBytes;
  if (laneBytes > MAX_LANE_BYTES || laneEnd + (isMoved ? ORIGIN_BYTES : 0) > bodyBytes) {
    return undefined;
  }
  return {
    lane: body.toString('utf8', BODY_HEAD_BYTES, laneEnd),
    urgent: (flags & URGENT) !== 0,
    kept: (flags & KEPT) !== 0,
    offset,
    length: HEAD_BYTES + bodyBytes,
    ...(isMoved
      ? { origin: { file: body.readUIntLE(laneEnd, 6), ordinal: body.readUInt32LE(laneEnd + 6) } }
      : {}),
  };
}

/**
 * All records up to the first that is not whole, as a write that was cut off leaves it, and how many bytes come after
 * the last one. A file that does not begin with MAGIC has none.
 */
export function scanRecords(file: Buffer): {
  readonly records: readonly RecordPlace[];
  readonly unreadBytes: number;
} {
  const records: RecordPlace[] = [];
  if (!file.subarray(0, MAGIC.length).equals(MAGIC)) return { records, unreadBytes: file.length };
  let offset = MAGIC.length;
  for (;;) {
    const record = readRecord(file, offset);
    if (record === undefined) return { records, unreadBytes: file.length - offset };
    records.push(record);
    offset += record.length;
  }
}
