import type { Operator } from '../language/ast.ts';
import { addressOf } from '../fields/descriptor.ts';
import type { Value, ValueKind } from '../fields/field.ts';
import { encodeText } from '../../shared/text.ts';
import { anyNetContains, parseNet } from '../fields/ip.ts';
import { MAX_CONSTANT_BYTES } from './constant.ts';
import { compileGlob } from './glob.ts';
import { lowerAscii } from './letters.ts';
import { compilePathMatch } from './path-match.ts';
import { ENGINE_SEARCH, includesText } from './search.ts';
import { compileRegex } from './regex.ts';

/** Puts a value where generated code can reach it and returns its name there. */
export type Hoist = (value: unknown) => string;

/** A test of one value of the operator's kind. */
export type Predicate = (value: Value) => boolean;

/** One operator: what it takes and what it does. The whole language is the table below. */
export interface OperatorDefinition {
  /** Kinds of the left side. */
  readonly kinds: readonly ValueKind[];
  /** The right side is a list. */
  readonly list: boolean;
  /** May have `val(field)` on the right; then `compare` is there. */
  readonly val: boolean;
  /** Costs little enough to do again rather than to remember. */
  readonly cheap: boolean;
  /** The test for constants: one, or the list's. */
  predicate(kind: ValueKind, values: readonly Value[]): Predicate;
  /** The same as a JavaScript expression over `v`, which is defined. */
  emit(kind: ValueKind, values: readonly Value[], hoist: Hoist): string;
  /** The test for two values of the same kind. */
  compare(left: Value, right: Value): boolean;
}

const ORDERED = ['number', 'wide', 'text'] as const;
const EVERY = ['text', 'bytes', 'number', 'wide', 'bool', 'ip', 'net'] as const;
const TEXT = ['text'] as const;
const TEXT_OR_BYTES = ['text', 'bytes'] as const;
const BYTES = ['bytes'] as const;

