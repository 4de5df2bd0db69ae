/**
 * The grammar, in full. `blank` is one of space, \t, \b, \r, \n; terminals are the lexer's.
 *
 *   Condition        ::= Or
 *   Or               ::= And { 'or' And }
 *   And              ::= Not { 'and' Not }
 *   Not              ::= { 'not' } Check                  (an even number of `not` is none)
 *   Check            ::= '(' Or ')' | Left Comparison | Macro
 *   Left             ::= Field | Transformer
 *   Field            ::= FieldName [ Argument ]
 *   Argument         ::= '[' ( Quoted | FieldArgument ) ']'
 *   Transformer      ::= TransformerName '(' Operand { ',' Operand } ')' [ Argument ]
 *   Operand          ::= OperandListItem | '(' [ OperandListItem { ',' OperandListItem } ] ')'
 *   OperandListItem  ::= Transformer | Field | Quoted | Number
 *   Val              ::= 'val(' Field ')'
 *   Comparison       ::= 'exists'
 *                      | NumberOperator ( Val | Transformer | Number )
 *                      | StringOperator ( blank Modifier blank ( List | Identifier ) | Val | Transformer | Value )
 *                      | ListOperator ( List | Val | Transformer | Identifier )
 *   List             ::= '(' [ Value { ',' Value } ] ')'
 *   Value            ::= Quoted | Bare
 *   NumberOperator   ::= '<' | '<=' | '>' | '>='
 *   StringOperator   ::= '=' | '==' | '!=' | ( 'glob' | 'iglob' | 'contains' | 'icontains' | 'bcontains'
 *                      | 'startswith' | 'bstartswith' | 'endswith' | 'regex' ) blank
 *   ListOperator     ::= 'in' | 'intersects' | 'pmatch'
 *   Modifier         ::= 'oneof' | 'anyof' | 'allof'
 *
 * After `and`, `or` and `not` a blank or '(' must follow. No blank stands between a transformer's or `val`'s
 * name and its '(', nor before an argument's '['.
 */
import {
  LIST_OPERATORS,
  MODIFIERS,
  NUMBER_OPERATORS,
  STRING_SYMBOL_OPERATORS,
  STRING_WORD_OPERATORS,
} from './ast.ts';
import type {
  CompareNode,
  Condition,
  ExistsNode,
  LeftOperand,
  ListNode,
  Modifier,
  Operator,
  RightOperand,
  Span,
  TextNode,
  TransformerNode,
} from './ast.ts';
import { advice, type Expected } from './advice.ts';
import { LanguageError } from './errors.ts';
import { Lexer } from './lexer.ts';
import { DEFAULT_LIMITS, OperandParser, type ParseLimits } from './operand-parser.ts';

/** Parses a condition. Throws LanguageError (LOAD_ERR_COMPILE_CONDITION) with a span of `text`. */
export function parse(text: string, limits: ParseLimits = DEFAULT_LIMITS): Condition {
  return new Parser(text, limits).condition();
}

/**
 * Parses the transformer that begins at `offset`, as outputs have them, without an argument after it; `end` is the
 * offset after it. Undefined when no transformer begins there. Throws LanguageError like parse().
 */
export function parseTransformerAt(
  text: string,
  offset: number,
): { readonly operand: TransformerNode; readonly end: number } | undefined {
  return new Parser(text, DEFAULT_LIMITS).transformerAt(offset);
}

/** Parses the argument in brackets that begins at `offset`; undefined when what is there is none. */
export function parseArgumentAt(
  text: string,
  offset: number,
): { readonly argument: string; readonly end: number } | undefined {
  return new Parser(text, DEFAULT_LIMITS).argumentAt(offset);
}

/** @internal */
class Parser {
  readonly #lexer: Lexer;
  readonly #operands: OperandParser;
  readonly #limits: ParseLimits;

  constructor(text: string, limits: ParseLimits) {
    // In the tree a lone surrogate is a byte (TextNode), which only an escape in quotes can write.
    this.#lexer = new Lexer(text.replace(/\p{Surrogate}/gu, '\ufffd'));
    this.#operands = new OperandParser(this.#lexer, limits);
    this.#limits = limits;
  }

  transformerAt(offset: number): { operand: TransformerNode; end: number } | undefined {
    this.#lexer.position = offset;
    const operand = this.#operands.call();
    return operand === undefined ? undefined : { operand, end: this.#lexer.position };
  }

  argumentAt(offset: number): { argument: string; end: number } | undefined {
    this.#lexer.position = offset;
    try {
      const argument = this.#operands.argument();
      return argument === undefined ? undefined : { argument, end: this.#lexer.position };
    } catch (error) {
      if (error instanceof LanguageError) return undefined;
      throw error;
    }
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
      throw this.#expected("'and', 'or' or the end of the condition", 'joint');
    }
    return condition;
  }

  #expected(what: string, expected: Expected): LanguageError {
    const { text, position } = this.#lexer;
    const said = advice(text, position, expected);
    return this.#lexer.error(`expected ${what}${said === undefined ? '' : `. ${said}`}`);
  }

