import { TextCache } from './text-cache.ts';

/** One for the whole process: texts repeat across batches and containers. */
const TEXTS = new TextCache();

/** Record bytes as the loader hands them over: 8-byte aligned, little-endian (x86-64). */
export class RecordBytes {
  readonly u32: Uint32Array;
  readonly u16: Uint16Array;
  readonly i32: Int32Array;
  readonly bytes: Buffer;
  readonly view: DataView;

  constructor(buffer: ArrayBuffer) {
    this.u32 = new Uint32Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.bytes = Buffer.from(buffer);
    this.view = new DataView(buffer);
  }

  /** Unsigned 64 bits; `at` is a multiple of 4. */
  u64(at: number): bigint {
    const word = at >> 2;
    return (BigInt(this.u32[word + 1] ?? 0) << 32n) | BigInt(this.u32[word] ?? 0);
  }

  /** Unsigned 64 bits as a number: exact up to 2^53 (ids and counts are; nanoseconds are not). */
  id(at: number): number {
    const word = at >> 2;
    return (this.u32[word + 1] ?? 0) * 4294967296 + (this.u32[word] ?? 0);
  }

  /** Signed 64 bits as a number, exact between ±2^53. */
  signed(at: number): number {
    const word = at >> 2;
    return (this.i32[word + 1] ?? 0) * 4294967296 + (this.u32[word] ?? 0);
  }

  number(at: number): number {
    return this.u32[at >> 2] ?? 0;
  }

  int(at: number): number {
    return this.i32[at >> 2] ?? 0;
  }

  short(at: number): number {
    return this.u16[at >> 1] ?? 0;
  }

  /** Bytes as text for matching (`decodeText`). */
  text(at: number, length: number): string {
    return TEXTS.decode(this, at, length);
  }

  /** Are the bytes at both places the same? */
  areEqual(one: number, other: number, length: number): boolean {
    const { view } = this;
    let done = 0;
    for (; done + 4 <= length; done += 4) {
      if (view.getInt32(one + done) !== view.getInt32(other + done)) return false;
    }
    for (; done < length; done++) {
      if (view.getUint8(one + done) !== view.getUint8(other + done)) return false;
    }
    return true;
  }

  /** A NUL-padded field of 16 bytes. */
  comm(at: number): string {
    let length = 0;
    while (length < 16 && this.bytes[at + length] !== 0) length++;
    return this.text(at, length);
  }
}
