/**
 * The grammar, in full. `blank` is one of space, \t, \b, \r, \n; terminals are the lexer's.
 *
 *   Condition        ::= Or
 *   Or               ::= And { 'or' And }
 *   And              ::= Not { 'and' Not }
 *   Not              ::= { 'not' } Check                  (an even number of `not` is none)
 *   Check            ::= '(' Or ')' | Left Comparison | Macro
 *   Left             ::= Field | Transformer
 *   Field            ::= FieldName [ '[' ( Quoted | FieldArgument ) ']' ]
 *   Transformer      ::= TransformerName '(' Operand { ',' Operand } ')' [ '[' Argument ']' ]
 *   Operand          ::= Transformer | Val | Field | Quoted | Bare | '(' Operand { ',' Operand } ')'
 *   Val              ::= 'val' '(' Field ')'
 *   Comparison       ::= 'exists'
 *                      | NumberOperator ( Number | Val | Transformer )
 *                      | StringOperator ( [ Modifier ] List | Val | Transformer | Quoted | Bare )
 *                      | ListOperator ( List | Val | Transformer )
 *   List             ::= '(' [ Value { ',' Value } ] ')' | Value
 *   Value            ::= Quoted | Bare
 *   NumberOperator   ::= '<' | '<=' | '>' | '>='
 *   StringOperator   ::= '=' | '==' | '!=' | ( 'glob' | 'iglob' | 'contains' | 'icontains' | 'bcontains'
 *                      | 'startswith' | 'bstartswith' | 'endswith' | 'regex' ) blank
 *   ListOperator     ::= 'in' | 'intersects' | 'pmatch'
 *   Modifier         ::= 'oneof' | 'anyof' | 'allof'
 *
 * After `and`, `or` and `not` a blank or '(' must follow.
 */
import {
  LIST_OPERATORS,
  MODIFIERS,
  NUMBER_OPERATORS,
  STRING_SYMBOL_OPERATORS,
  STRING_WORD_OPERATORS,
  TRANSFORMERS,
} from './ast.ts';
import type {
  CompareNode,
  Condition,
  ExistsNode,
  FieldNode,
  LeftOperand,
  ListNode,
  Modifier,
  Operator,
  RightOperand,
  Span,
  TextNode,
  TransformerName,
  TransformerNode,
  TransformerOperand,
  ValNode,
} from './ast.ts';
import type { LanguageError } from './errors.ts';
import { Lexer } from './lexer.ts';

/** The language's limits. A condition past them is an error at the place where it passes them. */
export interface ParseLimits {
  /** Parentheses and transformers within each other. */
  readonly maxDepth: number;
  /** UTF-16 units of the condition's text, after lists are filled in. */
  readonly maxLength: number;
}

export const DEFAULT_LIMITS: ParseLimits = Object.freeze({ maxDepth: 250, maxLength: 262_144 });

/** Parses a condition. Throws LanguageError (LOAD_ERR_COMPILE_CONDITION) with a span of `text`. */
export function parse(text: string, limits: ParseLimits = DEFAULT_LIMITS): Condition {
  return new Parser(text, limits).condition();
}

/** @internal */
class Parser {
  readonly #lexer: Lexer;
  readonly #limits: ParseLimits;
  #depth = 0;

  constructor(text: string, limits: ParseLimits) {
    this.#lexer = new Lexer(text);
    this.#limits = limits;
  }