  /** Or ::= And { 'or' And } */
  #or(): Condition {
    return this.#operands.within(() => {
      const operands = this.#chain('or', () => this.#and());
      const [first] = operands;
      if (first !== undefined && operands.length === 1) return first;
      return { kind: 'or', operands, span: spanOf(operands) };
    });
  }

  /** And ::= Not { 'and' Not } */
  #and(): Condition {
    return this.#operands.within(() => {
      const operands = this.#chain('and', () => this.#not());
      const [first] = operands;
      if (first !== undefined && operands.length === 1) return first;
      return { kind: 'and', operands, span: spanOf(operands) };
    });
  }

  #chain(keyword: 'and' | 'or', operand: () => Condition): Condition[] {
    const operands = [operand()];
    for (;;) {
      this.#lexer.skipBlanks();
      if (!this.#lexer.take(keyword)) return operands;
      if (!this.#lexer.skipBlanks() && !this.#lexer.isNext('(')) {
        throw this.#lexer.error(`expected blank or '(' after '${keyword}'`);
      }
      operands.push(operand());
    }
  }

  /** Not ::= { 'not' } Check */
  #not(): Condition {
    return this.#operands.within(() => {
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
    });
  }

  /** Check ::= '(' Or ')' | Left Comparison | Macro */
  #check(): Condition {
    return this.#operands.within(() => {
      const start = this.#lexer.position;
      if (this.#lexer.take('(')) return this.#operands.within(() => this.#parenthesized());
      const field = this.#operands.field();
      if (field !== undefined) return this.#comparison(field);
      const transformer = this.#operands.transformer();
      if (transformer !== undefined) return this.#comparison(transformer);
      const name = this.#lexer.identifier();
      if (name !== undefined) return { kind: 'macro', name, span: this.#lexer.spanFrom(start) };
      throw this.#expected("a '(', a field, a transformer or the name of a macro", 'check');
    });
  }

  #parenthesized(): Condition {
    const inner = this.#or();
    this.#lexer.skipBlanks();
    if (!this.#lexer.take(')')) throw this.#expected("')'", 'joint');
    return inner;
  }

  /** Comparison ::= 'exists' | NumberOperator … | StringOperator … | ListOperator … */
  #comparison(left: LeftOperand): CompareNode | ExistsNode {
    const { start } = left.span;
    this.#lexer.skipBlanks();
    const operatorStart = this.#lexer.position;
    // No blank need follow: `fd.name existsand x` is taken, as in Falco.
    if (this.#lexer.take('exists')) {
      return { kind: 'exists', left, span: this.#lexer.spanFrom(start) };
    }
    const operator = this.#operator();
    const operatorSpan = this.#lexer.spanFrom(operatorStart);
    const apart = this.#lexer.skipBlanks();
    let modifier: Modifier | undefined;
    let right: RightOperand;
    if (isOneOf(NUMBER_OPERATORS, operator)) right = this.#numberValue();
    else if (isOneOf(LIST_OPERATORS, operator)) right = this.#listValue(operator);
    else ({ modifier, right } = this.#stringValue(apart));
    const span = this.#lexer.spanFrom(start);
    return { kind: 'compare', left, operator, operatorSpan, modifier, right, span };
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
    // No blank need follow these (G5).
    for (const word of LIST_OPERATORS) if (this.#lexer.take(word)) return word;
    throw this.#expected('an operator', 'operator');
  }

  /** Number | Val | Transformer */
  #numberValue(): RightOperand {
    const start = this.#lexer.position;
    const computed = this.#operands.val() ?? this.#operands.transformer();
    if (computed !== undefined) return computed;
    const text = this.#lexer.number();
    if (text === undefined) throw this.#lexer.error('expected a number');
    return { kind: 'number', text, span: this.#lexer.spanFrom(start) };
  }

  /** Modifier ( List | Identifier ) | Val | Transformer | Value */
  #stringValue(apart: boolean): { modifier: Modifier | undefined; right: RightOperand } {
    const modified = apart ? this.#modified() : undefined;
    if (modified !== undefined) return modified;
    const right = this.#operands.val() ?? this.#operands.transformer() ?? this.#value();
    if (right === undefined) throw this.#expected('a value', 'value');
    return { modifier: undefined, right };
  }

  /** Nothing is taken when the word is not followed by a list: then it is the value itself (G6). */
  #modified(): { modifier: Modifier; right: ListNode } | undefined {
    const start = this.#lexer.position;
    const word = this.#lexer.identifier();
    if (word !== undefined && isOneOf(MODIFIERS, word) && this.#lexer.skipBlanks()) {
      if (this.#lexer.isNext('(')) return { modifier: word, right: this.#list() };
      const joins = ['and', 'or', 'not'].some((joint) => this.#lexer.isKeyword(joint));
      const name = joins ? undefined : this.#listName();
      if (name !== undefined) return { modifier: word, right: name };
    }
    this.#lexer.position = start;
    return undefined;
  }

  /** List | Val | Transformer | Identifier */
  #listValue(operator: Operator): RightOperand {
    if (this.#lexer.isNext('(')) return this.#list();
    const right = this.#operands.val() ?? this.#operands.transformer() ?? this.#listName();
    if (right === undefined) {
      throw this.#lexer.error(`expected a list such as (a, b) after '${operator}'`);
    }
    return right;
  }

  /** An identifier in a list's place: a list of one, by now filled in if it was a list's name. */
  #listName(): ListNode | undefined {
    const start = this.#lexer.position;
    const value = this.#lexer.identifier();
    if (value === undefined) return undefined;
    const span = this.#lexer.spanFrom(start);
    return { kind: 'list', items: [{ kind: 'text', value, span }], span };
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
}

function isOneOf<const T extends string>(words: readonly T[], word: string): word is T {
  return (words as readonly string[]).includes(word);
}

function spanOf(nodes: readonly Condition[]): Span {
  return { start: nodes[0]?.span.start ?? 0, end: nodes.at(-1)?.span.end ?? 0 };
}
