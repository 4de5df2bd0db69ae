import {
  closeSync,
  constants,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { crc32 } from 'node:zlib';

// A file of fixed size: a header and slots of 64 bytes each, written in place, one system call a slot. What was written is
// in the kernel's hands: it outlives the process, however that ends. Within 64 bytes: CRC-32 of the rest (32 bits, little
// endian), a mark, then what is below. Numbers are doubles: whole ones are exact up to 2^53.

const SLOT_BYTES = 64;
const HEADER_MARK = 0x314e5356; // "VSN1"
const SLOT_MARK = 0x53;
const FILE_MODE = 0o600;
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
  /** All up to this one need no more care: written, or told as missing. */
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
   * Opens or makes it. `header` is undefined and `slots` lacks one where the file does not hold what was written; `isNew`: it
   * was not there. Throws the file system's error, or an Error if it is no regular file of one name that is ours.
   */
  static open(
    folder: string,
    slots: number,
  ): {
    readonly file: NumberFile;
    readonly isNew: boolean;
    readonly header: Header | undefined;
    readonly slots: readonly Slot[];
    readonly damaged: number;
  } {
    const { O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDWR } = constants;
    const path = `${folder}/${NAME}`;
    const fd = openSync(path, O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_RDWR, FILE_MODE);
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile() || stat.nlink !== 1 || stat.uid !== process.geteuid?.())
        throw new Error(`the file ${NAME} in it is not a file of this agent's`);
      const size = (slots + 1) * SLOT_BYTES;
      if (stat.size > size)
        throw new Error(`the file ${NAME} in it is larger than an agent makes it`);
      const bytes = Buffer.alloc(size);
      const read = readFileSync(fd);
      read.copy(bytes);
      // All of it now: a disk that is full later takes nothing away.
      if (read.length < size) writeSync(fd, bytes, read.length, size - read.length, read.length);
      return {
        file: new NumberFile(fd),
        isNew: read.length === 0,
        ...{ header: headerIn(bytes), ...slotsIn(bytes) },
      };
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Throws the file system's error. */
  writeSlot({ index, key, given, settled, usedMs }: Slot): void {
    const bytes = this.#bytes.fill(0);
    bytes.writeUInt32LE(SLOT_MARK, 4);
    bytes.write(key, 8, 'hex');
    bytes.writeDoubleLE(given, 32);
    bytes.writeDoubleLE(settled, 40);
    bytes.writeDoubleLE(usedMs, 48);
    this.#write(index + 1);
  }

  /** Throws the file system's error. */
  writeHeader({ bootId, floor, clean }: Header): void {
    const bytes = this.#bytes.fill(0);
    bytes.writeUInt32LE(HEADER_MARK, 4);
    bytes.writeDoubleLE(floor, 8);
    bytes.writeUInt8(clean ? 1 : 0, 16);
    bytes.write(bootId, 24, 40, 'latin1');
    this.#write(0);
  }

  /** Brings what is written to the disk, beside what goes on. One at a time: calls meanwhile make one more. */
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
    // The descriptor's number may be another file's before that one is done.
    if (!this.#syncing) closeSync(this.#fd);
  }

  #write(position: number): void {
    this.#bytes.writeUInt32LE(crc32(this.#bytes.subarray(4)), 0);
    writeSync(this.#fd, this.#bytes, 0, SLOT_BYTES, position * SLOT_BYTES);
  }
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
