import { predicateOf } from '../../rules/compile/modifiers.ts';
import type { Test } from '../../rules/compile/checked.ts';

/**
 * Layer of an opened file: not on an overlay, in its writable layer, in the image; a failed open has none. Numbered as in
 * shared.h.
 */
export const LAYERS = ['none', 'upper', 'lower', 'no file'] as const;
export type Layer = (typeof LAYERS)[number];

/** The layers for which a comparison of the file's layer holds. */
export interface LayerTest {
  readonly key: string;
  readonly machine: 'layer';
  readonly layers: ReadonlySet<Layer>;
}

const FIELDS: Readonly<Record<string, Layer>> = {
  'fd.is_upper_layer': 'upper',
  'fd.is_lower_layer': 'lower',
};

/** Undefined for any other comparison. */
export function layerTestOf(test: Test): LayerTest | undefined {
  const layer = FIELDS[test.left.key];
  if (layer === undefined || test.right !== undefined) return undefined;
  const holds = predicateOf(test);
  // The field is absent for a failed open: no comparison holds.
  const layers = LAYERS.filter((one) => one !== 'no file' && holds(one === layer));
  return { key: test.key, machine: 'layer', layers: new Set(layers) };
}
