import type {
  Condition,
  FieldNode,
  LeftOperand,
  MacroNode,
  RightOperand,
  Span,
  TransformerOperand,
} from '../language/ast.ts';

/** What the loader has to know of a condition before its names are resolved. */
export interface Inspection {
  /** In the order of the text. */
  readonly macros: readonly MacroNode[];
  /** The first use of each field that has lost its meaning. */
  readonly deprecated: readonly FieldNode[];
  /** Comparisons of a plugin's field with `<NA>`, which is no value of it. */
  readonly unsafe: readonly Span[];
}

/** Fields that say nothing any more: events are seen at their end only. */
const DEPRECATED_FIELDS = [
  'evt.dir',
  'evt.latency',
  'evt.latency.s',
  'evt.latency.ns',
  'evt.latency.human',
  'evt.wait_latency',
] as const;

const EQUALITIES: readonly string[] = ['=', '==', '!=', 'in', 'intersects', 'pmatch'];
const NO_VALUE = '<NA>';

/** Looks through a condition; what its macros are is left to them. */
export function inspect(condition: Condition): Inspection {
  const macros: MacroNode[] = [];
  const deprecated = new Map<string, FieldNode>();
  const unsafe: Span[] = [];
  const visitField = (field: FieldNode): void => {
    const name = DEPRECATED_FIELDS.find((known) => known === field.name);
    if (name !== undefined && !deprecated.has(name)) deprecated.set(name, field);
  };
  const visit = (node: Condition): void => {
    switch (node.kind) {
      case 'and':
      case 'or':
        node.operands.forEach(visit);
        return;
      case 'not':
        visit(node.operand);
        return;
      case 'macro':
        macros.push(node);
        return;
      case 'exists':
        fieldsOf(node.left).forEach(visitField);
        return;
      case 'compare': {
        const fields = fieldsOf(node.left);
        fields.forEach(visitField);
        if (!EQUALITIES.includes(node.operator)) return;
        if (/^(?:ka|jevt)\./.test(fields.at(-1)?.name ?? '') && holdsNoValue(node.right)) {
          unsafe.push(node.span);
        }
      }
    }
  };
  visit(condition);
  return { macros, deprecated: [...deprecated.values()], unsafe };
}

function fieldsOf(operand: LeftOperand | TransformerOperand): FieldNode[] {
  if (operand.kind === 'field') return [operand];
  return operand.kind === 'transformer' ? operand.operands.flatMap(fieldsOf) : [];
}

function holdsNoValue(right: RightOperand): boolean {
  if (right.kind === 'text') return right.value === NO_VALUE;
  return right.kind === 'list' && right.items.some((item) => item.value === NO_VALUE);
}

/** Where an output names fields that have lost their meaning: each once, the longest name that is there. */
export function deprecatedInOutput(text: string): { name: string; span: Span }[] {
  const found = new Map<string, Span>();
  for (const match of text.matchAll(/evt\.(?:dir|wait_latency|latency(?:\.(?:human|ns|s))?)/g)) {
    const [name] = match;
    if (!found.has(name)) {
      found.set(name, { start: match.index, end: match.index + name.length });
    }
  }
  return [...found].map(([name, span]) => ({ name, span }));
}
