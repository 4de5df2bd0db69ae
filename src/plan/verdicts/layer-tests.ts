import { predicateOf } from '../../rules/compile/modifiers.ts';
import type { Test } from '../../rules/compile/checked.ts';

/** Where an opened file is: on no overlay, in its writable layer, in the image; an open that failed has none. Numbered as in shared.h. */
export const LAYERS = ['none', 'upper', 'lower', 'no file'] as const;
export type Layer = (typeof LAYERS)[number];

/** What a comparison of the file's layer comes to. */
export interface LayerTest {
  readonly key: string;
  readonly machine: 'layer';
  readonly layers: ReadonlySet<Layer>;
}

const FIELDS: Readonly<Record<string, Layer>> = {
  'fd.is_upper_layer': 'upper',
  'fd.is_lower_layer': 'lower',
};

/** Undefined where it is another comparison. */
export function layerTestOf(test: Test): LayerTest | undefined {
  const layer = FIELDS[test.left.key];
  if (layer === undefined || test.right !== undefined) return undefined;
  const holds = predicateOf(test);
  // Of an open that failed the field is absent: no comparison holds.
  const layers = LAYERS.filter((one) => one !== 'no file' && holds(one === layer));
  return { key: test.key, machine: 'layer', layers: new Set(layers) };
}
