// Random conditions that load: for the property that generated code and tree walk agree.
import fc from 'fast-check';
import type {
  Condition,
  FieldNode,
  ListNode,
  Modifier,
  Operator,
  OperandListNode,
  RightOperand,
  TextNode,
  TransformerNode,
} from '../../src/rules/language/ast.ts';
import { MODIFIERS } from '../../src/rules/language/ast.ts';
import { span, tree } from './rules-arbitraries.ts';

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
