// Random conditions, as trees: for the properties of printer, parser and code generator.
import fc from 'fast-check';
import type {
  CompareNode,
  Condition,
  FieldNode,
  LeftOperand,
  ListNode,
  Modifier,
  Operator,
  OperandListItem,
  RightOperand,
  TextNode,
  TransformerOperand,
} from '../../src/rules/language/ast.ts';
import {
  LIST_OPERATORS,
  MODIFIERS,
  NUMBER_OPERATORS,
  STRING_SYMBOL_OPERATORS,
  STRING_WORD_OPERATORS,
  TRANSFORMERS,
} from '../../src/rules/language/ast.ts';

/** Of nodes that stand in no text. */
export const span = { start: 0, end: 0 };

/** The tree without its spans: what is to be equal. */
export function withoutSpans(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withoutSpans);
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key]) => key !== 'span' && key !== 'operatorSpan')
      .map(([key, value]) => [key, withoutSpans(value)]),
  );
}

const identifier = fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9_]{0,8}$/);
/** Not a keyword where one may stand, and not a transformer. */
const macroName = identifier.filter(
  (name) => !['and', 'or', 'not', 'exists', 'val', ...TRANSFORMERS].includes(name),
);
const value = fc.oneof(
  // bytes that are never UTF-8, as escapes give them
  fc
    .array(fc.integer({ min: 0xdcf8, max: 0xdcff }), { minLength: 1, maxLength: 3 })
    .map((codes) => {
      return `a${String.fromCharCode(...codes)}`;
    }),
  fc.string({ unit: 'binary', maxLength: 12 }).map((text) => Buffer.from(text).toString()),
  fc.constantFrom(
    'anyof',
    'oneof',
    'and',
    'or',
    'not',
    'val',
    'in',
    '',
    ' ',
    '"',
    "'",
    '\\',
    '\\x41',
    '(',
    ',',
    '=',
    'tolower',
    'a b',
  ),
  fc.stringMatching(/^[a-z/.*-]{1,10}$/),
);

const fieldNode: fc.Arbitrary<FieldNode> = fc.record({
  kind: fc.constant('field'),
  name: fc
    .tuple(identifier, fc.array(identifier, { minLength: 1, maxLength: 3 }))
    .map(([first, rest]) => [first, ...rest].join('.')),
  argument: fc.option(value, { nil: undefined }),
  span: fc.constant(span),
});
const textNode: fc.Arbitrary<TextNode> = value.map((text) => ({ kind: 'text', value: text, span }));
const listNode: fc.Arbitrary<ListNode> = fc
  .array(textNode, { maxLength: 4 })
  .map((items) => ({ kind: 'list', items, span }));

const { transformer } = fc.letrec<{ transformer: LeftOperand; item: OperandListItem }>((tie) => ({
  transformer: fc
    .tuple(
      fc.constantFrom(...TRANSFORMERS),
      fc.array(
        fc.oneof(
          tie('item') as fc.Arbitrary<TransformerOperand>,
          fc
            .array(tie('item'), { maxLength: 2 })
            .map((items) => ({ kind: 'operands' as const, items, span })),
        ),
        { minLength: 1, maxLength: 3 },
      ),
      fc.option(value, { nil: undefined }),
    )
    .map(([name, operands, argument]) => ({
      kind: 'transformer' as const,
      name,
      operands,
      argument: name === 'getopt' ? argument : undefined,
      span,
    })),
  item: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fieldNode,
    textNode,
    tie('transformer') as fc.Arbitrary<OperandListItem>,
  ),
}));

const left: fc.Arbitrary<LeftOperand> = fc.oneof(
  { weight: 4, arbitrary: fieldNode },
  { weight: 1, arbitrary: transformer },
);
const computed: fc.Arbitrary<RightOperand> = fc.oneof(
  fieldNode.map((field): RightOperand => ({ kind: 'val', field, span })),
  transformer as fc.Arbitrary<RightOperand>,
);

const compare = (
  operators: readonly Operator[],
  right: fc.Arbitrary<RightOperand>,
  modifier: fc.Arbitrary<Modifier | undefined> = fc.constant(undefined),
): fc.Arbitrary<CompareNode> =>
  fc.record({
    kind: fc.constant('compare'),
    left,
    operator: fc.constantFrom(...operators),
    operatorSpan: fc.constant(span),
    modifier,
    right,
    span: fc.constant(span),
  });

const STRING_OPERATORS = [...STRING_SYMBOL_OPERATORS, ...STRING_WORD_OPERATORS];
const number = fc.stringMatching(/^(0x[0-9a-f]{1,4}|[+-]?[0-9]{1,6}(\.[0-9]{1,2})?(e[+-][0-9])?)$/);

const leaf: fc.Arbitrary<Condition> = fc.oneof(
  macroName.map((name): Condition => ({ kind: 'macro', name, span })),
  left.map((operand): Condition => ({ kind: 'exists', left: operand, span })),
  compare(STRING_OPERATORS, fc.oneof(textNode, computed)),
  compare(STRING_OPERATORS, listNode, fc.constantFrom(...MODIFIERS)),
  compare(LIST_OPERATORS, fc.oneof(listNode, computed)),
  compare(
    NUMBER_OPERATORS,
    fc.oneof(
      number.map((text): RightOperand => ({ kind: 'number', text, span })),
      computed,
    ),
  ),
);

/** Conditions of these leaves, joined and turned around. */
export const tree = (leaves: fc.Arbitrary<Condition>): fc.Arbitrary<Condition> =>
  fc.letrec<{ node: Condition }>((tie) => ({
    node: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true },
      leaves,
      tie('node').map((operand): Condition => ({ kind: 'not', operand, span })),
      fc
        .tuple(
          fc.constantFrom('and' as const, 'or' as const),
          fc.array(tie('node'), { minLength: 2, maxLength: 4 }),
        )
        .map(([kind, operands]): Condition => ({ kind, operands, span })),
    ),
  })).node;

/** Any condition of the grammar: its fields and macros need not exist. */
export const anyCondition: fc.Arbitrary<Condition> = tree(leaf);

/** Conditions of these comparisons, joined and turned around. */
export const conditionOf = (leaves: readonly string[]): fc.Arbitrary<string> =>
  fc.letrec<{ tree: string }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom(...leaves),
      fc.array(tie('tree'), { minLength: 2, maxLength: 3 }).map((of) => `(${of.join(' and ')})`),
      fc.array(tie('tree'), { minLength: 2, maxLength: 3 }).map((of) => `(${of.join(' or ')})`),
      tie('tree').map((inner) => `not (${inner})`),
    ),
  })).tree;
