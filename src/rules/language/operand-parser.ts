import { TRANSFORMERS } from './ast.ts';
import type {
  FieldNode,
  OperandListItem,
  TransformerName,
  TransformerNode,
  TransformerOperand,
  ValNode,
} from './ast.ts';
import type { Lexer } from './lexer.ts';

/** The language's limits. A condition past them is an error at the place where it passes them. */
export interface ParseLimits {
  /** Productions of the grammar within each other; a pair of parentheses is five of them. */
  readonly maxDepth: number;
  /** UTF-16 units of the condition's text, after lists are filled in. */
  readonly maxLength: number;
}

export const DEFAULT_LIMITS: ParseLimits = Object.freeze({ maxDepth: 1000, maxLength: 16_777_216 });

/** Reads what is compared: fields, transformers and their operands. The grammar is in parser.ts. @internal */
export class OperandParser {
  readonly lexer: Lexer;
  readonly #limits: ParseLimits;
  #depth = 0;

  constructor(lexer: Lexer, limits: ParseLimits) {
    this.lexer = lexer;
    this.#limits = limits;
  }

  /** Field ::= FieldName [ Argument ] */
  field(): FieldNode | undefined {
    const start = this.lexer.position;
    const name = this.lexer.fieldName();
    if (name === undefined) return undefined;
    return { kind: 'field', name, argument: this.argument(), span: this.lexer.spanFrom(start) };
  }

  /** Argument ::= '[' ( Quoted | FieldArgument ) ']' */
  argument(): string | undefined {
    if (!this.lexer.take('[')) return undefined;
    const argument = this.lexer.quotedString() ?? this.lexer.fieldArgument();
    if (argument === undefined) throw this.lexer.error("expected an argument after '['");
    if (!this.lexer.take(']')) throw this.lexer.error("expected ']'");
    return argument;
  }

  /** Transformer ::= TransformerName '(' Operand { ',' Operand } ')' [ Argument ] */
  transformer(): TransformerNode | undefined {
    const call = this.call();
    if (call === undefined) return undefined;
    if (call.name !== 'getopt') this.#noArgument(call.name);
    const argument = call.name === 'getopt' ? this.argument() : undefined;
    return { ...call, argument, span: this.lexer.spanFrom(call.span.start) };
  }

  /** A transformer without what may stand in brackets after it. */
  call(): TransformerNode | undefined {
    const start = this.lexer.position;
    const name = this.lexer.identifier();
    if (name === undefined || !isTransformer(name) || !this.lexer.take('(')) {
      this.lexer.position = start;
      return undefined;
    }
    return this.within(() => {
      const operands: TransformerOperand[] = [];
      do operands.push(this.#operand());
      while (this.lexer.take(','));
      if (!this.lexer.take(')')) throw this.lexer.error("expected ',' or ')'");
      const span = this.lexer.spanFrom(start);
      return { kind: 'transformer', name, operands, argument: undefined, span };
    });
  }

  #noArgument(name: string): void {
    if (this.lexer.isNext('[')) throw this.lexer.error(`${name}() takes no argument in brackets`);
  }

  /** Operand ::= OperandListItem | '(' [ OperandListItem { ',' OperandListItem } ] ')' */
  #operand(): TransformerOperand {
    this.lexer.skipBlanks();
    const start = this.lexer.position;
    if (!this.lexer.take('(')) {
      const item = this.#operandListItem();
      this.lexer.skipBlanks();
      return item;
    }
    const items: OperandListItem[] = [];
    this.lexer.skipBlanks();
    if (!this.lexer.isNext(')')) {
      do {
        this.lexer.skipBlanks();
        items.push(this.#operandListItem());
        this.lexer.skipBlanks();
      } while (this.lexer.take(','));
    }
    if (!this.lexer.take(')')) throw this.lexer.error("expected ',' or ')' in the list");
    const span = this.lexer.spanFrom(start);
    this.lexer.skipBlanks();
    return { kind: 'operands', items, span };
  }

  /** OperandListItem ::= Transformer | Field | Quoted | Number */
  #operandListItem(): OperandListItem {
    const start = this.lexer.position;
    const value = this.lexer.number() ?? this.lexer.quotedString();
    if (value !== undefined) return { kind: 'text', value, span: this.lexer.spanFrom(start) };
    const item = this.field() ?? this.transformer();
    if (item === undefined) {
      throw this.lexer.error('expected a field, a transformer, a quoted string or a number');
    }
    return item;
  }

  /** Val ::= 'val(' Field ')' */
  val(): ValNode | undefined {
    const start = this.lexer.position;
    if (!this.lexer.take('val(')) return undefined;
    this.lexer.skipBlanks();
    const field = this.field();
    if (field === undefined) throw this.lexer.error("expected a field after 'val('");
    this.lexer.skipBlanks();
    if (!this.lexer.take(')')) throw this.lexer.error("expected ')'");
    this.#noArgument('val');
    return { kind: 'val', field, span: this.lexer.spanFrom(start) };
  }

  /** Reads a production within another. Throws LanguageError when there are too many within each other. */
  within<T>(read: () => T): T {
    this.#depth += 1;
    if (this.#depth >= this.#limits.maxDepth) {
      throw this.lexer.error(
        `exceeded max depth limit of ${this.#limits.maxDepth}: too many parentheses within each other`,
      );
    }
    const value = read();
    this.#depth -= 1;
    return value;
  }
}

function isTransformer(name: string): name is TransformerName {
  return (TRANSFORMERS as readonly string[]).includes(name);
}
