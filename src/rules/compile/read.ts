import { listBound, textBound, transformedBound } from '../cost/transformed-bound.ts';
import { boundOf } from '../cost/value-bounds.ts';
import { nearestWord } from '../../shared/nearest.ts';
import { kindOf } from '../fields/field.ts';
import type {
  ArgumentProblem,
  FieldDefinition,
  ListReader,
  Reader,
  SingleReader,
} from '../fields/field.ts';
import { FIELD_NAMES, findField } from '../fields/registry.ts';
import type {
  FieldNode,
  LeftOperand,
  TransformerNode,
  TransformerOperand,
} from '../language/ast.ts';
import { LanguageError } from '../language/errors.ts';
import { printField, printOperand } from '../language/printer.ts';
import type { Read } from './checked.ts';
import { listOf, transform } from './transform.ts';
import type { Operand, Transformed } from './transform.ts';

/** Where the values of fields come from: the field's own reader in an agent, given ones in a rule's test. */
export type FieldSource = (
  field: FieldDefinition,
  argument: string | undefined,
) => Reader | ArgumentProblem;

/**
 * Fields worth a lookup before rules run. They take many values, or tell rules apart. A value comes as the same object in event
 * after event, as the decoder or the process tree caches it. A field that builds its text anew each time would cost more to
 * look up than to test.
 */
const RECURRING: ReadonlySet<string> = new Set([
  'container.image.repository',
  'container.privileged',
  'evt.is_open_read',
  'evt.is_open_write',
  'fd.name',
  'fd.sport',
  'proc.exe',
  'proc.exepath',
  'proc.is_exe_from_memfd',
  'proc.is_exe_upper_layer',
  'proc.name',
  'proc.pname',
]);

/** Fields read the event. */
export const FROM_EVENT: FieldSource = (field, argument) => field.reader(argument);

/**
 * Resolves a field or a transformer over some, as a condition's side or an output has it. Throws LanguageError
 * (LOAD_ERR_COMPILE_CONDITION) with the operand's span.
 */
export function readOperand(operand: LeftOperand, source: FieldSource = FROM_EVENT): Read {
  return operand.kind === 'field' ? readField(operand, source) : readTransformer(operand, source);
}

function readField(node: FieldNode, source: FieldSource): Read {
  const { field, argument } = resolveField(node);
  const reader = source(field, argument);
  if ('problem' in reader) {
    throw new LanguageError(
      'LOAD_ERR_COMPILE_CONDITION',
      `field ${field.name} ${reader.problem}`,
      node.span,
      true,
    );
  }
  const type = field.typeOf?.(argument) ?? field.type;
  return {
    key: printField(node),
    type,
    kind: kindOf(type),
    reader,
    pathDependent: field.pathDependent,
    field: field.name,
    fields: [field.name],
    noVal: field.noVal,
    noTransformer: field.noTransformer,
    // Given values need not follow from each other.
    implied: source === FROM_EVENT ? field.implied : undefined,
    bound: boundOf(field, argument),
    recurring: RECURRING.has(field.name),
  };
}

/** The field that a name stands for, with its argument. Throws LanguageError. */
export function resolveField(node: FieldNode): {
  readonly field: FieldDefinition;
  readonly argument: string | undefined;
} {
  const found = findField(node.name);
  const fail = (message: string, unknown = false): LanguageError =>
    new LanguageError('LOAD_ERR_COMPILE_CONDITION', message, node.span, unknown);
  if (found === undefined) {
    const close = nearestWord(node.name, FIELD_NAMES);
    const hint = close === undefined ? '' : `: did you mean ${close}?`;
    throw fail(`filter_check called with nonexistent field ${node.name}${hint}`, true);
  }
  const { field, dotArgument } = found;
  const argument = node.argument ?? dotArgument;
  if (node.argument !== undefined && dotArgument !== undefined) {
    throw fail(`field ${field.name} has two arguments`);
  }
  if (field.argument === 'none' && argument !== undefined) {
    // To Falco the whole token is no field's name, so that skip-if-unknown-filter skips the rule.
    throw fail(`field ${field.name} takes no argument`, true);
  }
  if (field.argument === 'required' && argument === undefined) {
    throw fail(`field ${field.name} needs an argument`);
  }
  return { field, argument };
}

function readTransformer(node: TransformerNode, source: FieldSource): Read {
  const reads: Read[] = [];
  const operands = node.operands.map((operand) => toOperand(node, operand, source, reads));
  const { type, reader } = unlessProblem(
    node,
    transform(node.name, operands, node.argument),
    node.name,
  );
  return {
    key: printOperand(node),
    type,
    kind: kindOf(type),
    reader,
    pathDependent: reads.some((read) => read.pathDependent),
    field: undefined,
    fields: [...new Set(reads.flatMap((read) => read.fields))],
    noVal: false,
    noTransformer: false,
    implied: undefined,
    bound: transformedBound(
      node.name,
      operands.map((operand) => operand.bound),
      node.argument,
    ),
    recurring: false,
  };
}

function unlessProblem(
  node: { readonly span: TransformerNode['span'] },
  transformed: Transformed,
  name: string,
): Exclude<Transformed, { readonly problem: string }> {
  if (!('problem' in transformed)) return transformed;
  throw new LanguageError(
    'LOAD_ERR_COMPILE_CONDITION',
    `${name}() ${transformed.problem}`,
    node.span,
  );
}

function toOperand(
  node: TransformerNode,
  operand: TransformerOperand,
  source: FieldSource,
  reads: Read[],
): Operand {
  const fail = (message: string): LanguageError =>
    new LanguageError('LOAD_ERR_COMPILE_CONDITION', message, operand.span);
  if (operand.kind === 'text') {
    const { value } = operand;
    const reader: SingleReader = { shape: 'single', read: () => value };
    return { key: `"${value}"`, type: 'CHARBUF', reader, bound: textBound(value) };
  }
  if (operand.kind === 'operands') {
    const items = operand.items.map((item) => toOperand(node, item, source, reads));
    const bound = listBound(items.map((item) => item.bound));
    return { key: 'the list', bound, ...unlessProblem(operand, listOf(items), node.name) };
  }
  const read = readOperand(operand, source);
  reads.push(read);
  // Of a single transformer; join and its like take such fields with an argument, as Falco does.
  if (read.noTransformer && node.operands.length === 1) {
    throw fail(`${read.key} takes no transformer`);
  }
  const words = node.name === 'getopt' ? wordsOf(operand, source) : undefined;
  if (words !== undefined) {
    // A blank or an end of one word comes before each next one.
    const bound = { ...read.bound, values: Math.ceil(read.bound.length / 2) };
    return { key: read.key, type: 'LIST(CHARBUF)', reader: words, bound };
  }
  if (read.reader.shape === 'any') {
    throw fail(`${node.name}() does not take ${read.key}, which has several values`);
  }
  return { key: read.key, type: read.type, reader: read.reader, bound: read.bound };
}

/** A command line as the list of its words, which getopt takes in place of the text. */
function wordsOf(operand: TransformerOperand, source: FieldSource): ListReader | undefined {
  if (operand.kind !== 'field') return undefined;
  const { field, argument } = resolveField(operand);
  const words = field.words?.(argument);
  if (words === undefined) return undefined;
  if (source === FROM_EVENT) return words;
  const given = source(field, argument);
  if ('problem' in given || given.shape !== 'single') return undefined;
  return {
    shape: 'list',
    read(view) {
      const text = given.read(view);
      return text === undefined ? undefined : String(text).split(' ').filter(Boolean);
    },
  };
}
