import { LIMITS } from '../../events/table.gen.ts';
import { LAYERS, type Layer } from './layer-tests.ts';
import { MASK_BYTES, ROW, TABLE } from './layout.ts';
import { kindIndex, type OpenKind, type PathKind } from './call-kinds.ts';
import { MACHINES } from './path-tests.ts';

/** A call as the kernel knows it, and the path of it that is judged. */
export type KnownCall = (OpenKind | PathKind) & KnownFile;

interface KnownFile {
  /** Absolute, without `//`, `/./` and `/../`; undefined if unknown. */
  readonly path: Buffer | undefined;
  readonly directory: boolean;
  /** That of an opened file; `none` of other calls. */
  readonly layer: Layer;
}

const SLASH = 0x2f;
const NAME = MACHINES.indexOf('name');
const ANYWHERE = MACHINES.indexOf('anywhere');

/**
 * Whether a rule can match the call: reimplements the probe's verdict__passes (native/probe/verdict.h) for tests and for
 * reports about a table.
 */
export function passes(table: Uint8Array, call: KnownCall): boolean {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const kinds = TABLE.kinds + kindIndex(call) * MASK_BYTES;
  const { path, directory } = call;
  const left = [...table.subarray(kinds, kinds + MASK_BYTES)];
  const narrow = (at: number): void => {
    for (let byte = 0; byte < MASK_BYTES; byte++)
      left[byte] = (left[byte] ?? 0) & (table[at + byte] ?? 0);
  };
  narrow(TABLE.layers + LAYERS.indexOf(call.layer) * MASK_BYTES);
  const isKnown =
    path !== undefined &&
    path.length > 1 &&
    path.length < LIMITS.VERDICT_PATH_MAX &&
    path[0] === SLASH;
  if (!isKnown) return left.some((byte) => byte !== 0);
  const cell = (row: number, place: number): number =>
    view.getUint32(TABLE.next + 4 * (row + place), true);
  const narrowBy = (mask: number): void => narrow(TABLE.masks + mask * MASK_BYTES);
  const seenMask = (sets: number, seen: number): number => view.getUint16(sets + 2 * seen, true);
  const lastSlash = path.lastIndexOf(SLASH);
  for (let machine = 0; machine < MACHINES.length; machine++) {
    const step = (row: number, byte: number): number =>
      cell(row, table[TABLE.classes + machine * 256 + byte] ?? 0);
    let row = view.getUint32(TABLE.starts + 4 * machine, true);
    let rowAtSlash = row;
    let seen = cell(row, ROW.end);
    let seenBeforeSlash = 0;
    for (const [at, byte] of path.entries()) {
      if (at === lastSlash) seenBeforeSlash = seen;
      row = step(row, byte);
      if (at === lastSlash) rowAtSlash = row;
      seen |= cell(row, ROW.end);
    }
    if (machine === ANYWHERE) {
      narrowBy(seenMask(TABLE.seenEnd, seen));
      if (directory || lastSlash > 0)
        narrowBy(seenMask(TABLE.seenSlash, directory ? seen : seenBeforeSlash));
      continue;
    }
    if (machine === NAME && directory) narrow(TABLE.noName);
    else narrowBy(cell(row, ROW.end));
    if (directory) narrowBy(cell(step(row, SLASH), ROW.slash));
    else if (lastSlash > 0) narrowBy(cell(rowAtSlash, ROW.slash));
  }
  if (!directory && lastSlash === 0) narrow(TABLE.root);
  return left.some((byte) => byte !== 0);
}
