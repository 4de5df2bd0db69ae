import type * as z from 'zod';
import { nearestWord } from '../shared/nearest.ts';
import { UserError } from '../shared/user-error.ts';
import type { SourcePosition } from '../shared/user-error.ts';
import { keysAt, VALUE_PATHS, valueAt } from './schema.ts';
import type { YamlFile } from './yaml-file.ts';

// Mistakes in a configuration, as sentences with their positions.

/** The value at a path; undefined if absent. */
export function get(root: unknown, at: readonly PropertyKey[]): unknown {
  let found = root;
  for (const key of at) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<PropertyKey, unknown>)[key];
  }
  return found;
}

/** Reports the first mistake, mistyped keys first, with its position and what to do. */
export function toUserError(
  issues: readonly z.core.$ZodIssue[],
  root: unknown,
  place: (at: readonly PropertyKey[]) => SourcePosition | undefined,
  file: YamlFile | undefined,
): UserError {
  // A mistyped key often causes the other mistakes, so it comes first.
  const issue = issues.find((it) => it.code === 'unrecognized_keys') ?? issues[0];
  const path = issue?.path ?? [];
  const key = showPath(path);
  if (issue?.code === 'unrecognized_keys') {
    const [unknown = ''] = issue.keys;
    const name = showPath([...path, unknown]);
    const position = given(place(path)) ?? file?.positionOfKey(path, unknown);
    return new UserError(`There is no key "${name}".${suggestKey(path, unknown)}`, at(position));
  }
  const value = get(root, path);
  if (value === undefined)
    return new UserError(
      `The key "${key}" is missing: it must be ${expectedAt(path)}.`,
      at(place(path)),
    );
  if (issue?.code === 'custom' && typeof issue.params?.['needs'] === 'string') {
    return new UserError(`"${key}" needs ${issue.params['needs']}.`, at(place(path)));
  }
  const expected =
    issue?.code === 'custom' && typeof issue.params?.['expected'] === 'string'
      ? issue.params['expected']
      : expectedAt(path);
  const near =
    typeof value === 'string' && expected.startsWith('one of ')
      ? nearestWord(value, expected.slice('one of '.length).split(', '))
      : undefined;
  return new UserError(
    `"${key}" must be ${expected}; it is ${show(value)}.${didYouMean(near)}`,
    at(place(path)),
  );

  /** The position, if it is a variable or a flag. */
  function given(position: SourcePosition | undefined): SourcePosition | undefined {
    return position?.file === file?.path ? undefined : position;
  }
}

function expectedAt(path: readonly PropertyKey[]): string {
  for (let length = path.length; length > 0; length--) {
    const found = valueAt(path.slice(0, length));
    if (found !== undefined) return found.expected;
    const keys = keysAt(path.slice(0, length));
    if (keys !== undefined) return `a section with keys such as ${keys.slice(0, 3).join(', ')}`;
  }
  return 'something else';
}

function suggestKey(section: readonly PropertyKey[], unknown: string): string {
  const keys = keysAt(section) ?? [];
  const near = nearestWord(unknown, keys);
  if (near !== undefined) return didYouMean(showPath([...section, near]));
  const elsewhere = VALUE_PATHS.find((at) => at.at(-1) === unknown || at.join('_') === unknown);
  if (elsewhere !== undefined) return didYouMean(elsewhere.join('.'));
  return keys.length === 0 ? '' : ` There are: ${keys.join(', ')}.`;
}

function showPath(path: readonly PropertyKey[]): string {
  return path
    .map((key, index) =>
      typeof key === 'number' ? `[${key}]` : `${index > 0 ? '.' : ''}${String(key)}`,
    )
    .join('')
    .slice(0, 200);
}

function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (isSection(value)) return 'a section';
  return JSON.stringify(typeof value === 'string' ? value.slice(0, 100) : value);
}

/** ` Did you mean …?`, or nothing. */
export function didYouMean(near: string | undefined): string {
  return near === undefined ? '' : ` Did you mean "${near}"?`;
}

/** Builds the options of a UserError. */
export function at(position: SourcePosition | undefined): { position?: SourcePosition } {
  return position === undefined ? {} : { position };
}

/** Whether a value is a map of keys. */
export function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
