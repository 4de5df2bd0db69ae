// Records as the probe writes them, from the event table itself: an encoder for tests of the decoder.
import { RecordBytes } from '../../../src/events/batch.ts';
import { EVENT_NAMES, type EventName } from '../../../src/events/table.gen.ts';
import { WireEvent } from '../../../src/events/wire-event.ts';

type Field = readonly [name: string, type: string, doc: string];
interface Table {
  readonly HEADER: readonly Field[];
  readonly KINDS: readonly {
    readonly name: string;
    readonly fixed: readonly Field[];
    readonly variable: readonly (readonly [name: string, doc: string])[];
  }[];
}

const path: string = '../../../native/schema/table.mjs';
const table = (await import(path)) as Table;

export type Values = Readonly<Record<string, number | bigint | Buffer>>;

const SIZES: Readonly<Record<string, number>> = {
  u16: 2,
  u32: 4,
  s32: 4,
  u64: 8,
  s64: 8,
  char16: 16,
  bytes16: 16,
};

/** The fields with the alignment of C, zero where no value is given. */
function layOut(fields: readonly Field[], values: Values, base: number): Buffer {
  const parts: Buffer[] = [];
  let at = base;
  for (const [name, type] of fields) {
    const size = SIZES[type] ?? 0;
    const align = size === 16 ? 1 : size;
    const padding = (align - (at % align)) % align;
    const bytes = Buffer.alloc(padding + size);
    const value = values[name] ?? 0;
    if (Buffer.isBuffer(value)) value.copy(bytes, padding);
    else if (size === 8) bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), padding);
    else if (size === 4) bytes.writeUInt32LE(Number(value) >>> 0, padding);
    else bytes.writeUInt16LE(Number(value), padding);
    parts.push(bytes);
    at += bytes.length;
  }
  const rest = (8 - (at % 8)) % 8;
  return Buffer.concat([...parts, Buffer.alloc(rest)]);
}

/** One record. `variable` holds the parts; their lengths are filled in. */
export function buildRecord(
  kind: string,
  event: EventName,
  header: Values,
  fixed: Values = {},
  variable: Readonly<Record<string, Buffer>> = {},
): Buffer {
  const number = table.KINDS.findIndex((one) => one.name === kind);
  const layout = table.KINDS[number];
  if (layout === undefined) throw new Error(`no kind ${kind}`);
  const lengths = layout.variable.map(([name]): Field => [`${name}_len`, 'u16', '']);
  const lengthValues = Object.fromEntries(
    layout.variable.map(([name]) => [`${name}_len`, variable[name]?.length ?? 0]),
  );
  const head = layOut(
    table.HEADER,
    { ...header, kind: number + 1, event: EVENT_NAMES.indexOf(event) },
    0,
  );
  const body = layOut([...layout.fixed, ...lengths], { ...fixed, ...lengthValues }, head.length);
  const parts = layout.variable.map(([name]) => variable[name] ?? Buffer.alloc(0));
  const record = Buffer.concat([head, body, ...parts]);
  const whole = Buffer.concat([record, Buffer.alloc((8 - (record.length % 8)) % 8)]);
  whole.writeUInt32LE(whole.length, 0);
  return whole;
}

/** Bytes in a buffer of their own, padded to 8, as the loader hands them over. */
export function recordBytes(...records: readonly Buffer[]): RecordBytes {
  const all = Buffer.concat(records);
  const buffer = new ArrayBuffer((all.length + 7) & ~7);
  all.copy(Buffer.from(buffer));
  return new RecordBytes(buffer);
}

/** The event of a single record. */
export function eventOf(record: Buffer, unixMinusBootNs = 0n): WireEvent {
  const event = new WireEvent(recordBytes(record), { unixMinusBootNs });
  event.moveTo(0, 1);
  return event;
}
