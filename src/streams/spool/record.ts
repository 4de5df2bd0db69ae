import { crc32 } from 'node:zlib';

// A spool's file: MAGIC, then records one after the other. A record is its body's length and CRC-32 (both 32 bits,
// little endian), then the body: flags (8 bits), the lane's length (16 bits) and name, the payload.

export const MAGIC = Buffer.from('VARVELS1');
const HEAD_BYTES = 8;
const BODY_HEAD_BYTES = 3;
const URGENT = 1;
/** A line is at most 8 KiB; beside it there is its app. */
export const MAX_PAYLOAD_BYTES = 64 * 1024;
export const MAX_LANE_BYTES = 1024;
const MAX_BODY_BYTES = BODY_HEAD_BYTES + MAX_LANE_BYTES + MAX_PAYLOAD_BYTES;

/** What the spool needs to know of a payload: whose it is, and whether it goes before others. */
export interface RecordLabel {
  /** Order is kept within a lane; lanes take turns. At most MAX_LANE_BYTES. */
  readonly lane: string;
  readonly urgent: boolean;
}

/** Where a record stands in its file. */
export interface RecordPlace extends RecordLabel {
  readonly offset: number;
  /** Head and body. */
  readonly length: number;
}

/** Throws RangeError past the bounds above. */
export function encodeRecord({ lane, urgent }: RecordLabel, payload: Buffer): Buffer {
  const laneBytes = Buffer.from(lane);
  if (laneBytes.length > MAX_LANE_BYTES || payload.length > MAX_PAYLOAD_BYTES) {
    throw new RangeError(
      `a spool's record has ${laneBytes.length} bytes of lane and ${payload.length} of payload`,
    );
  }
  const bodyBytes = BODY_HEAD_BYTES + laneBytes.length + payload.length;
  const record = Buffer.allocUnsafe(HEAD_BYTES + bodyBytes);
  record.writeUInt32LE(bodyBytes, 0);
  record.writeUInt8(urgent ? URGENT : 0, HEAD_BYTES);
  record.writeUInt16LE(laneBytes.length, HEAD_BYTES + 1);
  laneBytes.copy(record, HEAD_BYTES + BODY_HEAD_BYTES);
  payload.copy(record, HEAD_BYTES + BODY_HEAD_BYTES + laneBytes.length);
  record.writeUInt32LE(crc32(record.subarray(HEAD_BYTES)), 4);
  return record;
}

/** The payload of a record's bytes; undefined if they are not what was written. */
export function payloadOf(record: Buffer): Buffer | undefined {
  const place = readRecord(record, 0);
  if (place?.length !== record.length) return undefined;
  return record.subarray(HEAD_BYTES + BODY_HEAD_BYTES + record.readUInt16LE(HEAD_BYTES + 1));
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
  const laneBytes = body.readUInt16LE(1);
  if (laneBytes > MAX_LANE_BYTES || BODY_HEAD_BYTES + laneBytes > bodyBytes) return undefined;
  return {
    lane: body.toString('utf8', BODY_HEAD_BYTES, BODY_HEAD_BYTES + laneBytes),
    urgent: (body.readUInt8(0) & URGENT) !== 0,
    offset,
    length: HEAD_BYTES + bodyBytes,
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
