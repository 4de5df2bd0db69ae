import { absolutePath } from '../shared/path.ts';
import { formatUnixPath, parseSockaddr } from './address.ts';
import type { RecordBytes } from './batch.ts';
import { readFile } from './details.ts';
import type { CallDetails, KernelFile, SocketAddress, SocketDetails } from './event.ts';
import { readTuple } from './socket.ts';
import { CALL, RECORD_FLAGS } from './table.gen.ts';

const AF_UNIX = 1;

/** Where the lengths of the variable parts are, in the order of the parts. */
const LENGTHS = [
  CALL.raw1_len,
  CALL.raw2_len,
  CALL.raw3_len,
  CALL.dir1_len,
  CALL.dir2_len,
  CALL.dir3_len,
  CALL.path_len,
  CALL.addr_len,
  CALL.unix_len,
  CALL.data_len,
] as const;
const DIR = 3;
const PATH = 6;
const ADDR = 7;
const UNIX = 8;
const DATA = 9;

/** A call over the record: what it holds is decoded when it is asked for. Valid as long as the record's bytes are. */
class RecordCall implements CallDetails {
  readonly #r: RecordBytes;
  readonly #at: number;
  readonly #flags: number;
  #file: KernelFile | undefined;
  #fileRead = false;
  #socket: SocketDetails | undefined;
  #socketRead = false;

  constructor(r: RecordBytes, at: number) {
    this.#r = r;
    this.#at = at;
    this.#flags = r.number(at + CALL.flags);
  }

  arg(n: number): bigint {
    return this.#r.u64(this.#at + CALL.arg1 + 8 * (n - 1));
  }

  int(n: number): number {
    return this.#r.int(this.#at + CALL.arg1 + 8 * (n - 1));
  }

  text(n: number): string {
    return this.#part(n - 1);
  }

  directory(n: number): string {
    return this.#part(DIR + n - 1);
  }

  path(n: number): string | undefined {
    return this.textTruncated ? undefined : absolutePath(this.text(n), this.directory(n));
  }

  get textTruncated(): boolean {
    return this.#has(RECORD_FLAGS.RAW_TRUNCATED | RECORD_FLAGS.CWD_TRUNCATED);
  }

  get textUnreadable(): boolean {
    return this.#has(RECORD_FLAGS.RAW_UNREADABLE);
  }

  get fd(): number {
    return this.#r.int(this.#at + CALL.fd);
  }

  get file(): KernelFile | undefined {
    if (!this.#fileRead) {
      this.#file = readFile(this.#r, this.#at, CALL, this.#startOf(PATH), this.#lengthOf(PATH));
      this.#fileRead = true;
    }
    return this.#file;
  }

  get fileFlags(): number {
    return this.#r.number(this.#at + CALL.file_flags);
  }

  get fileMode(): number {
    return this.#r.number(this.#at + CALL.file_mode);
  }

  get socket(): SocketDetails | undefined {
    if (!this.#socketRead) {
      this.#socket = this.#readSocket();
      this.#socketRead = true;
    }
    return this.#socket;
  }

  get address(): SocketAddress | undefined {
    return parseSockaddr(this.#bytes(ADDR));
  }

  get data(): Buffer {
    return this.#bytes(DATA);
  }

  get size(): number {
    return this.#r.number(this.#at + CALL.size);
  }

  get queueLength(): number {
    return this.#r.number(this.#at + CALL.queue_len);
  }

  get queueMax(): number {
    return this.#r.number(this.#at + CALL.queue_max);
  }

  #readSocket(): SocketDetails | undefined {
    const r = this.#r;
    const at = this.#at;
    const socketType = r.short(at + CALL.socket_type);
    if (socketType === 0) return undefined;
    const family = r.short(at + CALL.family);
    return {
      family,
      protocol: r.short(at + CALL.protocol),
      socketType,
      tuple: this.#has(RECORD_FLAGS.TUPLE_KNOWN)
        ? readTuple(r, at, CALL, this.#unixPath(family))
        : undefined,
      connected: this.#has(RECORD_FLAGS.CONNECTED),
      peerChanged: this.#has(RECORD_FLAGS.PEER_CHANGED),
    };
  }

  /** The address in a message of an unconnected socket; otherwise that of the kernel's socket. */
  #unixPath(family: number): string {
    if (family !== AF_UNIX) return '';
    // One that was refused has the name of the socket that the verdict was about.
    const isKnown = this.#has(RECORD_FLAGS.CONNECTED | RECORD_FLAGS.DENIED);
    const named = isKnown ? undefined : this.address;
    if (named?.family === AF_UNIX && named.unixPath !== '') return named.unixPath;
    return formatUnixPath(this.#bytes(UNIX));
  }

  #has(flags: number): boolean {
    return (this.#flags & flags) !== 0;
  }

  #lengthOf(part: number): number {
    return this.#r.short(this.#at + (LENGTHS[part] ?? 0));
  }

  #startOf(part: number): number {
    let start = this.#at + CALL.end;
    for (let before = 0; before < part; before++) start += this.#lengthOf(before);
    return start;
  }

  #part(part: number): string {
    return this.#r.text(this.#startOf(part), this.#lengthOf(part));
  }

  #bytes(part: number): Buffer {
    const start = this.#startOf(part);
    return this.#r.bytes.subarray(start, start + this.#lengthOf(part));
  }
}

/** Valid as long as the record's bytes are. */
export function readCall(r: RecordBytes, at: number): CallDetails {
  return new RecordCall(r, at);
}
