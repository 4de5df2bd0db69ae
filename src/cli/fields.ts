import { COMPARED_FIELDS } from '../rules/fields/compared.gen.ts';
import { FIELD_CLASSES } from '../rules/fields/registry.ts';
import type { FieldClass, FieldDefinition } from '../rules/fields/field.ts';
import type { Io } from './io.ts';
import { textTable } from './text-table.ts';

export interface FieldsArgs {
  /** Also list Falco's fields that are absent in every event so far, and say of each how far it is proven. */
  readonly status?: boolean;
  /** One JSON document for machines instead of a table. */
  readonly json?: boolean;
  /** Only fields whose name or description holds this, in any case. */
  readonly filter?: string;
}

/**
 * `varvel fields`: the fields that rules can use, by class. Resolves to the exit code: 0, or 1 when the filter
 * leaves nothing.
 */
// Asynchronous like every command.
// eslint-disable-next-line @typescript-eslint/require-await
export async function runFields(args: FieldsArgs, io: Io): Promise<number> {
  const classes = FIELD_CLASSES.map((fieldClass) => ({
    fieldClass,
    fields: fieldClass.fields.filter((field) => isWanted(field, args)),
  })).filter(({ fields }) => fields.length > 0);
  if (args.json === true) {
    const document = classes.map(({ fieldClass, fields }) => ({
      class: fieldClass.name,
      description: fieldClass.description,
      fields: fields.map(toJson),
    }));
    io.stdout(`${JSON.stringify(document, undefined, 2)}\n`);
  } else if (classes.length === 0) {
    io.stderr(`No field has '${args.filter ?? ''}' in its name or description.${hint(args)}\n`);
  } else {
    io.stdout(
      classes.map(({ fieldClass, fields }) => table(fieldClass, fields, args, io)).join('\n'),
    );
  }
  return classes.length === 0 ? 1 : 0;
}

function isWanted(field: FieldDefinition, { status, filter = '' }: FieldsArgs): boolean {
  if (status !== true && field.status !== 'available') return false;
  return `${field.name} ${field.description}`.toLowerCase().includes(filter.toLowerCase());
}

/** Says where to look for what only --status shows. */
function hint(args: FieldsArgs): string {
  const withStatus = { ...args, status: true };
  const some = FIELD_CLASSES.some(({ fields }) => fields.some((f) => isWanted(f, withStatus)));
  return args.status !== true && some ? ' With --status there is one.' : '';
}

/** How far a field is proven: its values agree with another source's, or it only has some, or has none yet. */
type FieldStatus = 'compared' | 'not compared' | 'not yet';

function statusOf(field: FieldDefinition): FieldStatus {
  if (field.status === 'not yet') return 'not yet';
  return sourcesOf(field).length > 0 ? 'compared' : 'not compared';
}

/** What the end-to-end tests have compared it with; of a field by its params, all of them. */
function sourcesOf({ name }: FieldDefinition): readonly string[] {
  const found = Object.entries(COMPARED_FIELDS)
    .filter(([key]) => key === name || (PARAM_FIELDS.has(name) && key.startsWith(`${name}.`)))
    .flatMap(([, sources]) => sources);
  return [...new Set(found)].sort();
}

const PARAM_FIELDS: ReadonlySet<string> = new Set(['evt.arg', 'evt.rawarg']);

function toJson(field: FieldDefinition): object {
  const { name, type, argument, dotArgument, description } = field;
  const { noVal, noTransformer, filterOnly, deprecated } = field;
  return {
    name,
    type,
    argument,
    dotArgument,
    status: statusOf(field),
    compared_with: sourcesOf(field),
    description,
    noVal,
    noTransformer,
    filterOnly,
    deprecated,
  };
}

function table(
  { name, description }: FieldClass,
  fields: readonly FieldDefinition[],
  args: FieldsArgs,
  io: Io,
): string {
  const title = io.isTty ? `\x1b[1m${name}\x1b[0m` : name;
  const rows = fields.map((field) => ({
    cells: [
      `${field.name}${ARGUMENTS[field.argument]}`,
      field.type,
      ...(args.status === true ? [statusOf(field)] : []),
    ],
    text: `${field.description}${limits(field)}${args.status === true ? proof(field) : ''}`,
  }));
  return `${title}: ${description}\n${textTable(rows, io.columns).join('\n')}\n`;
}

const proof = (field: FieldDefinition): string => {
  const sources = sourcesOf(field);
  return sources.length === 0 ? '' : ` Compared with ${sources.join('; ')}.`;
};

const ARGUMENTS = { none: '', optional: '[…]', required: '[…]' } as const;

/** What a field is not for, as sentences. */
function limits({ noVal, noTransformer, filterOnly, deprecated, description }: FieldDefinition) {
  const not = [
    ...(noVal ? ['val()'] : []),
    ...(noTransformer ? ['transformers'] : []),
    ...(filterOnly ? ['outputs'] : []),
  ];
  const last = not.pop();
  const list = not.length === 0 ? last : `${not.join(', ')} or ${last ?? ''}`;
  return [
    last === undefined ? '' : ` Not for ${list ?? ''}.`,
    deprecated && !description.startsWith('Deprecated') ? ' Deprecated.' : '',
  ].join('');
}
