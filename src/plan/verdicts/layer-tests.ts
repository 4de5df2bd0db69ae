import { predicateOf } from '../../rules/compile/modifiers.ts';
import type { Test } from '../../rules/compile/checked.ts';
import type { Judged } from './call-kinds.ts';

/**
 * Layer of an opened file or of a program: not on an overlay, in its writable layer, in the image; a failed open has none.
 * Numbered as in shared.h.
 */
export const LAYERS = ['none', 'upper', 'lower', 'no file'] as const;
export type Layer = (typeof LAYERS)[number];

/** The layers for which a comparison of the layer holds. */
export interface LayerTest {
  readonly key: string;
  readonly machine: 'layer';
  readonly judged: Extract<Judged, 'file' | 'program'>;
  readonly layers: ReadonlySet<Layer>;
}

const FIELDS: Readonly<Record<string, readonly [LayerTest['judged'], Layer]>> = {
  'fd.is_upper_layer': ['file', 'upper'],
  'fd.is_lower_layer': ['file', 'lower'],
  'proc.is_exe_upper_layer': ['program', 'upper'],
  'proc.is_exe_lower_layer': ['program', 'lower'],
};

/** Undefined for any other comparison. */
export function layerTestOf(test: Test): LayerTest | undefined {
  const [judged, layer] = FIELDS[test.left.key] ?? [];
  if (judged === undefined || test.right !== undefined) return undefined;
  const holds = predicateOf(test);
  // The field is absent for a failed open: no comparison holds.
  const layers = LAYERS.filter((one) => one !== 'no file' && holds(one === layer));
  return { key: test.key, machine: 'layer', judged, layers: new Set(layers) };
}
