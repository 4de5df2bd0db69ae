import { readAncestors } from './ancestors.ts';
import type { RecordBytes } from './batch.ts';
import type {
  CloneDetails,
  Credentials,
  ExecDetails,
  KernelFile,
  OpenDetails,
  StandardDescriptor,
} from './event.ts';
import { readTuple } from './socket.ts';
import { CLONE, EXEC, FILE_FLAGS, HEADER, OPEN, RECORD_FLAGS, STANDARD } from './table.gen.ts';
import { packWords, readWords } from './words.ts';

/** One function per record kind: the fixed and variable parts at `at` as the event's details. */

const O_ACCMODE = 3;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_RDWR = 2;
const O_DIRECTORY = 0o200000;
/** O_TMPFILE without the O_DIRECTORY that it holds. */
const O_TMPFILE_BIT = 0o20000000;
const O_CREAT = 0o100;
const O_TRUNC = 0o1000;
const O_PATH = 0o10000000;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const CAP_DAC_OVERRIDE = 1n;

/** Credentials over the record: each is read when asked for, since most rules ask for one of them or none. */
class RecordCredentials implements Credentials {
  readonly #r: RecordBytes;
  readonly #at: number;

  constructor(r: RecordBytes, at: number) {
    this.#r = r;
    this.#at = at;
  }

  get uid(): number {
    return this.#r.number(this.#at + HEADER.uid);
  }

  get gid(): number {
    return this.#r.number(this.#at + HEADER.gid);
  }

  get euid(): number {
    return this.#r.number(this.#at + HEADER.euid);
  }

  get egid(): number {
    return this.#r.number(this.#at + HEADER.egid);
  }

  get hostUid(): number {
    return this.#r.number(this.#at + HEADER.host_uid);
  }

  get hostGid(): number {
    return this.#r.number(this.#at + HEADER.host_gid);
  }

  get hostEuid(): number {
    return this.#r.number(this.#at + HEADER.host_euid);
  }

  get hostEgid(): number {
    return this.#r.number(this.#at + HEADER.host_egid);
  }

  get loginUid(): number {
    return this.#r.int(this.#at + HEADER.loginuid);
  }

  get userNamespace(): number {
    return this.#r.number(this.#at + HEADER.userns);
  }

  get capEffective(): bigint {
    return this.#r.u64(this.#at + HEADER.cap_effective);
  }

  get capPermitted(): bigint {
    return this.#r.u64(this.#at + HEADER.cap_permitted);
  }

  get capInheritable(): bigint {
    return this.#r.u64(this.#at + HEADER.cap_inheritable);
  }
}

/** Valid as long as the record's bytes are. */
export function readCredentials(r: RecordBytes, at: number): Credentials {
  return new RecordCredentials(r, at);
}

/** Where a kind of record keeps the file's fields. */
interface FileLayout {
  readonly file_ino: number;
  readonly file_dev: number;
  readonly file_flags: number;
}

/** A file over the record; its path is decoded once, when it is asked for. */
class RecordFile implements KernelFile {
  readonly #r: RecordBytes;
  readonly #at: number;
  readonly #layout: FileLayout;
  readonly #pathAt: number;
  readonly #pathLength: number;
  readonly #flags: number;
  #path: string | undefined;

  constructor(
    r: RecordBytes,
    at: number,
    layout: FileLayout,
    pathAt: number,
    pathLength: number,
    flags: number,
  ) {
    this.#r = r;
    this.#at = at;
    this.#layout = layout;
    this.#pathAt = pathAt;
    this.#pathLength = pathLength;
    this.#flags = flags;
  }

