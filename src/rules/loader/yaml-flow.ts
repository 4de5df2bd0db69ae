import type { Place, RuleSource } from './source.ts';
import { Scalar } from './yaml-node.ts';
import type { YamlEntry, YamlMap, YamlNode, YamlScalar, YamlSequence } from './yaml-node.ts';
import { scanPlainLine, scanPlainRest, scanQuoted, startsPlain } from './yaml-scalars.ts';
import type { Piece } from './yaml-scalars.ts';
import type { YamlText } from './yaml-text.ts';

/** Bounds of a rule file: values with those that aliases repeat, and values within each other. */
export const MAX_NODES = 2_000_000;
const MAX_DEPTH = 256;

/** A value that was read, and how many there are in it, itself and those of aliases counted. */
interface ReadNode {
  readonly node: YamlNode;
  readonly size: number;
}

/** What stands before a value: `&anchor`, `!tag`. */
export interface Properties {
  readonly anchor: string | undefined;
  readonly isTagged: boolean;
}

export const NO_PROPERTIES: Properties = { anchor: undefined, isTagged: false };
/** What is quoted or in a block of its own is a text, be it `null`. */
export const AS_TEXT: Properties = { anchor: undefined, isTagged: true };

/** Reads values in brackets, in quotes, and what is the same in either style of YAML. */
export class FlowReader {
  protected readonly yaml: YamlText;
  readonly #source: RuleSource;
  readonly #budget: { nodes: number };
  /** By anchor, the last that was read; undefined while it is. */
  readonly #anchors = new Map<string, ReadNode | undefined>();
  #depth = 0;

  /** `budget`: how many values may still be read. */
  constructor(source: RuleSource, yaml: YamlText, budget: { nodes: number }) {
    this.#source = source;
    this.yaml = yaml;
    this.#budget = budget;
  }

  protected asKey(node: YamlNode): YamlScalar {
    if (node.kind === 'scalar') return node;
    throw this.yaml.fail('a key must be a word', node.place.start);
  }

  /** A value in brackets, in quotes, or an alias: what is the same in either style. */
  protected flow(properties: Properties): YamlNode {
    const yaml = this.yaml;
    const start = yaml.at;
    const char = yaml.char();
    switch (char) {
      case '"':
      case "'":
        return this.scalar(start, scanQuoted(yaml), AS_TEXT);
      case '[':
        return this.#flowSequence();
      case '{':
        return this.#flowMap();
      case '*':
        if (properties !== NO_PROPERTIES) throw yaml.fail('an alias may have no anchor or tag');
        return this.#alias();
      default:
        throw yaml.fail(`a value may not begin with ${char}: put it in quotes`);
    }
  }

