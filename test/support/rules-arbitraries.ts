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
  OperandListNode,
  RightOperand,
  TextNode,
  TransformerNode,
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

const span = { start: 0, end: 0 };

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

const tree = (leaves: fc.Arbitrary<Condition>): fc.Arbitrary<Condition> =>
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

const typed = (
  names: readonly string[],
  operators: readonly Operator[],
  right: fc.Arbitrary<RightOperand>,
  modifier: fc.Arbitrary<Modifier | undefined> = fc.constant(undefined),
): fc.Arbitrary<Condition> =>
  fc
    .tuple(fc.constantFrom(...names), fc.constantFrom(...operators), right, modifier)
    .map(([name, operator, rightNode, one]): Condition => {
      const match = /^(.*)\[(\d+)\]$/.exec(name);
      return {
        kind: 'compare',
        left: { kind: 'field', name: match?.[1] ?? name, argument: match?.[2], span },
        operator,
        operatorSpan: span,
        modifier: one,
        right: rightNode,
        span,
      };
    });

const TEXT_FIELDS = [
  'proc.name',
  'proc.pname',
  'proc.aname',
  'proc.aname[2]',
  'proc.cmdline',
  'fd.name',
  'fd.directory',
  'fd.filename',
  'user.name',
  'container.name',
  'evt.res',
  'app.org',
];
/** Of few letters, so that they meet the events below often. */
export const word = fc.stringMatching(/^[ab/]{0,4}$/);
const text = word.map((found): TextNode => ({ kind: 'text', value: found, span }));
const glob = fc
  .stringMatching(/^[ab/*?]{0,6}$/)
  .map((found): TextNode => ({ kind: 'text', value: found, span }));
const texts = fc
  .array(text, { maxLength: 7 })
  .map((items): ListNode => ({ kind: 'list', items, span }));
const path = fc
  .stringMatching(/^[ab/]{0,5}$/)
  .map((found): TextNode => ({ kind: 'text', value: found, span }));
const constants = (...values: string[]): fc.Arbitrary<TextNode> =>
  fc.constantFrom(...values).map((found): TextNode => ({ kind: 'text', value: found, span }));
const listOf = (item: fc.Arbitrary<TextNode>): fc.Arbitrary<ListNode> =>
  fc.array(item, { maxLength: 7 }).map((items): ListNode => ({ kind: 'list', items, span }));
const integers = constants('-1', '0', '1', '2', '3', '80', '443', '17', '4242');
const IPS = constants('10.0.0.1', '10.0.0.2', '::1', 'fd00::1', '::ffff:10.0.0.1');
const NETS = constants('10.0.0.0/8', '10.0.0.2/31', '0.0.0.0/0', '::/1', 'fd00::/8');
const NUMBER_FIELDS = [
  'fd.num',
  'evt.rawres',
  'proc.pid',
  'proc.vpid',
  'user.uid',
  'proc.apid',
  'user.loginuid',
];
const PORT_FIELDS = ['fd.sport', 'fd.port'];
const ports = constants('', '0', '1', '80', '443', '4242', 'https');

/** Transformers over fields that exist, compared with what they give. */
function transformed(): fc.Arbitrary<Condition> {
  const name = constants('proc.name', 'proc.pname', 'fd.name', 'proc.cmdline').map(
    ({ value: found }): FieldNode => ({ kind: 'field', name: found, argument: undefined, span }),
  );
  const call = (
    transformerName: TransformerNode['name'],
    operands: TransformerNode['operands'],
    argument?: string,
  ): TransformerNode => ({ kind: 'transformer', name: transformerName, operands, argument, span });
  const of = (
    operand: fc.Arbitrary<TransformerNode>,
    operators: readonly Operator[],
    right: fc.Arbitrary<RightOperand>,
  ): fc.Arbitrary<Condition> =>
    fc
      .tuple(operand, fc.constantFrom(...operators), right)
      .map(([leftNode, operator, rightNode]): Condition => ({
        kind: 'compare',
        left: leftNode,
        operator,
        operatorSpan: span,
        modifier: undefined,
        right: rightNode,
        span,
      }));
  const one = fc
    .tuple(fc.constantFrom('tolower', 'toupper', 'basename', 'b64'), name)
    .map(([by, field]) => call(by, [field]));
  const items = fc
    .array(fc.oneof(name, text), { maxLength: 3 })
    .map((found): OperandListNode => ({ kind: 'operands', items: found, span }));
  return fc.oneof(
    of(one, ['=', '!=', 'contains', 'startswith'], text),
    of(
      fc.oneof(
        name.map((field) => call('len', [field])),
        items.map((list) => call('len', [list])),
      ),
      ['=', '!='],
      integers,
    ),
    of(
      fc.tuple(text, items).map(([separator, list]) => call('join', [separator, list])),
      ['=', 'contains'],
      text,
    ),
    of(
      fc
        .tuple(name, fc.oneof(text, name))
        .map(([first, second]) => call('concat', [first, second])),
      ['=', '!=', 'endswith'],
      text,
    ),
    of(
      items.map((list) => call('getopt', [list, { kind: 'text', value: 'ab:', span }])),
      ['in', 'intersects'],
      texts,
    ),
    of(
      name.map((field) => call('tolower', [field])),
      ['='],
      name.map((field): RightOperand => call('toupper', [field])),
    ),
  );
}

const knownLeaf: fc.Arbitrary<Condition> = fc.oneof(
  typed(TEXT_FIELDS, ['=', '==', '!=', 'contains', 'icontains', 'startswith', 'endswith'], text),
  typed(TEXT_FIELDS, ['glob', 'iglob'], glob),
  typed(TEXT_FIELDS, ['in', 'intersects'], texts),
  typed(TEXT_FIELDS, ['pmatch'], listOf(path)),
  typed(
    TEXT_FIELDS,
    ['=', '!=', 'contains', 'startswith', 'endswith'],
    texts,
    fc.constantFrom(...MODIFIERS),
  ),
  typed(
    ['proc.name', 'proc.cmdline', 'fd.name'],
    ['=', '!=', 'contains', 'startswith'],
    fc.constantFrom('proc.pname', 'proc.name', 'fd.filename').map((name): RightOperand => ({
      kind: 'val',
      field: { kind: 'field', name, argument: undefined, span },
      span,
    })),
  ),
  typed(
    NUMBER_FIELDS,
    ['<', '<=', '>', '>='],
    integers.map(({ value: found }): RightOperand => ({ kind: 'number', text: found, span })),
  ),
  typed(NUMBER_FIELDS, ['=', '!='], integers),
  typed(NUMBER_FIELDS, ['in', 'intersects'], listOf(integers)),
  typed(
    PORT_FIELDS,
    ['<', '<=', '>', '>='],
    constants('0', '80', '443').map(({ value: found }): RightOperand => ({
      kind: 'number',
      text: found,
      span,
    })),
  ),
  typed(PORT_FIELDS, ['=', '!='], ports),
  typed(PORT_FIELDS, ['in', 'intersects'], listOf(ports)),
  typed(
    ['proc.duration', 'proc.ppid.duration'],
    ['<', '<=', '>', '>='],
    constants('0', '5', '100000000000').map(({ value: found }): RightOperand => ({
      kind: 'number',
      text: found,
      span,
    })),
  ),
  typed(['fd.sip', 'fd.ip', 'fd.cip'], ['=', '!='], IPS),
  typed(['fd.sip', 'fd.ip'], ['=', '!='], listOf(IPS), fc.constantFrom(...MODIFIERS)),
  typed(['fd.snet', 'fd.net'], ['=', '!='], listOf(NETS), fc.constantFrom(...MODIFIERS)),
  typed(TEXT_FIELDS, ['regex'], constants('', 'a', '[ab]+', '/?a.*', '(a|b/)*', 'a{1,2}', '.')),
  typed(
    ['proc.name', 'proc.aname'],
    ['regex'],
    listOf(constants('a', '[ab]+', '.*')),
    fc.constantFrom(...MODIFIERS),
  ),
  transformed(),
  typed(['fd.sip', 'fd.ip', 'fd.lip'], ['in', 'intersects'], listOf(IPS)),
  typed(['fd.snet', 'fd.net', 'fd.cnet'], ['=', '!='], NETS),
  typed(['fd.snet', 'fd.net'], ['in'], listOf(NETS)),
  typed(
    ['evt.failed', 'evt.is_open_read', 'evt.is_open_write', 'fd.raced'],
    ['=', '!='],
    constants('true', 'false'),
  ),
  typed(['evt.type'], ['=', '!='], constants('openat', 'connect', 'execve', 'procexit')),
  typed(
    ['evt.type', 'syscall.type'],
    ['in'],
    listOf(constants('openat', 'open', 'connect', 'execve', 'procexit')),
  ),
  fc
    .constantFrom('proc.pname', 'fd.ip', 'fd.sip', 'fd.name', 'proc.aname', 'evt.res')
    .map((name): Condition => ({
      kind: 'exists',
      left: { kind: 'field', name, argument: undefined, span },
      span,
    })),
  fc.constantFrom('m0', 'm1', 'm2').map((name): Condition => ({ kind: 'macro', name, span })),
);

/** Conditions that load, over fields that exist, with macros m0, m1 and m2. */
export const knownCondition: fc.Arbitrary<Condition> = tree(knownLeaf);
/** The same without macros. */
export const knownConditionWithoutMacros: fc.Arbitrary<Condition> = tree(
  knownLeaf.filter((node) => node.kind !== 'macro'),
);

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
