import { LIMITS } from '../../events/table.gen.ts';
import { ARGV_TEXTS } from './call-kinds.ts';
import { FORMS, PROGRAM_FORMS } from './form-tests.ts';
import { SETTLED } from './settled.ts';

const { VERDICT_CERTAIN, VERDICT_CLAUSES, VERDICT_KINDS, VERDICT_MACHINES } = LIMITS;
const { VERDICT_LEVELS, VERDICT_NUMBERS } = LIMITS;
const { VERDICT_VARIABLES, VERDICT_VARIABLE_MAX } = LIMITS;
const { VERDICT_MASKS, VERDICT_NEXT, VERDICT_SEEN, VERDICT_WITHIN } = LIMITS;
const SEEN_BYTES = 2 * (1 << VERDICT_SEEN);

/** Texts of a program that is run that the automata of words read: those of its words, then variables of its environment. */
export const TEXTS = ARGV_TEXTS.length + VERDICT_VARIABLES;
/** Bytes of `struct verdict_variable`. */
export const VARIABLE_BYTES = 4 + VERDICT_VARIABLE_MAX;

/** Bytes of a set of clauses: one bit each. */
export const MASK_BYTES = VERDICT_CLAUSES / 8;
/**
 * Cells of a row, which is a state, before those by class: the masks at the end of the path or address and after its last slash,
 * that at the end of a program's path, and those at the end of an ancestor's: by its number, then of any. Of the automaton of names
 * also: those at the end of a process's and of a thread's. Of that of words: those at the end of each text, and no others.
 */
export const ROW = {
  end: 0,
  slash: 1,
  program: 2,
  process: 0,
  thread: 1,
  texts: 0,
  ancestors: 3,
  classes: 3 + VERDICT_LEVELS + 1,
} as const;
/** Sorts of names, as in shared.h. */
export const NAMES = { process: 1, thread: 2 } as const;
/** Limit on byte classes of an automaton: one byte of the table holds a class's place in a row. */
export const CLASSES_MAX = 256 - ROW.classes;
const BYTES = 256;

/** Byte offsets of `struct verdict_table` (native/probe/shared.h); all numbers in it are little-endian. */
export const TABLE = (() => {
  const starts = 0;
  const programs = starts + VERDICT_MACHINES * 4;
  const certain = programs + 4;
  const dots = certain + 4;
  const names = dots + 4;
  const numbers = names + 4;
  const argv = numbers + 4;
  const ancestors = argv + 4;
  const numberOf = ancestors + 4;
  const askedWithin = numberOf + VERDICT_NUMBERS * 4;
  const denying = askedWithin + TEXTS * 4;
  const variables = denying + VERDICT_KINDS * 4;
  // Numbers of 64 bits.
  const bounds = Math.ceil((variables + VERDICT_VARIABLES * VARIABLE_BYTES) / 8) * 8;
  const below = bounds + VERDICT_NUMBERS * 8;
  const above = below + VERDICT_NUMBERS * MASK_BYTES;
  const may = above + VERDICT_NUMBERS * MASK_BYTES;
  const failures = may + MASK_BYTES;
  const settled = failures + VERDICT_CERTAIN * MASK_BYTES;
  const within = settled + SETTLED.length * MASK_BYTES;
  const kinds = within + TEXTS * VERDICT_WITHIN * 2 * MASK_BYTES;
  const forms = kinds + VERDICT_KINDS * MASK_BYTES;
  const programForms = forms + FORMS.length * MASK_BYTES;
  const noAncestor = programForms + PROGRAM_FORMS * MASK_BYTES;
  const metByNone = noAncestor + VERDICT_LEVELS * MASK_BYTES;
  const metWithoutLoads = metByNone + MASK_BYTES;
  const sameProgram = metWithoutLoads + MASK_BYTES;
  const noName = sameProgram + 2 * MASK_BYTES;
  const root = noName + MASK_BYTES;
  const classes = root + MASK_BYTES;
  const seenEnd = classes + VERDICT_MACHINES * BYTES;
  const seenSlash = seenEnd + SEEN_BYTES;
  const seenProgram = seenSlash + SEEN_BYTES;
  const seenAncestor = seenProgram + SEEN_BYTES;
  const next = seenAncestor + (VERDICT_LEVELS + 1) * SEEN_BYTES;
  const masks = next + VERDICT_NEXT * 4;
  const bytes = masks + VERDICT_MASKS * MASK_BYTES;
  const sets = {
    may,
    failures,
    settled,
    within,
    kinds,
    forms,
    programForms,
    noAncestor,
    metByNone,
    metWithoutLoads,
    sameProgram,
    noName,
    root,
    masks,
  };
  return {
    starts,
    programs,
    certain,
    askedWithin,
    denying,
    dots,
    names,
    numbers,
    argv,
    ancestors,
    numberOf,
    variables,
    bounds,
    below,
    above,
    classes,
    seenEnd,
    seenSlash,
    seenProgram,
    seenAncestor,
    next,
    ...sets,
    bytes,
  };
})();