  /** A value within brackets, which may be none. */
  #flowNode(): YamlNode {
    const yaml = this.yaml;
    yaml.skip();
    return this.node((properties) => {
      yaml.skip();
      const start = yaml.at;
      if (yaml.atEnd || ',]}'.includes(yaml.char()) || yaml.isIndicator(':')) {
        return this.empty(properties, start);
      }
      if (!startsPlain(yaml, true)) return this.flow(properties);
      const pieces = scanPlainRest(yaml, scanPlainLine(yaml, true), -1, true);
      return this.scalar(start, pieces, properties);
    });
  }

  #flowSequence(): YamlSequence {
    const yaml = this.yaml;
    const start = yaml.at;
    const items: YamlNode[] = [];
    yaml.at += 1;
    for (;;) {
      yaml.skip();
      if (yaml.char() === ']') break;
      const pairStart = yaml.at;
      const isKey = yaml.isIndicator('?');
      if (isKey) yaml.at += 1;
      const item = this.#flowNode();
      if (isKey || this.#isFlowValue(item)) {
        items.push(this.#pair(pairStart, item));
      } else items.push(item);
      this.#endOfItem(']', start);
    }
    yaml.at += 1;
    return { kind: 'sequence', items, place: this.place(start) };
  }

  #flowMap(): YamlMap {
    const yaml = this.yaml;
    const start = yaml.at;
    const entries: YamlEntry[] = [];
    yaml.at += 1;
    for (;;) {
      yaml.skip();
      if (yaml.char() === '}') break;
      if (yaml.isIndicator('?')) yaml.at += 1;
      const key = this.#flowNode();
      entries.push({ key: this.asKey(key), value: this.#flowValue(key) });
      this.#endOfItem('}', start);
    }
    yaml.at += 1;
    return { kind: 'map', entries, place: this.place(start) };
  }

  #pair(start: number, key: YamlNode): YamlMap {
    const entries = [{ key: this.asKey(key), value: this.#flowValue(key) }];
    return { kind: 'map', entries, place: this.place(start) };
  }

  #flowValue(key: YamlNode): YamlNode {
    if (!this.#isFlowValue(key)) return this.nothing(this.yaml.at);
    this.yaml.at += 1;
    return this.#flowNode();
  }

  /** After what is quoted or in brackets no blank need follow the colon. */
  #isFlowValue(key: YamlNode): boolean {
    const yaml = this.yaml;
    yaml.skip();
    if (yaml.char() !== ':') return false;
    if (yaml.isBlankAt(yaml.at + 1) || ',]}'.includes(yaml.char(1))) return true;
    return '"\']}'.includes(yaml.text.charAt(key.place.end - 1));
  }

  #endOfItem(close: ']' | '}', start: number): void {
    const yaml = this.yaml;
    yaml.skip();
    if (yaml.char() === ',') yaml.at += 1;
    else if (yaml.atEnd || yaml.isMarker()) throw yaml.fail(`a closing ${close} is missing`, start);
    else if (yaml.char() !== close) throw yaml.fail(`a comma or a closing ${close} is missing`);
  }

  #alias(): YamlNode {
    const yaml = this.yaml;
    const start = yaml.at;
    yaml.at += 1;
    const name = this.#word();
    if (name === '') throw yaml.fail('an alias must have a name', start);
    const target = this.#anchors.get(name);
    if (target === undefined) {
      throw yaml.fail(
        this.#anchors.has(name)
          ? `alias *${name} stands within the value that it means`
          : `unknown alias *${name}`,
        start,
      );
    }
    // The very value, but counted again, since all who walk over it do so again.
    this.#spend(target.size, start);
    return target.node;
  }

  /** The name of an anchor or an alias. */
  #word(): string {
    const name = /[^\s,[\]{}]*/y;
    name.lastIndex = this.yaml.at;
    const found = name.exec(this.yaml.text)?.[0] ?? '';
    this.yaml.at += found.length;
    return found;
  }

  /** Reads anchor and tag, then the value with `read`. */
  protected node(read: (properties: Properties) => YamlNode): YamlNode {
    const yaml = this.yaml;
    const start = yaml.at;
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) throw yaml.fail('values are nested too deeply');
    const before = this.#budget.nodes;
    const isAlias = yaml.char() === '*';
    const properties = this.#properties();
    const { anchor } = properties;
    if (anchor !== undefined) this.#anchors.set(anchor, undefined);
    if (!isAlias) this.#spend(1, start);
    const node = read(properties);
    if (anchor !== undefined) {
      this.#anchors.set(anchor, { node, size: before - this.#budget.nodes });
    }
    this.#depth -= 1;
    return node;
  }

  #properties(): Properties {
    const yaml = this.yaml;
    let anchor: string | undefined;
    let isTagged = false;
    for (;;) {
      const start = yaml.at;
      if (yaml.char() === '&' && anchor === undefined) {
        yaml.at += 1;
        anchor = this.#word();
        if (anchor === '') throw yaml.fail('an anchor must have a name', start);
      } else if (yaml.char() === '!' && !isTagged) {
        isTagged = true;
        const tag = /![^\s,[\]{}]*/y;
        tag.lastIndex = start;
        yaml.at += tag.exec(yaml.text)?.[0].length ?? 1;
      } else if (yaml.char() === '&' || yaml.char() === '!') {
        throw yaml.fail('a value may have one anchor and one tag');
      } else break;
      yaml.skipBlanks();
    }
    return anchor === undefined && !isTagged ? NO_PROPERTIES : { anchor, isTagged };
  }

  /** Aliases can make a small file mean an endless one. */
  #spend(nodes: number, at: number): void {
    this.#budget.nodes -= nodes;
    if (this.#budget.nodes >= 0) return;
    throw this.yaml.fail(`more than ${MAX_NODES} values, with those that aliases repeat`, at);
  }

  protected nothing(at: number): Scalar {
    return new Scalar([], this.place(at), true);
  }

  protected empty({ isTagged }: Properties, at: number): Scalar {
    return new Scalar([], this.place(at), !isTagged);
  }

  protected scalar(start: number, pieces: readonly Piece[], { isTagged }: Properties): Scalar {
    const scalar = new Scalar(pieces, this.place(start), false);
    if (isTagged || !['~', 'null', 'Null', 'NULL'].includes(scalar.text)) return scalar;
    return new Scalar([], scalar.place, true);
  }

  protected place(start: number): Place {
    return { source: this.#source, start, end: Math.max(this.yaml.at, start) };
  }
}
