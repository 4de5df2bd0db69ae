import { APP_CLASS } from './app.ts';
import { CONTAINER_CLASS } from './container.ts';
import { EVT_CLASS } from './evt.ts';
import { FD_CLASS } from './fd.ts';
import type { FieldClass, FieldDefinition } from './field.ts';
import { FDLIST_CLASS, FS_CLASS, UTIL_CLASS } from './fs.ts';
import { GROUP_CLASS } from './group.ts';
import { K8S_CLASS } from './k8s.ts';
import { PROC_CLASS } from './proc.ts';
import { THREAD_CLASS } from './thread.ts';
import { USER_CLASS } from './user.ts';

/** Every field there is, by class: what rules can use, what `varvel fields` lists. */
export const FIELD_CLASSES: readonly FieldClass[] = [
  EVT_CLASS,
  PROC_CLASS,
  THREAD_CLASS,
  USER_CLASS,
  GROUP_CLASS,
  FD_CLASS,
  CONTAINER_CLASS,
  APP_CLASS,
  FS_CLASS,
  FDLIST_CLASS,
  K8S_CLASS,
  UTIL_CLASS,
];

const FIELDS: ReadonlyMap<string, FieldDefinition> = new Map(
  FIELD_CLASSES.flatMap(({ fields }) => fields.map((field) => [field.name, field])),
);

/** All field names, for suggestions. */
export const FIELD_NAMES: readonly string[] = [...FIELDS.keys()];

/** Fields of other classes that are ours: their descriptions say so. */
const OWN: ReadonlySet<string> = new Set(
  [...FIELDS.values()]
    .filter(({ description }) => description.includes('(our own)'))
    .map(({ name }) => name),
);

/** No Falco has the field. */
export function isOwnField(name: string): boolean {
  return name.startsWith('app.') || OWN.has(name);
}

/** A field and what a name with an argument after a dot says of it. */
export interface FoundField {
  readonly field: FieldDefinition;
  /** `flags` of `evt.arg.flags`; undefined when the name is the field's own. */
  readonly dotArgument: string | undefined;
}

/**
 * Finds a field by the name in a rule; undefined when there is none. The longest field that the name begins with,
 * up to a dot, counts: it has to be all of it, or to take what follows the dot as its argument.
 */
export function findField(name: string): FoundField | undefined {
  const field = FIELDS.get(name);
  if (field !== undefined) return { field, dotArgument: undefined };
  for (let dot = name.lastIndexOf('.'); dot > 0; dot = name.lastIndexOf('.', dot - 1)) {
    const prefix = FIELDS.get(name.slice(0, dot));
    if (prefix === undefined) continue;
    return prefix.dotArgument ? { field: prefix, dotArgument: name.slice(dot + 1) } : undefined;
  }
  return undefined;
}

/** What names of fields consist of. */
const FIELD_CHARS = /[a-z0-9_.]*/y;
const LONGEST_NAME = Math.max(...FIELD_NAMES.map((name) => name.length));

/**
 * The longest field name that `text` begins with at `offset`, as output formats take it: `proc.name` of
 * `proc.nameextra` (S13). Returns its length with the argument after a dot, 0 when there is none.
 */
export function longestFieldAt(text: string, offset: number): number {
  FIELD_CHARS.lastIndex = offset;
  const words = FIELD_CHARS.exec(text)?.[0].slice(0, LONGEST_NAME) ?? '';
  for (let length = words.length; length > 0; length--) {
    const field = FIELDS.get(words.slice(0, length));
    if (field === undefined) continue;
    const end = offset + length;
    if (!field.dotArgument || text.charAt(end) !== '.') return length;
    const argument = dotArgumentLength(field, text.slice(end + 1, end + 1 + MAX_DOT_ARGUMENT));
    return argument === 0 ? length : length + 1 + argument;
  }
  return 0;
}

/** Names of labels are longer than those of params and controllers. */
const MAX_DOT_ARGUMENT = 512;

function dotArgumentLength(field: FieldDefinition, text: string): number {
  if (field.dotLength !== undefined) return field.dotLength(text);
  return /^\w+(?:[./-]+\w+)*/.exec(text)?.[0].length ?? 0;
}
