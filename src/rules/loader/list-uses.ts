import type { Condition, RightOperand, TransformerOperand } from '../language/ast.ts';
import { LanguageError } from '../language/errors.ts';
import { parse } from '../language/parser.ts';
import { appended } from './definitions.ts';
import type { Definitions } from './definitions.ts';
import { withExceptions } from './exceptions.ts';

/** How a rule's condition depends on a list. */
export interface ListUse {
  /**
   * More items may make the rule match fewer events, or that is unknown. Otherwise it matches the same events and perhaps more.
   */
  readonly loosens: boolean;
  /**
   * Texts of the comparisons with the list that let the rule match more events when they hold. While none holds, more items let
   * it match no additional events. Undefined if unknown.
   */
  readonly growing: ReadonlySet<string> | undefined;
}

/** By a list's name: the rules that refer to it, by name. */
export type ListUses = ReadonlyMap<string, ReadonlyMap<string, ListUse>>;

/** By the name of a list: what a part of a condition makes of it. */
type Uses = Map<string, ListUse>;

/** A comparison that says nothing of how it depends on the list. */
const UNKNOWN: ListUse = { loosens: true, growing: undefined };
const SHRINKS: ListUse = { loosens: true, growing: new Set() };

/**
 * How the rules of `definitions`, which must load, refer to the lists of these names: in their conditions, exceptions and
 * macros, or by other lists.
 */
export function listUses(definitions: Definitions, names: ReadonlySet<string>): ListUses {
  const found = new Map<string, Map<string, ListUse>>();
  const search = new Search(definitions, names);
  for (const rule of definitions.rules.values()) {
    const { text } = withExceptions(appended(rule.condition), rule.exceptions);
    for (const [list, use] of search.ofText(text, true)) {
      const rules = found.get(list) ?? new Map<string, ListUse>();
      found.set(list, rules.set(rule.name, use));
    }
  }
  return found;
}

/** Combines the uses of two parts. */
export function merged(one: ListUse, other: ListUse): ListUse {
  return {
    loosens: one.loosens || other.loosens,
    growing:
      one.growing === undefined || other.growing === undefined
        ? undefined
        : new Set([...one.growing, ...other.growing]),
  };
}

class Search {
  readonly #definitions: Definitions;
  /** By any list's name: those of the wanted that it brings into a condition. */
  readonly #wanted = new Map<string, readonly string[]>();
  /** By name and whether it is referred to without `not`. */
  readonly #macros = new Map<string, Uses>();

  constructor(definitions: Definitions, names: ReadonlySet<string>) {
    this.#definitions = definitions;
    for (const name of definitions.lists.keys()) {
      const reached = [...this.#reachedBy(name)].filter((one) => names.has(one));
      if (reached.length > 0) this.#wanted.set(name, reached);
    }
  }

  ofText(text: string, positive: boolean): Uses {
    const uses: Uses = new Map();
    try {
      this.#visit(parse(text), text, positive, uses);
    } catch (error) {
      // A list may stand where only its items make sense of it.
      if (!(error instanceof LanguageError)) throw error;
      for (const word of text.split(/[\s(),="']+/)) this.#add(word, UNKNOWN, uses);
    }
    return uses;
  }

  /** Itself and the lists within it. */
  #reachedBy(name: string): Set<string> {
    const reached = new Set([name]);
    for (const one of reached) {
      for (const { text } of this.#definitions.lists.get(one)?.items ?? []) {
        if (this.#definitions.lists.has(text)) reached.add(text);
      }
    }
    return reached;
  }

  #visit(node: Condition, text: string, positive: boolean, uses: Uses): void {
    switch (node.kind) {
      case 'and':
      case 'or':
        for (const operand of node.operands) this.#visit(operand, text, positive, uses);
        return;
      case 'not':
        this.#visit(node.operand, text, !positive, uses);
        return;
      case 'macro':
        for (const [list, use] of this.#ofMacro(node.name, positive)) merge(uses, list, use);
        return;
      case 'exists':
        this.#words(node.left, UNKNOWN, uses);
        return;
      case 'compare': {
        const { left, operator, modifier, right, span } = node;
        this.#words(left, UNKNOWN, uses);
        // With more items, all other operators hold for fewer or different values.
        const grows =
          right.kind === 'list' &&
          (['in', 'intersects', 'pmatch'].includes(operator) || modifier === 'anyof');
        const growing = { loosens: false, growing: new Set([text.slice(span.start, span.end)]) };
        this.#words(right, !grows ? UNKNOWN : positive ? growing : SHRINKS, uses);
      }
    }
  }

  #words(operand: RightOperand | TransformerOperand, use: ListUse, uses: Uses): void {
    switch (operand.kind) {
      case 'text':
        this.#add(operand.value, use, uses);
        return;
      case 'list':
      case 'operands':
        for (const item of operand.items) this.#words(item, use, uses);
        return;
      case 'transformer':
        for (const inner of operand.operands) this.#words(inner, UNKNOWN, uses);
    }
  }

  #add(word: string, use: ListUse, uses: Uses): void {
    for (const list of this.#wanted.get(word) ?? []) merge(uses, list, use);
  }

  #ofMacro(name: string, positive: boolean): Uses {
    const key = `${positive ? '' : 'not '}${name}`;
    const known = this.#macros.get(key);
    if (known !== undefined) return known;
    // A name that leads back to itself does not load.
    this.#macros.set(key, new Map());
    const definition = this.#definitions.macros.get(name);
    const uses =
      definition === undefined
        ? new Map<string, ListUse>()
        : this.ofText(appended(definition.condition).text, positive);
    this.#macros.set(key, uses);
    return uses;
  }
}

function merge(uses: Uses, list: string, use: ListUse): void {
  const before = uses.get(list);
  uses.set(list, before === undefined ? use : merged(before, use));
}
