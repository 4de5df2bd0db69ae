/**
 * What the steps of a comparison cost, in nanoseconds: for the estimate of what a rule may cost for the worst event. The
 * figures are those of `test/bench/rule-costs.ts` on one core of a virtual machine (Node 20), for the input that is worst for
 * each step, with half as much again: an estimate is to be too high rather than too low. "Per unit" is per UTF-16 unit of the
 * value.
 */
export const COST = {
  /** To call a test and the reader of its field. */
  test: 60,
  /** Each constant or each further value that a test looks at. */
  value: 30,
  /** To hash a text for `in`, or to compare two as `<` does. */
  hashUnit: 1,
  orderUnit: 3,
  /** To search for a text, and the same for each unit of what is searched for where that is a field's value. */
  searchUnit: 6,
  /** A regular expression's or a glob's look-up of one character, and each step of finding the character's class. */
  patternUnit: 7,
  classStep: 2,
  /** Each 32 characters of a glob. */
  globWord: 2.5,
  /** To compile a glob that is a field's value. */
  globCompile: 200_000,
  /** An instruction of a regular expression that has no table, per unit. */
  instructionUnit: 30,
  /** pmatch: to split a path, and each component of a path that it is compared with. */
  splitUnit: 20,
  component: 20,
  /** One network of fd.net and its like, and one address. */
  network: 150,
  /** tolower, toupper, icontains, iglob. */
  caseUnit: 3,
  base64Unit: 8,
  /** join, concat and basename. */
  copyUnit: 2,
  /** getopt: each unit of the words may be an option. */
  optionUnit: 60,
  /** To make a detection and its output, besides reading the fields; and each field of it. */
  output: 60_000,
  outputField: 3000,
} as const;
