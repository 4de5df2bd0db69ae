import type { Checked } from '../../rules/compile/checked.ts';

/** Conditions of more comparisons are shown with their macros by name: filling them in could take forever. */
const MAX_FILLED_IN = 5000;

/** And of this type, read in one go: `a or b` within `a or b` is one chain, `not not a` is a. */
type Shown =
  | { readonly kind: 'and' | 'or'; readonly operands: readonly Shown[] }
  | { readonly kind: 'not'; readonly operand: Shown }
  | { readonly kind: 'text'; readonly text: string };

/** Are its macros filled in when it is written out? Otherwise they stand there by their names. */
export function canFillIn(condition: Checked): boolean {
  return sizeOf(condition) <= MAX_FILLED_IN;
}

/** The condition with its macros and lists filled in, as the language reads it. */
export function filledIn(condition: Checked): string {
  return inOneLine(toShown(condition, !canFillIn(condition)));
}

/** The same for people: a part a line, indented, in lines of at most `columns` where its parts allow it. */
export function filledInLines(condition: Checked, columns: number): readonly string[] {
  return layOut(toShown(condition, !canFillIn(condition)), columns);
}

/** How many comparisons it has with its macros filled in. */
function sizeOf(condition: Checked): number {
  const known = new Map<Checked, number>();
  const size = (part: Checked): number => {
    const before = known.get(part);
    if (before !== undefined) return before;
    const found = count(part);
    known.set(part, found);
    return found;
  };
  const count = (part: Checked): number => {
    switch (part.kind) {
      case 'and':
      case 'or':
        return part.operands.reduce((sum, operand) => sum + size(operand), 0);
      case 'not':
        return size(part.operand);
      case 'macro':
        return size(part.macro.body);
      case 'test':
        return 1;
    }
  };
  return size(condition);
}

function toShown(condition: Checked, abridged: boolean): Shown {
  switch (condition.kind) {
    case 'and':
    case 'or': {
      const { kind } = condition;
      const operands = condition.operands
        .map((operand) => toShown(operand, abridged))
        .flatMap((operand) => (operand.kind === kind ? operand.operands : [operand]));
      return { kind, operands };
    }
    case 'not': {
      const operand = toShown(condition.operand, abridged);
      return operand.kind === 'not' ? operand.operand : { kind: 'not', operand };
    }
    case 'macro':
      return abridged
        ? { kind: 'text', text: condition.macro.name }
        : toShown(condition.macro.body, abridged);
    case 'test':
      return { kind: 'text', text: condition.test.key };
  }
}

/** `and` binds closer than `or`, `not` closest; one within another gets parentheses where they say which is which. */
function needsGroup(operand: Shown, outer: Shown['kind']): boolean {
  if (outer === 'not') return operand.kind !== 'text';
  return operand.kind === 'and' || operand.kind === 'or';
}

function inOneLine(shown: Shown): string {
  const inner = (operand: Shown): string => {
    const text = inOneLine(operand);
    return needsGroup(operand, shown.kind) ? `(${text})` : text;
  };
  switch (shown.kind) {
    case 'and':
    case 'or':
      return shown.operands.map(inner).join(` ${shown.kind} `);
    case 'not':
      return `not ${inner(shown.operand)}`;
    case 'text':
      return shown.text;
  }
}

function layOut(shown: Shown, columns: number): readonly string[] {
  if (fits(shown, columns)) return [inOneLine(shown)];
  const inner = (operand: Shown, prefix: string): readonly string[] => {
    const grouped = needsGroup(operand, shown.kind);
    const start = grouped ? `${prefix}(` : prefix;
    const lines = layOut(operand, columns - start.length - (grouped ? 1 : 0));
    const indented = lines.map((line, at) =>
      at === 0 ? `${start}${line}` : `${' '.repeat(start.length)}${line}`,
    );
    return grouped ? [...indented.slice(0, -1), `${indented.at(-1) ?? ''})`] : indented;
  };
  switch (shown.kind) {
    case 'and':
    case 'or':
      return shown.operands.flatMap((operand, at) =>
        inner(operand, at === 0 ? '' : `${shown.kind} `),
      );
    case 'not':
      return inner(shown.operand, 'not ');
    case 'text':
      return wrapTest(shown.text, columns);
  }
}

/** Without writing all of it out, which would be done again on each level of a deep condition. */
function fits(shown: Shown, columns: number): boolean {
  const left = { columns };
  const visit = (part: Shown): boolean => {
    if (left.columns < 0) return false;
    switch (part.kind) {
      case 'and':
      case 'or':
        left.columns -= (part.operands.length - 1) * (part.kind.length + 2);
        return part.operands.every((operand) => {
          if (needsGroup(operand, part.kind)) left.columns -= 2;
          return visit(operand);
        });
      case 'not':
        left.columns -= needsGroup(part.operand, 'not') ? 6 : 4;
        return visit(part.operand);
      case 'text':
        left.columns -= part.text.length;
        return left.columns >= 0;
    }
  };
  return visit(shown);
}

/** Breaks a long list after its commas: not within quotes, where a blank is part of the value. */
function wrapTest(text: string, columns: number): readonly string[] {
  const words = text.match(/(?:"(?:[^"\\]|\\.)*"|[^\s"])+/g) ?? [text];
  const lines: string[] = [];
  for (const word of words) {
    const line = lines.at(-1);
    if (line === undefined) lines.push(word);
    else if (line.length + 1 + word.length <= columns) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(`  ${word}`);
  }
  return lines;
}
