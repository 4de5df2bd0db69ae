import { FIELD_CLASSES } from '../rules/fields/registry.ts';
import type { FieldClass, FieldDefinition } from '../rules/fields/field.ts';
import type { Io } from './io.ts';

export interface FieldsArgs {
  /** Also list Falco's fields that are not supported yet, and say of each which it is. */
  readonly status?: boolean;
  /** One JSON document for machines instead of a table. */
  readonly json?: boolean;
  /** Only fields whose name or description holds this, in any case. */
  readonly filter?: string;
}

interface Row {
  readonly name: string;
  readonly type: string;
  readonly status: FieldDefinition['status'];
  readonly description: string;
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
    rows: rowsOf(fieldClass, args),
  })).filter(({ rows }) => rows.length > 0);
  if (args.json === true) {
    const document = classes.map(({ fieldClass, rows }) => ({
      class: fieldClass.name,
      description: fieldClass.description,
      fields: rows,
    }));
    io.stdout(`${JSON.stringify(document, undefined, 2)}\n`);
  } else if (classes.length === 0) {
    io.stderr(`No field has '${args.filter ?? ''}' in its name or description.\n`);
  } else {
    io.stdout(classes.map(({ fieldClass, rows }) => table(fieldClass, rows, args, io)).join('\n'));
  }
  return classes.length === 0 ? 1 : 0;
}

function rowsOf(fieldClass: FieldClass, args: FieldsArgs): Row[] {
  const wanted = args.filter?.toLowerCase() ?? '';
  return fieldClass.fields
    .filter((field) => args.status === true || field.status === 'available')
    .filter((field) => `${field.name} ${field.description}`.toLowerCase().includes(wanted))
    .map((field) => ({
      name: field.argument === 'none' ? field.name : `${field.name}[…]`,
      type: field.type,
      status: field.status,
      description: field.description,
    }));
}

function table(fieldClass: FieldClass, rows: readonly Row[], args: FieldsArgs, io: Io): string {
  const bold = (text: string): string => (io.isTty ? `\x1b[1m${text}\x1b[0m` : text);
  const columns = rows.map((row) =>
    args.status === true ? [row.name, row.type, row.status] : [row.name, row.type],
  );
  const widths = (columns[0] ?? []).map((_, index) =>
    Math.max(...columns.map((cells) => (cells[index] ?? '').length)),
  );
  const indent = widths.reduce((sum, width) => sum + width + 2, 2);
  const lines = rows.map((row, index) => {
    const cells = (columns[index] ?? []).map((cell, at) => cell.padEnd((widths[at] ?? 0) + 2));
    return `  ${cells.join('')}${wrap(row.description, io.columns - indent, indent)}`;
  });
  return `${bold(fieldClass.name)}: ${fieldClass.description}\n${lines.join('\n')}\n`;
}

/** Breaks a text at blanks; too narrow a column is left to the terminal. */
function wrap(text: string, width: number, indent: number): string {
  if (width < 24) return text;
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line === '') lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines.join(`\n${' '.repeat(indent)}`);
}