/** A literal that means the same value in generated code. */
export function literal(value: Value): string {
  if (typeof value === 'bigint') return `${value}n`;
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

const first = (values: readonly Value[]): Value => values[0] ?? '';

/** Operators on text and bytes, which need nothing but a function of two strings. */
function onText(
  kinds: readonly ValueKind[],
  compare: (left: string, right: string) => boolean,
  emit: (right: string, hoist: Hoist) => string,
): OperatorDefinition {
  return {
    kinds,
    list: false,
    val: true,
    cheap: false,
    predicate: (_kind, values) => {
      const right = String(first(values));
      return (value) => compare(String(value), right);
    },
    emit: (_kind, values, hoist) => emit(String(first(values)), hoist),
    compare: (left, right) => compare(String(left), String(right)),
  };
}

function ordered(
  symbol: '<' | '<=' | '>' | '>=',
  holds: (order: number) => boolean,
): OperatorDefinition {
  const compare = (left: Value, right: Value): boolean => {
    // As strcmp(3): by the bytes.
    if (typeof left === 'string' || typeof right === 'string') {
      return holds(Buffer.compare(encodeText(String(left)), encodeText(String(right))));
    }
    return holds(left < right ? -1 : left > right ? 1 : 0);
  };
  return {
    kinds: ORDERED,
    list: false,
    val: true,
    cheap: true,
    predicate: (_kind, values) => {
      const right = first(values);
      return (value) => compare(value, right);
    },
    emit: (kind, values, hoist) =>
      kind === 'text'
        ? `${hoist((value: Value) => compare(value, first(values)))}(v)`
        : `v ${symbol} ${literal(first(values))}`,
    compare,
  };
}

function netPredicate(values: readonly Value[]): Predicate {
  const nets = values.map((value) => parseNet(String(value))).filter((net) => net !== undefined);
  const contain = anyNetContains(nets);
  return (value) => {
    const address = addressOf(String(value));
    return address !== undefined && contain(address);
  };
}

function equality(equal: boolean): OperatorDefinition {
  return {
    kinds: EVERY,
    list: false,
    val: true,
    cheap: true,
    predicate: (kind, values) => {
      if (kind === 'net') {
        const inside = netPredicate(values);
        return (value) => inside(value) === equal;
      }
      const right = first(values);
      return (value) => (value === right) === equal;
    },
    emit: (kind, values, hoist) => {
      if (kind === 'net') return `${hoist(netPredicate(values))}(v) === ${equal}`;
      return `v ${equal ? '===' : '!=='} ${literal(first(values))}`;
    },
    compare: (left, right) => (left === right) === equal,
  };
}

/** Up to this many constants are compared one by one: faster than hashing the value. */
const CHAIN_LENGTH = 4;

const MEMBERSHIP: OperatorDefinition = {
  kinds: EVERY,
  list: true,
  val: true,
  cheap: true,
  predicate: (kind, values) => {
    if (kind === 'net') return netPredicate(values);
    const set = new Set(values);
    return (value) => set.has(value);
  },
  emit: (kind, values, hoist) => {
    if (values.length === 0) return 'false';
    if (kind === 'net') return `${hoist(netPredicate(values))}(v)`;
    if (values.length > CHAIN_LENGTH) return `${hoist(new Set(values))}.has(v)`;
    return `(${values.map((value) => `v === ${literal(value)}`).join(' || ')})`;
  },
  compare: (left, right) => left === right,
};

const PATH_MATCH: OperatorDefinition = {
  kinds: ['text'],
  list: true,
  val: false,
  cheap: false,
  predicate: (_kind, values) => {
    const matches = compilePathMatch(values.map(String));
    return (value) => matches(String(value));
  },
  emit: (_kind, values, hoist) => `${hoist(compilePathMatch(values.map(String)))}(v)`,
  compare: () => false,
};

const globOperator = (foldCase: boolean): OperatorDefinition => ({
  ...onText(
    TEXT,
    // A field's pattern is a process's to choose: it gets no more room than a rule's, or it could take any time.
    (left, right) => right.length <= MAX_CONSTANT_BYTES && compileGlob(right, foldCase).test(left),
    (right, hoist) => `${hoist(compileGlob(right, foldCase).test)}(v)`,
  ),
  predicate: (_kind, values) => {
    const matches = compileGlob(String(first(values)), foldCase).test;
    return (value) => matches(String(value));
  },
});

const REGEX: OperatorDefinition = {
  ...onText(
    TEXT,
    () => false,
    (right, hoist) => `${hoist(regexTest(right))}(v)`,
  ),
  val: false,
  predicate: (_kind, values) => {
    const matches = regexTest(String(first(values)));
    return (value) => matches(String(value));
  },
};

/** The check has refused patterns that are wrong. */
function regexTest(pattern: string): (value: string) => boolean {
  const compiled = compileRegex(pattern);
  if (typeof compiled === 'string') throw new Error(`the regular expression ${compiled}`);
  return compiled.test;
}

const contains = (kinds: readonly ValueKind[]): OperatorDefinition =>
  onText(kinds, includesText, (right, hoist) =>
    right.length <= ENGINE_SEARCH
      ? `v.includes(${literal(right)})`
      : `${hoist(includesText)}(v,${literal(right)})`,
  );

const startsWith = (kinds: readonly ValueKind[]): OperatorDefinition =>
  onText(
    kinds,
    (left, right) => left.startsWith(right),
    (right) => `v.startsWith(${literal(right)})`,
  );

/** The operators, but for `exists`, which every kind has. */
export const OPERATORS: Readonly<Record<Operator, OperatorDefinition>> = {
  '=': equality(true),
  '==': equality(true),
  '!=': equality(false),
  '<': ordered('<', (order) => order < 0),
  '<=': ordered('<=', (order) => order <= 0),
  '>': ordered('>', (order) => order > 0),
  '>=': ordered('>=', (order) => order >= 0),
  contains: contains(TEXT_OR_BYTES),
  icontains: onText(
    TEXT,
    (left, right) => includesText(lowerAscii(left), lowerAscii(right)),
    (right, hoist) =>
      `${hoist(includesText)}(${hoist(lowerAscii)}(v),${literal(lowerAscii(right))})`,
  ),
  bcontains: contains(BYTES),
  startswith: startsWith(TEXT_OR_BYTES),
  bstartswith: startsWith(BYTES),
  endswith: onText(
    TEXT_OR_BYTES,
    (left, right) => left.endsWith(right),
    (right) => `v.endsWith(${literal(right)})`,
  ),
  glob: globOperator(false),
  iglob: globOperator(true),
  in: MEMBERSHIP,
  intersects: MEMBERSHIP,
  pmatch: PATH_MATCH,
  regex: REGEX,
};
