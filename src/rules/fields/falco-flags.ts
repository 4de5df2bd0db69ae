/** Falco's own bits for flags, whatever the kernel's are: what `evt.rawarg.flags` is compared with. */
const BITS: Readonly<Record<string, number>> = {
  // Of an open.
  O_NONE: 0,
  O_RDONLY: 1 << 0,
  O_WRONLY: 1 << 1,
  O_RDWR: (1 << 0) | (1 << 1),
  O_CREAT: 1 << 2,
  O_APPEND: 1 << 3,
  O_DSYNC: 1 << 4,
  O_EXCL: 1 << 5,
  O_NONBLOCK: 1 << 6,
  O_SYNC: 1 << 7,
  O_TRUNC: 1 << 8,
  O_DIRECT: 1 << 9,
  O_DIRECTORY: 1 << 10,
  O_LARGEFILE: 1 << 11,
  O_CLOEXEC: 1 << 12,
  O_TMPFILE: 1 << 13,
  O_F_CREATED: 1 << 14,
  FD_UPPER_LAYER: 1 << 15,
  FD_LOWER_LAYER: 1 << 16,
  // Of openat2's resolve.
  RESOLVE_BENEATH: 1 << 0,
  RESOLVE_IN_ROOT: 1 << 1,
  RESOLVE_NO_MAGICLINKS: 1 << 2,
  RESOLVE_NO_SYMLINKS: 1 << 3,
  RESOLVE_NO_XDEV: 1 << 4,
  RESOLVE_CACHED: 1 << 5,
  // Of an exec.
  EXE_WRITABLE: 1 << 0,
  EXE_UPPER_LAYER: 1 << 1,
  EXE_FROM_MEMFD: 1 << 2,
  EXE_LOWER_LAYER: 1 << 3,
};

/**
 * The number that Falco has for flags by their names (`O_RDONLY|O_CLOEXEC`); undefined when one is not known here,
 * as for clone, where Falco adds bits of its own that the names do not show.
 */
export function flagsNumber(names: string): number | undefined {
  if (kept.has(names)) return kept.get(names);
  const number = readNames(names);
  if (kept.size >= MAX_KEPT) kept.clear();
  kept.set(names, number);
  return number;
}

/** Numbers of flags that are kept: programs pass a handful of combinations. */
const MAX_KEPT = 512;
const kept = new Map<string, number | undefined>();

function readNames(names: string): number | undefined {
  let bits = 0;
  if (names === '') return bits;
  for (const name of names.split('|')) {
    const bit = Object.hasOwn(BITS, name) ? BITS[name] : undefined;
    if (bit === undefined) return undefined;
    bits |= bit;
  }
  return bits;
}
