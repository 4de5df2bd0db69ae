import type { Process } from '../../context/process.ts';
import { MAX_VALUE_BYTES } from '../detection.ts';
import { ancestor, ancestors, containerAncestor, containerAncestors } from './ancestors.ts';
import { fieldWithReader, parseIndex } from './field.ts';
import type { FieldDefinition, FieldType, Value } from './field.ts';

/** The ancestors that count, parent first: all, or those of the container, up to the process that the runtime started. */
type Above = (process: Process) => Iterable<Process>;

/** `proc.aname` and its kind: any ancestor without an index, one process with it (0 is the process itself). */
export function ancestorField(
  name: string,
  type: FieldType,
  what: string,
  of: (process: Process) => Value,
  { whose = 'of an ancestor', above = ancestors as Above, at = ancestor } = {},
): FieldDefinition {
  const description = `${what} ${whose}: [1] is the parent; without an index, of any ancestor.`;
  return fieldWithReader(
    name,
    type,
    description,
    (argument) => {
      if (argument !== undefined) {
        const level = parseIndex(argument);
        if (typeof level === 'object') return level;
        return {
          shape: 'single',
          read(view) {
            const found = at(view.process, level);
            return found === undefined ? undefined : of(found);
          },
        };
      }
      const values: Value[] = [];
      return {
        shape: 'any',
        notEqual: 'some',
        read(view) {
          values.length = 0;
          for (const found of above(view.process)) values.push(of(found));
          return values;
        },
        output(view) {
          if (type !== 'CHARBUF') return Number(of(view.process));
          const names: string[] = [];
          let length = 0;
          for (const found of above(view.process)) {
            const name = String(of(found));
            names.push(name);
            length += name.length;
            // An output has no more of it than that, and cuts it.
            if (length > MAX_VALUE_BYTES) break;
          }
          return names.length === 0 ? null : names.join(' ');
        },
      };
    },
    { argument: 'optional', noVal: true, noTransformer: true },
  );
}

/** The arguments of all ancestors in one text; undefined when there are none. */
function allArgs(process: Process): string | undefined {
  let text = '';
  for (const found of ancestors(process))
    text += `${text === '' ? '' : ' '}${found.image.args.join(' ')}`;
  return text === '' ? undefined : text;
}

export const ARGS_OF_ANCESTORS: FieldDefinition = fieldWithReader(
  'proc.aargs',
  'CHARBUF',
  'Arguments of an ancestor: [1] is the parent; without an index, of all as one text.',
  (argument) => {
    if (argument === undefined) return { shape: 'single', read: (v) => allArgs(v.process) };
    const level = parseIndex(argument);
    if (typeof level === 'object') return level;
    return {
      shape: 'single',
      read: (v) => ancestor(v.process, level)?.image.args.join(' '),
    };
  },
  { argument: 'optional' },
);

const IN_CONTAINER = {
  whose: "of an ancestor that is the container's (our own)",
  above: containerAncestors,
  at: containerAncestor,
};

/**
 * The same of the container's own processes only. What a runtime or the host runs above them grants nothing then, and the kernel can
 * decide it (manifests/docs/verdicts.md).
 */
export const CONTAINER_ANCESTOR_FIELDS: readonly FieldDefinition[] = [
  ancestorField(
    'proc.container_aname',
    'CHARBUF',
    'Name',
    (process) => process.image.name,
    IN_CONTAINER,
  ),
  ancestorField(
    'proc.container_aexepath',
    'CHARBUF',
    'Path of the file',
    (process) => process.image.exePath,
    IN_CONTAINER,
  ),
  ancestorField(
    'proc.container_aargs',
    'CHARBUF',
    'Arguments',
    (process) => process.image.args.join(' '),
    IN_CONTAINER,
  ),
];
