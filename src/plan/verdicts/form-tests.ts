import { predicateOf } from '../../rules/compile/modifiers.ts';
import type { Test } from '../../rules/compile/checked.ts';
import type { Judged } from './call-kinds.ts';

/**
 * Layer of an opened file or of a program: not on an overlay, in its writable layer, in the image; a failed open has none.
 * Numbered as in shared.h.
 */
export const LAYERS = ['none', 'upper', 'lower', 'no file'] as const;
export type Layer = (typeof LAYERS)[number];

/** What an opened file is, besides its path. */
export interface FileForm {
  readonly layer: Layer;
  readonly directory: boolean;
}

/** All forms, in the order of the table: their number is `layer + 4 * directory`. */
export const FORMS: readonly FileForm[] = [false, true].flatMap((directory) =>
  LAYERS.map((layer) => ({ layer, directory })),
);

/** The number of a form. */
export const formNumber = ({ layer, directory }: FileForm): number =>
  LAYERS.indexOf(layer) + (directory ? LAYERS.length : 0);

/** The forms for which a comparison holds. */
export interface FormTest {
  readonly key: string;
  readonly machine: 'form';
  readonly judged: Extract<Judged, 'file' | 'program'>;
  /** Their numbers. */
  readonly forms: ReadonlySet<number>;
}

type ReadForm = (form: FileForm) => boolean | string | undefined;

/** As the fields of rules have it: absent without a file. */
const isIn =
  (layer: Layer): ReadForm =>
  (form) =>
    form.layer === 'no file' ? undefined : form.layer === layer;

const FIELDS: Readonly<Record<string, readonly [FormTest['judged'], ReadForm]>> = {
  'fd.is_upper_layer': ['file', isIn('upper')],
  'fd.is_lower_layer': ['file', isIn('lower')],
  // A failed open would have been one of a file.
  'fd.typechar': ['file', ({ layer, directory }) => (directory && layer !== 'no file' ? 'd' : 'f')],
  'fd.type': [
    'file',
    ({ layer, directory }) => (layer === 'no file' ? undefined : directory ? 'directory' : 'file'),
  ],
  'proc.is_exe_upper_layer': ['program', isIn('upper')],
  'proc.is_exe_lower_layer': ['program', isIn('lower')],
};

/** A comparison of the layer or of the type of a file; undefined for any other. */
export function formTestOf(test: Test): FormTest | undefined {
  const [judged, read] = FIELDS[test.left.key] ?? [];
  if (judged === undefined || read === undefined || test.right !== undefined) return undefined;
  const holds = predicateOf(test);
  const forms = FORMS.flatMap((form, number) => {
    const value = read(form);
    // No comparison of an absent field holds.
    return value !== undefined && holds(value) ? [number] : [];
  });
  return { key: test.key, machine: 'form', judged, forms: new Set(forms) };
}
