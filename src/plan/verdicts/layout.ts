import { LIMITS } from '../../events/table.gen.ts';
import { LAYERS } from './layer-tests.ts';

const { VERDICT_CLAUSES, VERDICT_MACHINES, VERDICT_MASKS, VERDICT_NEXT, VERDICT_STATES } = LIMITS;
const { VERDICT_SEEN, VERDICT_SEEN_STATES } = LIMITS;

/** Bytes of a set of clauses: a bit each. */
export const MASK_BYTES = VERDICT_CLAUSES / 8;
/** Bytes of `struct verdict_machine`: where its transitions and its states begin, its classes, padding. */
export const MACHINE_BYTES = 16;
const KINDS = 32;
const BYTES = 256;

/** Byte offsets of `struct verdict_table` (native/probe/shared.h); all numbers in it are little-endian. */
export const TABLE = (() => {
  const machines = 0;
  const kinds = machines + VERDICT_MACHINES * MACHINE_BYTES;
  const layers = kinds + KINDS * MASK_BYTES;
  const noName = layers + LAYERS.length * MASK_BYTES;
  const root = noName + MASK_BYTES;
  const classes = root + MASK_BYTES;
  const seen = classes + VERDICT_MACHINES * BYTES;
  const seenEnd = seen + VERDICT_SEEN_STATES;
  const seenSlash = seenEnd + 2 * (1 << VERDICT_SEEN);
  const next = seenSlash + 2 * (1 << VERDICT_SEEN);
  const end = next + VERDICT_NEXT * 2;
  const slash = end + VERDICT_STATES * 2;
  const masks = slash + VERDICT_STATES * 2;
  const bytes = masks + VERDICT_MASKS * MASK_BYTES;
  const parts = { machines, kinds, layers, noName, root, classes, seen, seenEnd, seenSlash };
  return { ...parts, next, end, slash, masks, bytes };
})();
