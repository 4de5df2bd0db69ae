/**
 * The condition language as a tree.
 *
 * One word a concept, here and in the rest of the code:
 * - *event*: one thing the kernel did, as the probe reports it (`openat`, `execve`, …).
 * - *param*: one of the event's own values by its name in Falco's event table (`flags`, `name`).
 * - *field*: a named value of an event and its surroundings that rules can use (`proc.name`).
 * - *argument*: what stands in a field's brackets (`proc.aname[2]`).
 * - *operand*: the left or right side of a comparison; *operator*: what compares them; *modifier*:
 *   `oneof`, `anyof`, `allof` before a list on the right.
 * - *transformer*: a function over operands (`tolower(proc.name)`).
 * - *condition*: the whole tree of and, or, not, comparisons and macros.
 * - *macro*: a named condition; *list*: named values, replaced in the text before parsing.
 * - *rule*: a condition with output, priority and description; *match*: a rule and the event that met
 *   its condition; *detection*: a match written out for a log; *response*: what else is done about it.
 * - *stream*: where detections go; *app*: who they belong to; *scope*: which containers are watched;
 *   *plan*: what the rules need of the kernel.
 *
 * Identifiers in comments and names of tests, such as (G5) or (R6), are those of manifests/docs/semantics.md.
 */

/** Where a node stands in the condition's text: UTF-16 offsets, `end` exclusive. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export const NUMBER_OPERATORS = ['<=', '<', '>=', '>'] as const;
export const STRING_SYMBOL_OPERATORS = ['==', '=', '!='] as const;
export const STRING_WORD_OPERATORS = [
  'glob',
  'iglob',
  'contains',
  'icontains',
  'bcontains',
  'startswith',
  'bstartswith',
  'endswith',
  'regex',
] as const;
export const LIST_OPERATORS = ['intersects', 'in', 'pmatch'] as const;

/** Operators with two operands. With `exists` they are the language's twenty, `=` and `==` being two. */
export type Operator =
  | (typeof NUMBER_OPERATORS)[number]
  | (typeof STRING_SYMBOL_OPERATORS)[number]
  | (typeof STRING_WORD_OPERATORS)[number]
  | (typeof LIST_OPERATORS)[number];

export const MODIFIERS = ['oneof', 'anyof', 'allof'] as const;
export type Modifier = (typeof MODIFIERS)[number];

export const TRANSFORMERS = [
  'tolower',
  'toupper',
  'b64',
  'basename',
  'len',
  'join',
  'concat',
  'getopt',
] as const;
export type TransformerName = (typeof TRANSFORMERS)[number];

/** `proc.aname[2]` */
export interface FieldNode {
  readonly kind: 'field';
  readonly name: string;
  readonly argument: string | undefined;
  readonly span: Span;
}

/** `tolower(proc.name)`; only getopt has an argument. */
export interface TransformerNode {
  readonly kind: 'transformer';
  readonly name: TransformerName;
  readonly operands: readonly TransformerOperand[];
  readonly argument: string | undefined;
  readonly span: Span;
}

/**
 * A string, quoted or bare: which of the two has no meaning once it is read. A byte of an escape (`\xff`) that is
 * no part of UTF-8 is the lone surrogate U+DC00 + byte, as in the texts of events (`decodeText`).
 */
export interface TextNode {
  readonly kind: 'text';
  readonly value: string;
  readonly span: Span;
}

/** The value of a number operator, as written (its type is the field's). */
export interface NumberNode {
  readonly kind: 'number';
  readonly text: string;
  readonly span: Span;
}

/** `(a, "b", c)` */
export interface ListNode {
  readonly kind: 'list';
  readonly items: readonly TextNode[];
  readonly span: Span;
}

/** `val(proc.pname)` on the right: another field's value. */
export interface ValNode {
  readonly kind: 'val';
  readonly field: FieldNode;
  readonly span: Span;
}

/** `(fd.name, "b", 3)` among a transformer's operands. */
export interface OperandListNode {
  readonly kind: 'operands';
  readonly items: readonly OperandListItem[];
  readonly span: Span;
}

export type OperandListItem = FieldNode | TransformerNode | TextNode;
export type TransformerOperand = OperandListItem | OperandListNode;
export type LeftOperand = FieldNode | TransformerNode;
export type RightOperand = TextNode | NumberNode | ListNode | ValNode | TransformerNode;

export interface ExistsNode {
  readonly kind: 'exists';
  readonly left: LeftOperand;
  readonly span: Span;
}

export interface CompareNode {
  readonly kind: 'compare';
  readonly left: LeftOperand;
  readonly operator: Operator;
  readonly operatorSpan: Span;
  readonly modifier: Modifier | undefined;
  readonly right: RightOperand;
  readonly span: Span;
}

/** A reference to a macro by name. */
export interface MacroNode {
  readonly kind: 'macro';
  readonly name: string;
  readonly span: Span;
}

export interface NotNode {
  readonly kind: 'not';
  readonly operand: Condition;
  readonly span: Span;
}

/** `a and b and c` is one node with three operands; never fewer than two. */
export interface AndNode {
  readonly kind: 'and';
  readonly operands: readonly Condition[];
  readonly span: Span;
}

export interface OrNode {
  readonly kind: 'or';
  readonly operands: readonly Condition[];
  readonly span: Span;
}

export type Condition = OrNode | AndNode | NotNode | MacroNode | ExistsNode | CompareNode;