  /** Condition ::= Or, and nothing after it */
  condition(): Condition {
    const { text } = this.#lexer;
    if (text.length > this.#limits.maxLength) {
      const start = this.#limits.maxLength;
      throw this.#lexer.error(`the condition is longer than ${start} characters`, {
        start,
        end: text.length,
      });
    }
    this.#lexer.skipBlanks();
    if (this.#lexer.atEnd()) throw this.#lexer.error('the condition is empty');
    const condition = this.#or();
    this.#lexer.skipBlanks();
    if (!this.#lexer.atEnd()) {
      throw this.#lexer.error("expected 'and', 'or' or the end of the condition");
    }
    return condition;
  }

  /** Or ::= And { 'or' And } */
  #or(): Condition {
    const operands = this.#chain('or', () => this.#and());
    const [first] = operands;
    if (first !== undefined && operands.length === 1) return first;
    return { kind: 'or', operands, span: spanOf(operands) };
  }

  /** And ::= Not { 'and' Not } */
  #and(): Condition {
    const operands = this.#chain('and', () => this.#not());
    const [first] = operands;
    if (first !== undefined && operands.length === 1) return first;
    return { kind: 'and', operands, span: spanOf(operands) };
  }

  #chain(keyword: 'and' | 'or', operand: () => Condition): Condition[] {
    const operands = [operand()];
    for (;;) {
      this.#lexer.skipBlanks();
      if (!this.#lexer.take(keyword)) return operands;
      if (!this.#lexer.skipBlanks() && !this.#lexer.text.startsWith('(', this.#lexer.position)) {
        throw this.#lexer.error(`expected blank or '(' after '${keyword}'`);
      }
      operands.push(operand());
    }
  }

  /** Not ::= { 'not' } Check */
  #not(): Condition {
    this.#lexer.skipBlanks();
    const start = this.#lexer.position;
    let negated = false;
    while (this.#lexer.isWord('not', '(')) {
      this.#lexer.take('not');
      this.#lexer.skipBlanks();
      negated = !negated;
    }
    const operand = this.#check();
    return negated ? { kind: 'not', operand, span: this.#lexer.spanFrom(start) } : operand;
  }

  /** Check ::= '(' Or ')' | Left Comparison | Macro */
  #check(): Condition {
    const start = this.#lexer.position;
    if (this.#lexer.take('(')) {
      const inner = this.#nested({ start, end: start + 1 }, () => this.#or());
      this.#lexer.skipBlanks();
      if (!this.#lexer.take(')')) throw this.#lexer.error("expected ')'");
      return inner;
    }
    const field = this.#field();
    if (field !== undefined) return this.#comparison(field);
    const transformer = this.#transformer();
    if (transformer !== undefined) return this.#comparison(transformer);
    const name = this.#lexer.identifier();
    if (name !== undefined) return { kind: 'macro', name, span: this.#lexer.spanFrom(start) };
    throw this.#lexer.error("expected a '(', a field, a transformer or the name of a macro");
  }

  /** Field ::= FieldName [ '[' ( Quoted | FieldArgument ) ']' ] */
  #field(): FieldNode | undefined {
    const start = this.#lexer.position;
    const name = this.#lexer.fieldName();
    if (name === undefined) return undefined;
    return { kind: 'field', name, argument: this.#argument(), span: this.#lexer.spanFrom(start) };
  }

  #argument(): string | undefined {
    if (!this.#lexer.take('[')) return undefined;
    const argument = this.#lexer.quotedString() ?? this.#lexer.fieldArgument();
    if (argument === undefined) throw this.#lexer.error("expected an argument after '['");
    if (!this.#lexer.take(']')) throw this.#lexer.error("expected ']'");
    return argument;
  }

  /** Transformer ::= TransformerName '(' Operand { ',' Operand } ')' [ '[' Argument ']' ] */
  #transformer(): TransformerNode | undefined {
    const start = this.#lexer.position;
    const name = this.#lexer.identifier();
    if (name === undefined || !isTransformer(name) || !this.#lexer.take('(')) {
      this.#lexer.position = start;
      return undefined;
    }
    const operands = this.#operands({ start, end: this.#lexer.position });
    const argument = name === 'getopt' ? this.#argument() : undefined;
    return {
      kind: 'transformer',
      name,
      operands,
      argument,
      span: this.#lexer.spanFrom(start),
    };
  }

  /** Operand { ',' Operand } ')' */
  #operands(opened: Span): TransformerOperand[] {
    return this.#nested(opened, () => {
      const operands: TransformerOperand[] = [];
      do {
        this.#lexer.skipBlanks();
        operands.push(this.#operand());
        this.#lexer.skipBlanks();
      } while (this.#lexer.take(','));
      if (!this.#lexer.take(')')) throw this.#lexer.error("expected ',' or ')'");
      return operands;
    });
  }

  /** Operand ::= Transformer | Val | Field | Quoted | Bare | '(' Operand { ',' Operand } ')' */
  #operand(): TransformerOperand {
    const start = this.#lexer.position;
    if (this.#lexer.take('(')) {
      const items = this.#operands({ start, end: start + 1 });
      return { kind: 'operands', items, span: this.#lexer.spanFrom(start) };
    }
    const operand = this.#transformer() ?? this.#val() ?? this.#field() ?? this.#value();
    if (operand === undefined)
      throw this.#lexer.error('expected a field, a string or a transformer');
    return operand;
  }

  /** Val ::= 'val' '(' Field ')' */
  #val(): ValNode | undefined {
    const start = this.#lexer.position;
    if (!this.#lexer.take('val(')) return undefined;
    this.#lexer.skipBlanks();
    const field = this.#field();
    if (field === undefined) throw this.#lexer.error("expected a field after 'val('");
    this.#lexer.skipBlanks();
    if (!this.#lexer.take(')')) throw this.#lexer.error("expected ')'");
    return { kind: 'val', field, span: this.#lexer.spanFrom(start) };
  }

  /** Comparison ::= 'exists' | NumberOperator … | StringOperator … | ListOperator … */
  #comparison(left: LeftOperand): CompareNode | ExistsNode {
    const { start } = left.span;
    this.#lexer.skipBlanks();
    const operatorStart = this.#lexer.position;
    if (this.#lexer.isKeyword('exists')) {
      this.#lexer.take('exists');
      return { kind: 'exists', left, span: this.#lexer.spanFrom(start) };
    }
    const operator = this.#operator();
    const operatorSpan = this.#lexer.spanFrom(operatorStart);
    this.#lexer.skipBlanks();
    let modifier: Modifier | undefined;
    let right: RightOperand;
    if (isOneOf(NUMBER_OPERATORS, operator)) right = this.#numberValue();
    else if (isOneOf(LIST_OPERATORS, operator)) right = this.#listValue(operator);
    else ({ modifier, right } = this.#stringValue());
    return {
      kind: 'compare',
      left,
      operator,
      operatorSpan,
      modifier,
      right,
      span: this.#lexer.spanFrom(start),
    };
  }

  #operator(): Operator {
    for (const symbol of [...NUMBER_OPERATORS, ...STRING_SYMBOL_OPERATORS]) {
      if (this.#lexer.take(symbol)) return symbol;
    }
    for (const word of STRING_WORD_OPERATORS) {
      if (this.#lexer.isWord(word, '')) {
        this.#lexer.take(word);
        return word;
      }
    }
    for (const word of LIST_OPERATORS) {
      if (this.#lexer.isWord(word, '(')) {
        this.#lexer.take(word);
        return word;
      }
    }
    throw this.#lexer.error('expected an operator');
  }

  /** Number | Val | Transformer */
  #numberValue(): RightOperand {
    const start = this.#lexer.position;
    const computed = this.#val() ?? this.#transformer();
    if (computed !== undefined) return computed;
    const text = this.#lexer.number();
    if (text === undefined) throw this.#lexer.error('expected a number');
    return { kind: 'number', text, span: this.#lexer.spanFrom(start) };
  }

  /** [ Modifier ] List | Val | Transformer | Quoted | Bare */
  #stringValue(): { modifier: Modifier | undefined; right: RightOperand } {
    const modified = this.#modified();
    if (modified !== undefined) return modified;
    const right = this.#val() ?? this.#transformer() ?? this.#value();
    if (right === undefined) throw this.#lexer.error('expected a value');
    return { modifier: undefined, right };
  }

  /** Modifier List; nothing is taken when the word is not followed by a list: then it is the value (G6). */
  #modified(): { modifier: Modifier; right: ListNode } | undefined {
    const start = this.#lexer.position;
    const word = this.#lexer.identifier();
    if (word !== undefined && isOneOf(MODIFIERS, word)) {
      const apart = this.#lexer.skipBlanks();
      if (this.#lexer.text.startsWith('(', this.#lexer.position)) {
        return { modifier: word, right: this.#list() };
      }
      const joins = this.#lexer.isKeyword('and') || this.#lexer.isKeyword('or');
      const nameStart = this.#lexer.position;
      const name = apart && !joins ? this.#lexer.identifier() : undefined;
      if (name !== undefined)
        return { modifier: word, right: listOfOne(name, this.#lexer.spanFrom(nameStart)) };
    }
    this.#lexer.position = start;
    return undefined;
  }

  /** List | Val | Transformer */
  #listValue(operator: Operator): RightOperand {
    const computed = this.#val() ?? this.#transformer();
    if (computed !== undefined) return computed;
    if (this.#lexer.text.startsWith('(', this.#lexer.position)) return this.#list();
    const value = this.#value();
    if (value === undefined) throw this.#lexer.error(`expected a list after '${operator}'`);
    return { kind: 'list', items: [value], span: value.span };
  }

  /** '(' [ Value { ',' Value } ] ')' */
  #list(): ListNode {
    const start = this.#lexer.position;
    this.#lexer.take('(');
    this.#lexer.skipBlanks();
    const items: TextNode[] = [];
    if (this.#lexer.take(')')) return { kind: 'list', items, span: this.#lexer.spanFrom(start) };
    do {
      this.#lexer.skipBlanks();
      const item = this.#value();
      if (item === undefined) throw this.#lexer.error('expected a value in the list');
      items.push(item);
      this.#lexer.skipBlanks();
    } while (this.#lexer.take(','));
    if (!this.#lexer.take(')')) throw this.#lexer.error("expected ',' or ')' in the list");
    return { kind: 'list', items, span: this.#lexer.spanFrom(start) };
  }

  /** Value ::= Quoted | Bare */
  #value(): TextNode | undefined {
    const start = this.#lexer.position;
    const value = this.#lexer.quotedString() ?? this.#lexer.bareString();
    if (value === undefined) return undefined;
    return { kind: 'text', value, span: this.#lexer.spanFrom(start) };
  }

  #nested<T>(opened: Span, read: () => T): T {
    this.#depth += 1;
    if (this.#depth > this.#limits.maxDepth) throw this.#tooDeep(opened);
    const value = read();
    this.#depth -= 1;
    return value;
  }

  #tooDeep(span: Span): LanguageError {
    return this.#lexer.error(
      `more than ${this.#limits.maxDepth} parentheses within each other`,
      span,
    );
  }
}

function isOneOf<const T extends string>(words: readonly T[], word: string): word is T {
  return (words as readonly string[]).includes(word);
}

function isTransformer(name: string): name is TransformerName {
  return isOneOf(TRANSFORMERS, name);
}

function listOfOne(value: string, span: Span): ListNode {
  return { kind: 'list', items: [{ kind: 'text', value, span }], span };
}

function spanOf(nodes: readonly Condition[]): Span {
  return { start: nodes[0]?.span.start ?? 0, end: nodes.at(-1)?.span.end ?? 0 };
}