  get path(): string {
    return (this.#path ??= this.#r.text(this.#pathAt, this.#pathLength));
  }

  get pathTruncated(): boolean {
    return (this.#flags & FILE_FLAGS.FILE_PATH_TRUNCATED) !== 0;
  }

  get detached(): boolean {
    return (this.#flags & FILE_FLAGS.FILE_DETACHED) !== 0;
  }

  get devMajor(): number {
    return this.#r.number(this.#at + this.#layout.file_dev) >>> 20;
  }

  get devMinor(): number {
    return this.#r.number(this.#at + this.#layout.file_dev) & 0xfffff;
  }

  get ino(): number {
    return this.#r.id(this.#at + this.#layout.file_ino);
  }

  get upperLayer(): boolean {
    return (this.#flags & FILE_FLAGS.FILE_UPPER_LAYER) !== 0;
  }

  get lowerLayer(): boolean {
    return (this.#flags & FILE_FLAGS.FILE_LOWER_LAYER) !== 0;
  }

  get memfd(): boolean {
    return (this.#flags & FILE_FLAGS.FILE_MEMFD) !== 0;
  }

  get unlinked(): boolean {
    return (this.#flags & FILE_FLAGS.FILE_UNLINKED) !== 0;
  }
}

/** The file of a record whose kind keeps one; undefined when there was none. */
export function readFile(
  r: RecordBytes,
  at: number,
  layout: FileLayout,
  pathAt: number,
  pathLength: number,
): KernelFile | undefined {
  const flags = r.number(at + layout.file_flags);
  if ((flags & FILE_FLAGS.FILE_KNOWN) === 0) return undefined;
  return new RecordFile(r, at, layout, pathAt, pathLength, flags);
}

/** An open over the record, like its credentials: the paths are decoded once, when they are asked for. */
class RecordOpen implements OpenDetails {
  readonly #r: RecordBytes;
  readonly #at: number;
  readonly flags: number;
  #file: KernelFile | undefined;
  #fileRead = false;
  /** The path that was passed is that of the file. */
  #passed = false;
  #rawPath: string | undefined;

  constructor(r: RecordBytes, at: number) {
    this.#r = r;
    this.#at = at;
    this.flags = r.number(at + OPEN.open_flags);
  }

  get file(): KernelFile | undefined {
    if (!this.#fileRead) {
      const r = this.#r;
      const at = this.#at;
      const rawAt = at + OPEN.end;
      const rawLength = r.short(at + OPEN.raw_len);
      const length = r.short(at + OPEN.path_len);
      // Most opens pass the path that the kernel's file has, and the first of them is aligned: it is read faster.
      this.#passed = length === rawLength && r.areEqual(rawAt, rawAt + length, length);
      this.#file = readFile(r, at, OPEN, this.#passed ? rawAt : rawAt + rawLength, length);
      this.#fileRead = true;
    }
    return this.#file;
  }

  get rawPath(): string {
    return (this.#rawPath ??= this.#readRawPath());
  }

  #readRawPath(): string {
    const { file } = this;
    if (file !== undefined && this.#passed) return file.path;
    return this.#r.text(this.#at + OPEN.end, this.#r.short(this.#at + OPEN.raw_len));
  }

  get rawPathTruncated(): boolean {
    return (this.#r.number(this.#at + OPEN.flags) & RECORD_FLAGS.RAW_TRUNCATED) !== 0;
  }

  get directoryPath(): string {
    const r = this.#r;
    const at = this.#at;
    const length = r.short(at + OPEN.dir_len);
    if (length === 0) return '';
    return r.text(at + OPEN.end + r.short(at + OPEN.raw_len) + r.short(at + OPEN.path_len), length);
  }

  get dirFd(): number {
    return this.#r.int(this.#at + OPEN.dirfd);
  }

  get mode(): number {
    const creates = !this.#pathOnly && (this.flags & (O_CREAT | O_TMPFILE_BIT)) !== 0;
    return creates ? this.#r.number(this.#at + OPEN.mode) : 0;
  }

  get resolve(): number {
    return this.#r.number(this.#at + OPEN.resolve);
  }

  get created(): boolean {
    return (this.#r.number(this.#at + OPEN.file_flags) & FILE_FLAGS.FILE_CREATED) !== 0;
  }

  get forRead(): boolean {
    const access = this.flags & O_ACCMODE;
    return !this.#pathOnly && (access === O_RDONLY || access === O_RDWR);
  }

  get forWrite(): boolean {
    const access = this.flags & O_ACCMODE;
    const changes = (this.flags & (O_CREAT | O_TRUNC)) !== 0;
    return !this.#pathOnly && (access === O_WRONLY || access === O_RDWR || changes);
  }

  get directory(): boolean {
    return this.file === undefined
      ? (this.flags & (O_DIRECTORY | O_TMPFILE_BIT)) === O_DIRECTORY
      : (this.#r.number(this.#at + OPEN.file_mode) & S_IFMT) === S_IFDIR;
  }

  get #pathOnly(): boolean {
    return (this.flags & O_PATH) !== 0;
  }
}

/** Valid as long as the record's bytes are. */
export function readOpen(r: RecordBytes, at: number): OpenDetails {
  return new RecordOpen(r, at);
}

/** Could the process write to the file it runs: by the mode bits, or because CAP_DAC_OVERRIDE ignores them. */
function isWritable(r: RecordBytes, at: number): boolean {
  const mode = r.number(at + EXEC.file_mode);
  if (((r.u64(at + HEADER.cap_effective) >> CAP_DAC_OVERRIDE) & 1n) === 1n) return true;
  if (r.number(at + EXEC.file_uid) === r.number(at + HEADER.host_euid)) return (mode & 0o200) !== 0;
  if (r.number(at + EXEC.file_gid) === r.number(at + HEADER.host_egid)) return (mode & 0o020) !== 0;
  return (mode & 0o002) !== 0;
}

/** By the type bits of i_mode, shifted as the record has them. */
const STANDARD_TYPES: ReadonlyMap<number, string> = new Map([
  [0o01, 'pipe'],
  [0o02, 'file'],
  [0o04, 'directory'],
  [0o06, 'file'],
  [0o10, 'file'],
]);
const STANDARD_FAMILIES: ReadonlyMap<number, string> = new Map([
  [STANDARD.STANDARD_UNIX, 'unix'],
  [STANDARD.STANDARD_IPV4, 'ipv4'],
  [STANDARD.STANDARD_IPV6, 'ipv6'],
]);

/** Cache limit: without a connection there are few combinations of descriptors. */
const STANDARD_CACHED = 256;
const standards = new Map<number, readonly StandardDescriptor[]>();

function readStandard(r: RecordBytes, at: number): readonly StandardDescriptor[] {
  const all = r.number(at + EXEC.standard);
  const known = standards.get(all);
  if (known !== undefined) return known;
  const connected = (r.number(at + EXEC.flags) & RECORD_FLAGS.CONNECTED) !== 0;
  const found = [0, 1, 2].map((fd) => {
    const what = (all >>> (8 * fd)) & 0xff;
    const described = (what & STANDARD.STANDARD_DESCRIBED) !== 0;
    return {
      type:
        STANDARD_FAMILIES.get(what & STANDARD.STANDARD_FAMILY) ?? STANDARD_TYPES.get(what & 0o17),
      tuple: described ? readTuple(r, at, EXEC, '') : undefined,
      connected: described && connected,
    };
  });
  if (found.every(({ tuple }) => tuple === undefined)) {
    if (standards.size >= STANDARD_CACHED) standards.clear();
    standards.set(all, found);
  }
  return found;
}

/** Valid as long as the record's bytes are: the words are decoded once, when they are asked for. */
export function readExec(r: RecordBytes, at: number, failed: boolean): ExecDetails {
  const exesLength = r.short(at + EXEC.exes_len);
  const ancestorsLength = r.short(at + EXEC.ancestors_len);
  const rawLength = r.short(at + EXEC.raw_len);
  const pathLength = r.short(at + EXEC.path_len);
  const cwdLength = r.short(at + EXEC.cwd_len);
  const rawAt = at + EXEC.end + exesLength + ancestorsLength;
  const pathAt = rawAt + rawLength;
  const cwdAt = pathAt + pathLength;
  const argvAt = cwdAt + cwdLength;
  const argvLength = r.short(at + EXEC.argv_len);
  const envLength = r.short(at + EXEC.env_len);
  let argv: readonly string[] | undefined;
  let env: readonly string[] | undefined;
  return {
    file: readFile(r, at, EXEC, pathAt, pathLength),
    filename: r.text(rawAt, rawLength),
    parentsProgram: (r.number(at + EXEC.flags) & RECORD_FLAGS.PARENTS_PROGRAM) !== 0,
    writable: !failed && isWritable(r, at),
    get argv(): readonly string[] {
      return (argv ??= readWords(r, argvAt, argvLength));
    },
    argvTruncated: (r.number(at + EXEC.flags) & RECORD_FLAGS.ARGV_TRUNCATED) !== 0,
    cwd: r.text(cwdAt, cwdLength),
    get env(): readonly string[] | undefined {
      if (envLength === 0) return undefined;
      return (env ??= readWords(r, argvAt + argvLength, envLength));
    },
    packed: () => ({
      argv: packWords(r, argvAt, argvLength),
      env: envLength === 0 ? undefined : packWords(r, argvAt + argvLength, envLength),
    }),
    envTruncated: (r.number(at + EXEC.flags) & RECORD_FLAGS.ENV_TRUNCATED) !== 0,
    fileCtimeNs: r.u64(at + EXEC.file_ctime),
    fileMtimeNs: r.u64(at + EXEC.file_mtime),
    pidNamespaceStartBootNs: r.u64(at + EXEC.pidns_start),
    standard: failed ? [] : readStandard(r, at),
    ancestors: readAncestors(r, at + EXEC.end, exesLength, ancestorsLength),
    pgid: r.number(at + EXEC.pgid),
    vpgid: r.number(at + EXEC.vpgid),
    sid: r.number(at + EXEC.sid),
    vsid: r.number(at + EXEC.vsid),
  };
}

export function readClone(r: RecordBytes, at: number): CloneDetails {
  const flags = r.number(at + CLONE.flags);
  const exesLength = r.short(at + CLONE.exes_len);
  const ancestorsLength = r.short(at + CLONE.ancestors_len);
  return {
    flags: r.u64(at + CLONE.clone_flags),
    childPid: r.number(at + CLONE.child_pid),
    childTid: r.number(at + CLONE.child_tid),
    childVpid: r.number(at + CLONE.child_vpid),
    childVtid: r.number(at + CLONE.child_vtid),
    childStartBootNs: r.u64(at + CLONE.child_start),
    parentInScope: (flags & RECORD_FLAGS.PARENT_OUT_OF_SCOPE) === 0,
    ...(ancestorsLength > 0
      ? { ancestors: readAncestors(r, at + CLONE.end, exesLength, ancestorsLength) }
      : {}),
  };
}
