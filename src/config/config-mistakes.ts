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

/** Limit on mistakes that are told. */
const MISTAKES_MAX = 10;

/** Where a value is from; undefined: nobody gave it. */
type PlaceOf = (at: readonly PropertyKey[]) => SourcePosition | undefined;

/** Reports all mistakes, each with its position and what to do; mistyped keys first, which often cause others. */
export function toUserError(
  issues: readonly z.core.$ZodIssue[],
  root: unknown,
  place: PlaceOf,
  file: YamlFile | undefined,
): UserError {
  const falco = falcoMistake(root, file);
  if (falco !== undefined) return falco;
  const keys = issues.flatMap((issue) => unknownKeys(issue, place, file));
  const values = issues
    .filter(({ code }) => code !== 'unrecognized_keys')
    .map((issue) => valueMistake(issue, root, place));
  const all = [...keys.sort(byPlace), ...values.sort(byPlace)];
  const [first, ...others] = all.slice(0, MISTAKES_MAX);
  const left = all.length - MISTAKES_MAX;
  const more = left > 0 ? [...others, new UserError(`And ${left} more mistakes.`)] : others;
  return new UserError(first?.message ?? 'The configuration cannot be used.', {
    ...at(first?.position),
    more,
  });
}

/** Variables and flags come before the file, whose lines follow each other. */
function byPlace({ position: one }: UserError, { position: other }: UserError): number {
  const byLine = (one?.line ?? 0) - (other?.line ?? 0);
  return byLine === 0 ? (one?.column ?? 0) - (other?.column ?? 0) : byLine;
}

function unknownKeys(
  issue: z.core.$ZodIssue,
  place: PlaceOf,
  file: YamlFile | undefined,
): UserError[] {
  if (issue.code !== 'unrecognized_keys') return [];
  const { path, keys } = issue;
  const own = place(path);
  // The position, if it is a variable or a flag.
  const given = own?.file === file?.path ? undefined : own;
  return keys.map((key) => {
    const position = given ?? file?.positionOfKey(path, key);
    const name = showPath([...path, key]);
    return new UserError(`There is no key "${name}".${suggestKey(path, key)}`, at(position));
  });
}

function valueMistake(issue: z.core.$ZodIssue, root: unknown, place: PlaceOf): UserError {
  const { path } = issue;
  const key = showPath(path);
  const value = get(root, path);
  const says = (message: string): UserError => new UserError(message, at(place(path)));
  if (value === undefined)
    return says(`The key "${key}" is missing: it must be ${expectedAt(path)}.`);
  const params = issue.code === 'custom' ? issue.params : undefined;
  if (typeof params?.['needs'] === 'string') return says(`"${key}" needs ${params['needs']}.`);
  const expected = typeof params?.['expected'] === 'string' ? params['expected'] : expectedAt(path);
  const near =
    typeof value === 'string' && expected.startsWith('one of ')
      ? nearestWord(value, expected.slice('one of '.length).split(', '))
      : undefined;
  return says(`"${key}" must be ${expected}; it is ${show(value)}.${didYouMean(near)}`);
}

/** Keys of falco.yaml (Falco 0.44), and what stands in their place; undefined: nothing is needed. */
const FALCO_KEYS: ReadonlyMap<string, string | undefined> = new Map([
  ['priority', 'minimum_priority'],
  ['json_output', 'streams.*.format: json, which is the default'],
  ['file_output', 'streams.file'],
  ['syslog_output', 'streams.syslog'],
  ['http_output', 'streams.http'],
  ['stdout_output', 'streams.stdout'],
  ['webserver', 'metrics.listen'],
  ['falcoctl', undefined],
  ['plugins', undefined],
  ['load_plugins', undefined],
  ['engine', undefined],
  ['log_stderr', undefined],
  ['log_syslog', undefined],
  ['libs_logger', undefined],
  ['buffered_outputs', undefined],
  ['outputs_queue', undefined],
  ['program_output', 'streams.stdout, or responses'],
  ['syscall_event_drops', 'the metrics varvel_records_dropped_total and varvel status'],
  ['base_syscalls', undefined],
  ['rules_file', 'rules_files'],
]);

/** A file of Falco's, if several of its keys show that it is one. */
function falcoMistake(root: unknown, file: YamlFile | undefined): UserError | undefined {
  if (!isSection(root) || file === undefined) return undefined;
  const found = Object.keys(root).filter((key) => FALCO_KEYS.has(key));
  if (found.length < 2) return undefined;
  const others = found.flatMap((key) => {
    const ours = FALCO_KEYS.get(key);
    return ours === undefined ? [] : [`${key} → ${ours}`];
  });
  const instead = others.length === 0 ? '' : ` In their place: ${others.join('; ')}.`;
  return new UserError(
    `This is a configuration of Falco (${found.slice(0, 5).join(', ')}): varvel has one of its own. rules_files, rules, append_output and rule_matching are the same here.${instead} See manifests/docs/falco.md.`,
    { position: { file: file.path } },
  );
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
