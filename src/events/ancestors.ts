import type { RecordBytes } from './batch.ts';
import type { Ancestor } from './event.ts';
import { LIMITS } from './table.gen.ts';

const ANCESTOR_BYTES = 32;

/**
 * The ancestors in a record, parent first. `at`: where its `exes` begin, which are followed by its `ancestors`; both
 * lengths in bytes (see native/schema/EVENTS.md).
 */
export function readAncestors(
  r: RecordBytes,
  at: number,
  exesLength: number,
  ancestorsLength: number,
): readonly Ancestor[] {
  const ancestors: Ancestor[] = [];
  const from = at + exesLength;
  for (let a = from; a < from + ancestorsLength; a += ANCESTOR_BYTES) {
    const inScope = r.number(a + 12) !== 0;
    const slot = ancestors.length * LIMITS.ANCESTOR_EXE_MAX;
    const exePath = inScope || slot >= exesLength ? undefined : readExe(r, at + slot);
    ancestors.push({
      startBootNs: r.u64(a),
      pid: r.number(a + 8),
      inScope,
      comm: r.comm(a + 16),
      ...(exePath === undefined ? {} : { exePath }),
    });
  }
  return ancestors;
}

/** undefined for what no path leads to, a memfd for instance. */
function readExe(r: RecordBytes, at: number): string | undefined {
  const end = r.bytes.indexOf(0, at);
  const path = end < 0 ? '' : r.text(at, Math.min(end - at, LIMITS.ANCESTOR_EXE_MAX));
  return path.startsWith('/') ? path : undefined;
}
