import { predicateOf } from '../../rules/compile/modifiers.ts';
import type { Test } from '../../rules/compile/checked.ts';
import type { Judged } from './call-kinds.ts';

/**
 * Layer of an opened file: not on an overlay, in its writable layer, in the image; a failed open has none. Numbered as in
 * shared.h.
 */
export const LAYERS = ['none', 'upper', 'lower', 'no file'] as const;
export type Layer = (typeof LAYERS)[number];

/** The same of the file that a program is from, with the same numbers; one in memory only is of none. */
export const PROGRAM_LAYERS = ['none', 'upper', 'lower', 'memfd'] as const;
export type ProgramLayer = (typeof PROGRAM_LAYERS)[number];

/** What an opened file is, besides its path. */
export interface FileForm {
  readonly layer: Layer;
  readonly directory: boolean;
  /** Of an open: the path as passed may contain `..`; default false. */
  readonly dots?: boolean;
}

/** All forms, in the order of the table: their number is `layer + 4 * directory + 8 * dots`. */
export const FORMS: readonly FileForm[] = [false, true].flatMap((dots) =>
  [false, true].flatMap((directory) => LAYERS.map((layer) => ({ layer, directory, dots }))),
);

/** The number of a form. */
export const formNumber = ({ layer, directory, dots = false }: FileForm): number =>
  LAYERS.indexOf(layer) + (directory ? LAYERS.length : 0) + (dots ? 2 * LAYERS.length : 0);

/** The forms of a file or program for which a comparison holds, or the ways in which standard descriptors are connections. */
export interface FormTest {
  readonly key: string;
  readonly machine: 'form';
  readonly judged: Extract<Judged, 'file' | 'program' | 'standard'>;
  /** Their numbers. */
  readonly forms: ReadonlySet<number>;
  /** Of these it may hold or fail; default none. */
  readonly either?: ReadonlySet<number>;
}

type ReadForm = (form: FileForm) => boolean | string | undefined;

/** As the fields of rules have it: absent without a file. */
const isIn =
  (layer: Layer): ReadForm =>
  (form) =>
    form.layer === 'no file' ? undefined : form.layer === layer;

/** Forms stand for those of programs with the same number. */
const isProgramIn =
  (layer: ProgramLayer): ReadForm =>
  (form) =>
    PROGRAM_LAYERS[LAYERS.indexOf(form.layer)] === layer;

const FIELDS: Readonly<Record<string, readonly [FormTest['judged'], ReadForm]>> = {
  'fd.is_upper_layer': ['file', isIn('upper')],
  'fd.is_lower_layer': ['file', isIn('lower')],
  // A failed open would have been one of a file.
  'fd.typechar': ['file', ({ layer, directory }) => (directory && layer !== 'no file' ? 'd' : 'f')],
  'fd.type': [
    'file',
    ({ layer, directory }) => (layer === 'no file' ? undefined : directory ? 'directory' : 'file'),
  ],
  'proc.is_exe_upper_layer': ['program', isProgramIn('upper')],
  'proc.is_exe_lower_layer': ['program', isProgramIn('lower')],
  'proc.is_exe_from_memfd': ['program', isProgramIn('memfd')],
};

/** Whether the compared value contains each constant, which is a text. */
const CONTAINING: readonly string[] = [
  '=',
  '==',
  'in',
  'startswith',
  'endswith',
  'contains',
  'icontains',
  'glob',
  'iglob',
];
const WITH_DOTS: ReadonlySet<number> = new Set(
  FORMS.flatMap(({ dots }, number) => (dots === true ? [number] : [])),
);

/** A comparison of the path as passed that can hold only if it contains `..`. */
function dotsTestOf({ key, left, operator, modifier, right, values }: Test): FormTest | undefined {
  if (left.key !== 'fd.nameraw' || right !== undefined) return undefined;
  if (!CONTAINING.includes(operator) || (modifier !== undefined && modifier !== 'anyof'))
    return undefined;
  // In brackets a glob has two dots for one.
  if (!values.every((value) => /^[^[]*\.\.[^[]*$/.test(String(value)))) return undefined;
  return { key, machine: 'form', judged: 'file', forms: new Set(), either: WITH_DOTS };
}

/** All forms of programs, in the order of the table: their number is `layer + 4 * loads`. */
export const PROGRAM_FORMS = 2 * PROGRAM_LAYERS.length;
/** The number of a program's form. `loads`: its environment may have a variable `LD_*`. */
export const programFormNumber = (layer: ProgramLayer, loads: boolean): number =>
  PROGRAM_LAYERS.indexOf(layer) + (loads ? PROGRAM_LAYERS.length : 0);
const LOADING: ReadonlySet<number> = new Set(
  PROGRAM_LAYERS.map((layer) => programFormNumber(layer, true)),
);
/** Of an open that is judged these are never empty. */
const NEVER_EMPTY: readonly (string | undefined)[] = ['fd.name', 'fd.nameraw'];

/** Whether it fails for a variable of the environment that there is not: its value is empty. */
export function failsWithoutVariable(test: Test): boolean {
  const { operator, modifier, right } = test;
  if (operator === 'exists') return false;
  return right === undefined
    ? !predicateOf(test)('')
    : operator === 'contains' && modifier === undefined && NEVER_EMPTY.includes(right.key);
}

/** A comparison of a variable `LD_*` of the program's environment that can hold only if there is one. */
function loadsTestOf(test: Test): FormTest | undefined {
  const { key, left } = test;
  return /^proc\.env\[LD_\w*\]$/.test(left.key) && failsWithoutVariable(test)
    ? { key, machine: 'form', judged: 'program', forms: new Set(), either: LOADING }
    : undefined;
}

/** A comparison of the form of a file or of a program; undefined for any other. */
export function formTestOf(test: Test): FormTest | undefined {
  const half = dotsTestOf(test) ?? loadsTestOf(test);
  if (half !== undefined) return half;
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
