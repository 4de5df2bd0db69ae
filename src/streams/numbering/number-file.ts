import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  ftruncateSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { crc32 } from 'node:zlib';
import { openOwnFile } from '../../host/own-file.ts';

// A file of fixed size: a header and slots of 64 bytes each, written in place, one system call a slot. What was written is
// in the kernel's hands: it outlives the process, however that ends. Within 64 bytes: CRC-32 of the rest (32 bits, little
// endian), a mark, then what is below. Numbers are doubles: whole ones are exact up to 2^53.

const SLOT_BYTES = 64;
const HEADER_MARK = 0x314e5356; // "VSN1"
const SLOT_MARK = 0x53;
const NAME = 'numbers';
/** Of a key's SHA-256. */
export const KEY_BYTES = 24;

/** What one app instance's lines are numbered up to. */
export interface Slot {
  readonly index: number;
  /** Hexadecimal. */
  readonly key: string;
  /** The last number that was given. */
  readonly given: number;
  /** All numbers up to this one are done: written, or reported as missing. */
  readonly settled: number;
  /** Unix ms of the last one. */
  readonly usedMs: number;
}

/** What the file says besides its slots. */
export interface Header {
  /** Of the boot in which it was written. */
  readonly bootId: string;
  /** Numbers of instances that are not in the file are above this one. */
  readonly floor: number;
  /** Everything was brought to the disk. */
  readonly clean: boolean;
}

/** The file in which an agent's numbers outlive it. */
export class NumberFile {
  readonly #fd: number;
  readonly #bytes = Buffer.alloc(SLOT_BYTES);
  #syncing = false;
  #wanted = false;
  #closed = false;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Opens the file in the agent's own folder, or creates it. Anything else of that name, or a larger file, is set aside.
   * `isWhole` is false if numbers may have been given that the file does not show. Throws the file system's error.
   */
  static open(
    folder: string,
    slots: number,
  ): {
    readonly file: NumberFile;
    readonly isNew: boolean;
    readonly isWhole: boolean;
    readonly header: Header | undefined;
    readonly slots: readonly Slot[];
    readonly setAside: string | undefined;
  } {
    const size = (slots + 1) * SLOT_BYTES;
    const { fd, isNew, size: found, setAside } = openOwnFile(folder, NAME, size);
    try {
      const bytes = Buffer.alloc(size);
      readFileSync(fd).copy(bytes);
      // All of it now: a disk that is full later takes nothing away.
      if (found < size) writeAll(fd, bytes, found);
      const header = headerIn(bytes);
      const { slots, damaged } = slotsIn(bytes);
      const isWhole = isNew || (header !== undefined && damaged === 0);
      return { file: new NumberFile(fd), isNew, isWhole, header, slots, setAside };
    } catch (error) {
      // Restores its size, so that it does not look damaged.
      ftruncateSync(fd, found);
      closeSync(fd);
      if (isNew) rmSync(`${folder}/${NAME}`, { force: true });
      throw error;
    }
  }

  /** Replaces everything in it. Throws the file system's error. */
  rewrite(header: Header, slots: readonly Slot[], size: number): void {
    const bytes = Buffer.alloc((size + 1) * SLOT_BYTES);
    this.#header(header).copy(bytes);
    for (const slot of slots) this.#slot(slot).copy(bytes, (slot.index + 1) * SLOT_BYTES);
    writeAll(this.#fd, bytes, 0);
  }

  /** Throws the file system's error. */
  writeSlot(slot: Slot): void {
    this.#write(this.#slot(slot), slot.index + 1);
  }

  /** Throws the file system's error. */
  writeHeader(header: Header): void {
    this.#write(this.#header(header), 0);
  }

  /** Syncs to disk, in the background. One sync at a time: calls meanwhile cause one more. */
  sync(): void {
    this.#wanted = true;
    if (this.#syncing) return;
    this.#syncing = true;
    this.#wanted = false;
    fdatasync(this.#fd, () => {
      this.#syncing = false;
      if (this.#closed) closeSync(this.#fd);
      else if (this.#wanted) this.sync();
    });
  }

  syncNow(): void {
    fdatasyncSync(this.#fd);
  }

  close(): void {
    this.#closed = true;
    // A running sync still needs the descriptor: after close, its number could be another file's.
    if (!this.#syncing) closeSync(this.#fd);
  }

  #slot({ key, given, settled, usedMs }: Slot): Buffer {
    const bytes = this.#bytes.fill(0);
    bytes.writeUInt32LE(SLOT_MARK, 4);
    bytes.write(key, 8, 'hex');
    bytes.writeDoubleLE(given, 32);
    bytes.writeDoubleLE(settled, 40);
    bytes.writeDoubleLE(usedMs, 48);
    return checked(bytes);
  }

  #header({ bootId, floor, clean }: Header): Buffer {
    const bytes = this.#bytes.fill(0);
    bytes.writeUInt32LE(HEADER_MARK, 4);
    bytes.writeDoubleLE(floor, 8);
    bytes.writeUInt8(clean ? 1 : 0, 16);
    bytes.write(bootId, 24, 40, 'latin1');
    return checked(bytes);
  }

  #write(bytes: Buffer, position: number): void {
    writeSync(this.#fd, bytes, 0, SLOT_BYTES, position * SLOT_BYTES);
  }
}

function checked(bytes: Buffer): Buffer {
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

/** A nearly full disk writes only a part, and reports the error with the next call. */
function writeAll(fd: number, bytes: Buffer, from: number): void {
  for (let at = from; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, at);
}

function headerIn(bytes: Buffer): Header | undefined {
  const header = bytes.subarray(0, SLOT_BYTES);
  if (!isWhole(header, HEADER_MARK)) return undefined;
  return {
    floor: header.readDoubleLE(8),
    clean: header.readUInt8(16) === 1,
    bootId: header.toString('latin1', 24).replace(/\0+$/, ''),
  };
}

function slotsIn(bytes: Buffer): { readonly slots: readonly Slot[]; readonly damaged: number } {
  const slots: Slot[] = [];
  let damaged = 0;
  for (let index = 0; (index + 2) * SLOT_BYTES <= bytes.length; index++) {
    const slot = bytes.subarray((index + 1) * SLOT_BYTES, (index + 2) * SLOT_BYTES);
    if (isWhole(slot, SLOT_MARK)) {
      slots.push({
        index,
        key: slot.toString('hex', 8, 8 + KEY_BYTES),
        given: slot.readDoubleLE(32),
        settled: slot.readDoubleLE(40),
        usedMs: slot.readDoubleLE(48),
      });
    } else if (slot.some((byte) => byte !== 0)) damaged++;
  }
  return { slots, damaged };
}

function isWhole(bytes: Buffer, mark: number): boolean {
  return bytes.readUInt32LE(4) === mark && bytes.readUInt32LE(0) === crc32(bytes.subarray(4));
}
