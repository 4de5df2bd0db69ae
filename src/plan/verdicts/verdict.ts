import { LIMITS } from '../../events/table.gen.ts';
import { LAYERS, type Layer } from './layer-tests.ts';
import { MACHINE_BYTES, MASK_BYTES, TABLE } from './layout.ts';
import { kindIndex, type OpenKind } from './open-kinds.ts';
import { MACHINES } from './path-tests.ts';

/** An open as the kernel knows it. */
export interface KnownOpen extends OpenKind {
  /** Absolute, without `//`, `/./` and `/../`; undefined where it is not known. */
  readonly path: Buffer | undefined;
  readonly directory: boolean;
  readonly layer: Layer;
}

const SLASH = 0x2f;
const NAME = MACHINES.indexOf('name');
const ANYWHERE = MACHINES.indexOf('anywhere');

/**
 * Whether a rule can match the open: the probe's verdict__passes (native/probe/verdict.h) once more, for tests and for what is said
 * of a table.
 */
export function passes(table: Uint8Array, open: KnownOpen): boolean {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  const kinds = TABLE.kinds + kindIndex(open) * MASK_BYTES;
  const { path, directory } = open;
  const left = [...table.subarray(kinds, kinds + MASK_BYTES)];
  const narrow = (at: number): void => {
    for (let byte = 0; byte < MASK_BYTES; byte++)
      left[byte] = (left[byte] ?? 0) & (table[at + byte] ?? 0);
  };
  narrow(TABLE.layers + LAYERS.indexOf(open.layer) * MASK_BYTES);
  const isKnown =
    path !== undefined &&
    path.length > 1 &&
    path.length < LIMITS.VERDICT_PATH_MAX &&
    path[0] === SLASH;
  if (!isKnown) return left.some((byte) => byte !== 0);
  const maskOf = (points: number, state: number): number =>
    TABLE.masks + view.getUint16(points + 2 * state, true) * MASK_BYTES;
  const lastSlash = path.lastIndexOf(SLASH);
  for (let machine = 0; machine < MACHINES.length; machine++) {
    const word = (index: number): number =>
      view.getUint32(TABLE.machines + machine * MACHINE_BYTES + 4 * index, true);
    const [transitions, states, classes] = [word(0), word(1), word(2)];
    const step = (state: number, byte: number): number => {
      const byteClass = table[TABLE.classes + machine * 256 + byte] ?? 0;
      return view.getUint16(TABLE.next + 2 * (transitions + state * classes + byteClass), true);
    };
    let state = 0;
    let stateAtSlash = 0;
    let seen = machine === ANYWHERE ? (table[TABLE.seen] ?? 0) : 0;
    let seenBeforeSlash = 0;
    for (const [at, byte] of path.entries()) {
      if (at === lastSlash) seenBeforeSlash = seen;
      state = step(state, byte);
      if (at === lastSlash) stateAtSlash = state;
      if (machine === ANYWHERE) seen |= table[TABLE.seen + state] ?? 0;
    }
    if (machine === ANYWHERE) {
      narrow(maskOf(TABLE.seenEnd, seen));
      if (directory || lastSlash > 0)
        narrow(maskOf(TABLE.seenSlash, directory ? seen : seenBeforeSlash));
      continue;
    }
    narrow(machine === NAME && directory ? TABLE.noName : maskOf(TABLE.end, states + state));
    if (directory) narrow(maskOf(TABLE.slash, states + step(state, SLASH)));
    else if (lastSlash > 0) narrow(maskOf(TABLE.slash, states + stateAtSlash));
  }
  if (!directory && lastSlash === 0) narrow(TABLE.root);
  return left.some((byte) => byte !== 0);
}
