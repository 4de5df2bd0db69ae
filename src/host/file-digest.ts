import { createHash } from 'node:crypto';
import { closeSync, constants, read, type BigIntStats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { openMemoryFile } from 'ebpf-loader-napi';
import { isLayered, isLocal, MAX_MOUNTS_BYTES, mountOf, mountsIn, type Mount } from './mounts.ts';

const readAsync = promisify(read);

/** Between two chunks the event loop has its turn; one takes some 0.2 ms to hash. */
const CHUNK_BYTES = 128 * 1024;
/** A regular file, whole. */
export interface FileDigest {
  /** Hexadecimal. */
  readonly sha256: string;
  readonly bytes: number;
}

export interface DigestOptions {
  readonly maxBytes: number;
  /** Asked before each chunk; it ends as `undefined` once this is false. */
  readonly isWanted: () => boolean;
  /** Told of each chunk. */
  readonly onRead?: ((bytes: number) => void) | undefined;
}

/** Which file it must be: its inode, and where it is known the time of its last change (Unix ns), which nobody can set. */
export interface FileState {
  readonly ino: number;
  readonly changedNs?: bigint;
}

/**
 * The SHA-256 of an open file (also one opened with O_PATH). Returns a reason if it has none, and undefined if it is no longer wanted.
 * `state`: of which file it must be. Call `reasonAgainst` before: a read may never return.
 */
export async function digestOf(
  fd: number,
  { maxBytes, isWanted, onRead }: DigestOptions,
  state?: FileState,
): Promise<FileDigest | string | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await file.stat({ bigint: true });
    if (!stat.isFile()) return 'no regular file';
    if (state !== undefined && !isThat(stat, state)) return 'it is another file by now';
    if (stat.size > maxBytes) return `${stat.size} bytes, more than ${maxBytes}`;
    return await hashed(file, { maxBytes, isWanted, onRead });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  } finally {
    await file?.close();
  }
}

const isThat = (stat: BigIntStats, { ino, changedNs }: FileState): boolean =>
  Number(stat.ino) === ino && (changedNs === undefined || stat.ctimeNs === changedNs);

async function hashed(
  file: FileHandle,
  { maxBytes, isWanted, onRead }: DigestOptions,
): Promise<FileDigest | string | undefined> {
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let bytes = 0; isWanted();) {
    const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, bytes);
    bytes += bytesRead;
    onRead?.(bytesRead);
    if (bytes > maxBytes) return `it grows beyond ${maxBytes} bytes`;
    if (bytesRead === 0) return { sha256: hash.digest('hex'), bytes };
    hash.update(chunk.subarray(0, bytesRead));
  }
  return undefined;
}

/**
 * Why an open file is not to be read: reading it could wait for a container, or for the network, and would then hold one of the agent's
 * few threads for good. Undefined if it may be read. `mounts`: /proc/PID/mountinfo of the process that has it open, opened. `hosts`:
 * processes in whose namespaces only the host or a runtime mounts.
 */
export async function reasonAgainst(
  fd: number,
  mounts: number,
  hosts: readonly number[],
): Promise<string | undefined> {
  try {
    const id = mountOf(fd);
    if (id !== undefined && id === mountOfMemory()) return undefined;
    const mount = mountsIn(await firstBytes(mounts)).find((one) => one.id === id);
    if (mount === undefined) return 'its mount is not known';
    if (isLocal(mount)) return undefined;
    if (!isLayered(mount)) return `a file system ${mount.type} may never answer`;
    for (const pid of hosts) if (await hasMounted(pid, mount)) return undefined;
    return 'its overlay is not one of the container runtime';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}

/** All files in memory (memfd_create) are in one, which is in no list. */
function mountOfMemory(): string | undefined {
  const fd = openMemoryFile();
  try {
    return mountOf(fd);
  } finally {
    closeSync(fd);
  }
}

async function hasMounted(pid: number, { device, type }: Mount): Promise<boolean> {
  try {
    const file = await open(`/proc/${pid}/mountinfo`);
    try {
      return mountsIn(await firstBytes(file.fd)).some(
        (one) => one.device === device && one.type === type,
      );
    } finally {
      await file.close();
    }
  } catch {
    // It has ended.
    return false;
  }
}

async function firstBytes(fd: number): Promise<string> {
  const chunks: Buffer[] = [];
  for (let length = 0; length < MAX_MOUNTS_BYTES;) {
    const { bytesRead, buffer } = await readAsync(
      fd,
      Buffer.allocUnsafe(CHUNK_BYTES),
      0,
      CHUNK_BYTES,
      length,
    );
    if (bytesRead === 0) break;
    chunks.push(buffer.subarray(0, bytesRead));
    length += bytesRead;
  }
  return Buffer.concat(chunks).toString('latin1');
}
