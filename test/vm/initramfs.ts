/** A file of an initramfs; folders above it are made. */
export interface InitramfsFile {
  /** Without a leading slash. */
  readonly path: string;
  readonly content: Buffer;
  /** Permission bits; default 0o644. */
  readonly mode?: number;
}

const S_IFREG = 0o100000;
const S_IFDIR = 0o040000;
const ALIGNMENT = 4;

/**
 * A cpio archive (`newc`, as Documentation/driver-api/early-userspace/buffer-format.rst describes it) with these
 * files and empty folders, all of root, uncompressed: what the kernel unpacks as its first root file system.
 */
export function packInitramfs(
  files: readonly InitramfsFile[],
  folders: readonly string[] = [],
): Buffer {
  const parents = files.flatMap(({ path }) =>
    path
      .split('/')
      .slice(0, -1)
      .map((_, index, parts) => parts.slice(0, index + 1).join('/')),
  );
  const all = [...new Set([...parents, ...folders])].sort();
  const entries = [
    ...all.map((path) => packEntry(path, S_IFDIR | 0o755, Buffer.alloc(0))),
    ...files.map(({ path, content, mode = 0o644 }) => packEntry(path, S_IFREG | mode, content)),
    packEntry('TRAILER!!!', 0, Buffer.alloc(0)),
  ];
  return Buffer.concat(entries);
}

function packEntry(path: string, mode: number, content: Buffer): Buffer {
  const name = Buffer.from(`${path}\0`);
  const [ino, uid, gid, links, mtime, devices, check] = [0, 0, 0, 1, 0, [0, 0, 0, 0], 0];
  const fields = [
    ino,
    mode,
    uid,
    gid,
    links,
    mtime,
    content.length,
    ...devices,
    name.length,
    check,
  ];
  const header = Buffer.from(
    `070701${fields.map((value) => value.toString(16).padStart(8, '0')).join('')}`,
  );
  return Buffer.concat([padded(Buffer.concat([header, name])), padded(content)]);
}

function padded(bytes: Buffer): Buffer {
  const rest = bytes.length % ALIGNMENT;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(ALIGNMENT - rest)]);
}
