import { FILE_FLAGS } from './table.gen.ts';

/** Bits and their names in the order in which Falco prints them. */
type FlagNames = readonly (readonly [bit: number, name: string])[];

// x86-64 values (include/uapi/asm-generic/fcntl.h); O_SYNC holds O_DSYNC's bit, O_TMPFILE O_DIRECTORY's.
const OPEN_FLAGS: FlagNames = [
  [0o100000, 'O_LARGEFILE'],
  [0o200000, 'O_DIRECTORY'],
  [0o40000, 'O_DIRECT'],
  [0o1000, 'O_TRUNC'],
  [0o4010000, 'O_SYNC'],
  [0o4000, 'O_NONBLOCK'],
  [0o200, 'O_EXCL'],
  [0o10000, 'O_DSYNC'],
  [0o2000, 'O_APPEND'],
  [0o100, 'O_CREAT'],
];
const O_CLOEXEC = 0o2000000;
const O_TMPFILE = 0o20200000;
const ACCESS_NAMES = ['O_RDONLY', 'O_WRONLY', 'O_RDWR', 'O_NONE'];

const RESOLVE_FLAGS: FlagNames = [
  [0x08, 'RESOLVE_BENEATH'],
  [0x10, 'RESOLVE_IN_ROOT'],
  [0x02, 'RESOLVE_NO_MAGICLINKS'],
  [0x04, 'RESOLVE_NO_SYMLINKS'],
  [0x01, 'RESOLVE_NO_XDEV'],
  [0x20, 'RESOLVE_CACHED'],
];

function names(value: number, table: FlagNames): string[] {
  return table.filter(([bit]) => (value & bit) === (bit | 0)).map(([, name]) => name);
}

/** Texts of opens' flags that are kept: programs open with a handful of combinations. */
const MAX_KEPT = 512;
const keptOpenFlags = new Map<number, string>();

/** What Falco prints for `evt.arg.flags` of an open: names joined by `|`. */
export function openFlagsText(flags: number, fileFlags: number): string {
  // Exact: both together have less than 53 bits.
  const key = (flags >>> 0) * FLAGS_LIMIT + (fileFlags & (FLAGS_LIMIT - 1));
  const kept = keptOpenFlags.get(key);
  if (kept !== undefined) return kept;
  const text = nameOpenFlags(flags, fileFlags);
  if (keptOpenFlags.size >= MAX_KEPT) keptOpenFlags.clear();
  keptOpenFlags.set(key, text);
  return text;
}

/** More than any of FILE_FLAGS. */
const FLAGS_LIMIT = 0x10000;

function nameOpenFlags(flags: number, fileFlags: number): string {
  const parts = names(flags, OPEN_FLAGS);
  parts.push(ACCESS_NAMES[flags & 3] ?? 'O_RDONLY');
  if ((flags & O_CLOEXEC) !== 0) parts.push('O_CLOEXEC');
  if ((flags & O_TMPFILE) === O_TMPFILE) parts.push('O_TMPFILE');
  if ((fileFlags & FILE_FLAGS.FILE_CREATED) !== 0) parts.push('O_F_CREATED');
  if ((fileFlags & FILE_FLAGS.FILE_UPPER_LAYER) !== 0) parts.push('FD_UPPER_LAYER');
  if ((fileFlags & FILE_FLAGS.FILE_LOWER_LAYER) !== 0) parts.push('FD_LOWER_LAYER');
  return parts.join('|');
}

/** `evt.arg.resolve` of openat2. */
export function resolveFlagsText(resolve: number): string {
  return names(resolve, RESOLVE_FLAGS).join('|');
}

/** `evt.arg.flags` of an exec. */
export function execFlagsText(fileFlags: number, writable: boolean): string {
  const parts: string[] = [];
  if (writable) parts.push('EXE_WRITABLE');
  if ((fileFlags & FILE_FLAGS.FILE_UPPER_LAYER) !== 0) parts.push('EXE_UPPER_LAYER');
  if ((fileFlags & FILE_FLAGS.FILE_MEMFD) !== 0) parts.push('EXE_FROM_MEMFD');
  if ((fileFlags & FILE_FLAGS.FILE_LOWER_LAYER) !== 0) parts.push('EXE_LOWER_LAYER');
  return parts.join('|');
}
