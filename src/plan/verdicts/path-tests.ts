import type { Test } from '../../rules/compile/checked.ts';
import { predicateOf } from '../../rules/compile/modifiers.ts';
import {
  anything,
  globParts,
  slash,
  textParts,
  withinName,
  type Letters,
  type Part,
  type Pattern,
} from './patterns.ts';

/**
 * The automaton that decides a test: by the path's beginning, its end, its name, or anything in it. A single automaton would
 * need a state for each combination.
 */
export type Machine = PathMachine | 'comm' | 'address' | 'port' | 'argv' | 'within';
/**
 * Those that read paths. The others read names of processes and threads, where a connect goes, and the words of a program: `within`
 * finds texts anywhere in them.
 */
export type PathMachine = 'beginning' | 'ending' | 'name' | 'anywhere';
export const PATH_MACHINES: readonly PathMachine[] = ['beginning', 'ending', 'name', 'anywhere'];
/** In the order of shared.h. */
export const MACHINES: readonly Machine[] = [
  ...PATH_MACHINES,
  ...(['comm', 'address', 'port', 'argv', 'within'] as const),
];

/** Where in the path an automaton's state answers the test: at its end, or, for a directory, after its last slash. */
export type Point = 'end' | 'slash';

/** A comparison of a path as patterns: it holds for exactly the paths that one of them matches, up to the point. */
export interface PathTest {
  /** Equal for equal comparisons, whichever field is compared. */
  readonly key: string;
  readonly machine: Machine;
  readonly point: Point;
  readonly patterns: readonly Pattern[];
  /** The compared part of the path: a directory has no file name. */
  readonly part: PathPart;
  /** Whether it holds where none of the patterns matches. */
  readonly negated: boolean;
  /** For `fd.directory`: whether a pattern matches '/', which no point of the path represents. */
  readonly holdsForRoot: boolean;
}

export type PathPart = 'path' | 'directory' | 'name';

/** Limit on the characters of all constants of one comparison: more would make too many states. */
export const TEXT_MAX = 16_384;

/** A comparison with constants of a path, or of a part of it; undefined for what no automaton decides exactly. */
export function pathTestOf(
  test: Test,
  { part, lowered }: { readonly part: PathPart; readonly lowered: boolean },
): PathTest | undefined {
  const { modifier, right } = test;
  if (right !== undefined || (modifier !== undefined && !isAnyOf(test))) return undefined;
  if (test.values.reduce<number>((sum, value) => sum + String(value).length, 0) > TEXT_MAX)
    return undefined;
  const letters = lowered ? 'lower case of the value' : 'as they are';
  const compared = comparison(test, letters, part === 'path' ? anything : ofPart[part]);
  if (compared === undefined) return undefined;
  const { negated, machine } = compared;
  // A name contains no slash.
  const values =
    part === 'name' ? compared.values.filter((pattern) => !pattern.some(isSlash)) : compared.values;
  return {
    key: JSON.stringify([part, lowered, test.operator, ...test.values.map(String)]),
    part,
    machine: part === 'name' ? 'name' : machine,
    point: part === 'directory' ? 'slash' : 'end',
    patterns: values.map((pattern) => placed(pattern, part)),
    negated,
    holdsForRoot: part === 'directory' && predicateOf(test)('/') !== negated,
  };
}

/** Equivalent to the operator's own list. */
const isAnyOf = ({ modifier, operator }: Test): boolean =>
  modifier === 'anyof' && operator !== '!=';

const ofPart = { directory: anything, name: withinName };

interface Comparison {
  readonly values: readonly Pattern[];
  readonly negated: boolean;
  readonly machine: Machine;
}

/** The values of the field for which it holds. */
function comparison(
  { operator, values }: Test,
  letters: Letters,
  some: typeof anything,
): Comparison | undefined {
  // Both sides are lowered, whether the value already was or not.
  const either: Letters = 'either case';
  const texts = values.map(String);
  const of = (
    machine: Machine,
    patternOf: (text: string) => Pattern | undefined,
    negated = false,
  ): Comparison | undefined => {
    const patterns = texts.map(patternOf);
    if (patterns.includes(undefined)) return undefined;
    return { values: patterns.filter((one) => one !== undefined), machine, negated };
  };
  const plain = (text: string): Pattern | undefined => textParts(text, letters);
  const around =
    (before: readonly (typeof anything)[], after: readonly (typeof anything)[], how = letters) =>
    (text: string): Pattern | undefined => {
      const parts = textParts(text, how);
      return parts && [...before, ...parts, ...after];
    };
  switch (operator) {
    case '=':
    case '==':
    case 'in':
      return of('beginning', plain);
    case '!=':
      return of('beginning', plain, true);
    case 'startswith':
      return of('beginning', around([], [some]));
    case 'endswith':
      return of('ending', around([some], []));
    case 'contains':
      return of('anywhere', around([some], [some]));
    case 'icontains':
      return of('anywhere', around([some], [some], either));
    case 'glob':
      return of('beginning', (text) => globOf(text, some, letters));
    case 'iglob':
      return of('beginning', (text) => globOf(text, some, either));
    case 'pmatch':
      return below(texts, letters, some === withinName);
    default:
      return undefined;
  }
}

/** Only globs that begin with text: others would need a state for each combination with the beginnings of paths. */
const globOf = (glob: string, some: Part, letters: Letters): Pattern | undefined =>
  glob.startsWith('*') ? undefined : globParts(glob, some, letters);

/** Each path and everything below it; a component may be a glob. A name is a path of one component. */
function below(
  texts: readonly string[],
  letters: Letters,
  ofName: boolean,
): Comparison | undefined {
  const values: Pattern[] = [];
  for (const text of texts) {
    const components = text.split('/').filter((component) => component !== '');
    const path: Part[] = [];
    for (const component of components) {
      const parts = globParts(component, withinName, letters);
      if (parts === undefined) return undefined;
      path.push(slash, ...parts);
    }
    if (components.length === 0) values.push([ofName ? withinName : anything]);
    // Without the leading slash; a name never matches several components.
    else if (ofName) values.push(path.slice(1));
    else values.push(path, [...path, slash, anything]);
  }
  return { values, negated: false, machine: 'beginning' };
}

/** Places a pattern of the part's value in the path: up to the last slash for a directory. */
function placed(pattern: Pattern, part: PathPart): Pattern {
  switch (part) {
    case 'path':
      return pattern;
    case 'directory':
      return [...pattern, slash];
    case 'name':
      return [anything, slash, ...pattern];
  }
}

const SLASH = 0x2f;
const isSlash = ({ bytes, many }: Part): boolean => !many && bytes[SLASH] === 1;
