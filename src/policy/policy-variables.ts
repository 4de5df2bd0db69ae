import type { Diagnostics } from '../rules/loader/diagnostics.ts';
import { invalid, misshapen } from '../rules/loader/items.ts';
import type { Place } from '../rules/loader/source.ts';
import type { YamlNode, YamlScalar } from '../rules/loader/yaml-node.ts';

/** Limit on all values of `variables` together. */
export const MAX_VALUES = 500;
/** In Unicode characters; equals the limit in bytes for a constant of a condition. */
export const MAX_VALUE_CHARS = 255;

/** One variable as set by an app: its values have the right shape, its name is not looked up yet. */
export interface PolicyVariable {
  readonly name: string;
  /** Position of its name. */
  readonly place: Place;
  readonly values: readonly YamlScalar[];
}

/** The shape of a variable's values. Patterns are also used in the JSON Schema: ECMA-262, with the flag u. */
interface Shape {
  readonly pattern: string;
  /** Ends the sentence "'x' is …". */
  readonly refusal: string;
}

/** Quotes and backslashes would have a meaning in a condition; unprintable characters are never meant in a path. */
const PLAIN = String.raw`\u0000-\u001f\u007f"\\`;
const LABEL = '[A-Za-z0-9_](?:[A-Za-z0-9_\\-]{0,61}[A-Za-z0-9_])?';

export const ANY_VALUE: Shape = {
  pattern: `^[^${PLAIN}]+$`,
  refusal: 'no value: quotes, backslashes and control characters cannot be in one',
};

/** Files and directories; `*` and `?` as in pmatch. */
const PATHS: Shape = {
  pattern: `^(?:/(?!\\.{1,2}(?:/|$))[^/${PLAIN}]+)+$`,
  refusal:
    'no full path: it begins with "/", has no "/" at its end, and is written without ".." and "//"',
};

const PROGRAMS: Shape = {
  pattern: `^(?:/(?!\\.{1,2}(?:/|$))[^/*?${PLAIN}]+)+$`,
  refusal:
    'no full path of one program: it begins with "/", and is written without "..", "//" and patterns',
};

/** For the variables of the rules shipped with varvel; variables of an operator's own rules accept any text. */
export const VALUE_SHAPES: ReadonlyMap<string, Shape> = new Map([
  ['expected_executables', PROGRAMS],
  ['secret_paths', PATHS],
  ['secret_readers', PROGRAMS],
  ['code_paths', PATHS],
  [
    'outbound_hosts',
    {
      // A number in YAML is not a name, nor is what can only be an address.
      pattern: `^(?:(?!-?[0-9.]+(?:[eE][+\\-]?[0-9]+)?$)${LABEL}(?:\\.${LABEL})*|(?:[0-9]{1,3}(?:\\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)(?:/[0-9]{1,3})?)$`,
      refusal:
        'no host: it is a domain name (one for itself, no pattern), an address, or a network such as 10.0.0.0/8',
    },
  ],
]);

const SHAPES = new Map(
  [...VALUE_SHAPES].map(([name, { pattern }]) => [name, new RegExp(pattern, 'u')]),
);
const ANY = new RegExp(ANY_VALUE.pattern, 'u');

/** Whether `readVariables` takes the text as one value of the variable. Its time is bounded, however long the text. */
export function isValueOf(name: string, text: string): boolean {
  if (text.length > 2 * MAX_VALUE_CHARS || Array.from(text).length > MAX_VALUE_CHARS) return false;
  return (SHAPES.get(name) ?? ANY).test(text);
}

/** Reads `variables`. An invalid one is reported as an error and left out. Throws ItemError. */
export function readVariables(
  node: YamlNode | undefined,
  diagnostics: Diagnostics,
  attempt: <T>(read: () => T) => T | undefined,
): PolicyVariable[] {
  if (node === undefined || (node.kind === 'scalar' && node.isNull)) return [];
  if (node.kind !== 'map') {
    throw misshapen("'variables' must be a map: {NAME: [VALUE, …]}", node.place);
  }
  const seen = new Set<string>();
  let count = 0;
  const variables: PolicyVariable[] = [];
  for (const { key, value } of node.entries) {
    if (seen.has(key.text)) {
      diagnostics.error('LOAD_ERR_YAML_VALIDATE', `'${key.text}' is there twice`, key.place);
    }
    seen.add(key.text);
    const values = attempt(() => valuesOf(key.text, value));
    if (values === undefined) continue;
    count += values.length;
    if (count > MAX_VALUES) {
      throw invalid(`'variables' has more than ${MAX_VALUES} values: no more are taken`, key.place);
    }
    // Treated as absent.
    if (values !== 'none') variables.push({ name: key.text, place: key.place, values });
  }
  return variables;
}

function valuesOf(name: string, node: YamlNode): readonly YamlScalar[] | 'none' {
  if (node.kind === 'scalar' && node.isNull) return 'none';
  if (node.kind !== 'sequence') throw misshapen(`'${name}' must be a list`, node.place);
  const { refusal } = VALUE_SHAPES.get(name) ?? ANY_VALUE;
  const shape = SHAPES.get(name) ?? ANY;
  return node.items.map((item) => {
    if (item.kind !== 'scalar' || item.isNull) {
      throw misshapen(`'${name}' must hold single values`, item.place);
    }
    if (Array.from(item.text).length > MAX_VALUE_CHARS) {
      throw misshapen(`a value has at most ${MAX_VALUE_CHARS} characters`, item.place);
    }
    if (!shape.test(item.text)) throw misshapen(`'${item.text}' is ${refusal}`, item.place);
    return item;
  });
}
