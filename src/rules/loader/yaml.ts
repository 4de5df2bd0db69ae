import type { RuleSource } from './source.ts';
import { AS_TEXT, FlowReader, MAX_NODES, NO_PROPERTIES } from './yaml-flow.ts';
import type { Properties } from './yaml-flow.ts';
import { YamlError } from './yaml-node.ts';
import type { YamlEntry, YamlMap, YamlNode, YamlScalar, YamlSequence } from './yaml-node.ts';
import { scanBlock, scanPlainLine, scanPlainRest, startsPlain } from './yaml-scalars.ts';
import { YamlSyntaxError, YamlText } from './yaml-text.ts';

const TAB = 'a tab may not be used as indentation';
const NO_PART = 'this is no part of what stands before it: mind the indentation and quotes';

/**
 * Reads a file's documents; an empty one is left out. Throws YamlError at the first thing wrong.
 *
 * What Falco's reader, yaml-cpp, takes is taken with the same meaning, and that is not what YAML libraries for
 * JavaScript take: lists in brackets and texts in quotes may go on in any column, keys may repeat, a document may
 * follow without a marker, a scalar is what is written. Each character of a value knows its place, and a file of any
 * content costs time and memory in proportion to its length; with aliases, to `maxNodes`.
 */
export function readYaml(source: RuleSource, maxNodes = MAX_NODES): YamlNode[] {
  const nodes: YamlNode[] = [];
  const budget = { nodes: maxNodes };
  const yaml = new YamlText(source);
  try {
    while (skipToDocument(yaml)) {
      // A document may follow without a marker, but not on the line where another one ends.
      if (yaml.text.slice(yaml.lineStart, yaml.at).trim() !== '') {
        throw yaml.fail(NO_PART);
      }
      const node = new BlockReader(source, yaml, budget).document();
      if (node.kind !== 'scalar' || !node.isNull) nodes.push(node);
    }
  } catch (error) {
    if (!(error instanceof YamlSyntaxError)) throw error;
    const { message, start } = error;
    throw new YamlError(message, { source, start, end: start + 1 });
  }
  return nodes;
}

/** Past directives and markers; false at the end. */
function skipToDocument(yaml: YamlText): boolean {
  for (;;) {
    yaml.skip();
    if (yaml.atEnd) return false;
    if (yaml.column === 0 && yaml.char() === '%') {
      if (/^%YAML\s+(?:[02-9]|1\d)/.test(yaml.text.slice(yaml.at, yaml.at + 80))) {
        throw yaml.fail('YAML of another major version than 1');
      }
      yaml.skipLine();
    } else if (yaml.isMarker('...')) yaml.at += 3;
    else return true;
  }
}

/** Where a value stands among those around it. */
interface Context {
  /** The column of the collection that it is in: it must begin to the right of it. */
  readonly parent: number;
  /** It is a map's: a list may begin in the map's own column. */
  readonly ofMap: boolean;
  /** A block list or map may begin on this line. */
  readonly mayOpen: boolean;
}

/** Reads one document. @internal */
class BlockReader extends FlowReader {
  document(): YamlNode {
    const isMarked = this.yaml.isMarker('---');
    if (isMarked) this.yaml.at += 3;
    return this.#block({ parent: -1, ofMap: false, mayOpen: !isMarked });
  }

  /** A value in block style, which may be none at all. */
  #block({ parent, ofMap, mayOpen }: Context): YamlNode {
    const yaml = this.yaml;
    const begin = yaml.at;
    let open = yaml.skip() || mayOpen;
    if (this.#isOutside(parent, ofMap)) return this.nothing(begin);
    return this.node((properties) => {
      const propertiesAt = yaml.at;
      if (properties !== NO_PROPERTIES) {
        open = yaml.skip() || open;
        if (this.#isOutside(parent, ofMap)) return this.empty(properties, propertiesAt);
      }
      return this.#blockValue({ parent, ofMap, mayOpen: open }, properties);
    });
  }

  #blockValue(context: Context, properties: Properties): YamlNode {
    const yaml = this.yaml;
    const { column, at } = yaml;
    if (yaml.isIndicator('-')) {
      this.#mustOpen(context, 'a list');
      return this.#blockSequence(column, context.parent);
    }
    if (yaml.isIndicator('?') || yaml.isIndicator(':')) {
      this.#mustOpen(context, 'a map');
      return this.#blockMap(column, at, undefined);
    }
    const char = yaml.char();
    if (char === '|' || char === '>') {
      return this.scalar(at, scanBlock(yaml, context.parent), AS_TEXT);
    }
    const line = yaml.lineStart;
    const { tabAt } = yaml;
    const isPlain = startsPlain(yaml, false);
    const first = isPlain ? scanPlainLine(yaml, false) : undefined;
    const node = first === undefined ? this.flow(properties) : this.scalar(at, first, properties);
    const end = yaml.at;
    yaml.skipBlanks();
    if (yaml.lineStart === line && yaml.isIndicator(':')) {
      if (!context.mayOpen || tabAt !== undefined) {
        throw yaml.fail(
          tabAt !== undefined
            ? TAB
            : 'a map may not begin on the line of a key: put a value with ": " in quotes',
        );
      }
      return this.#blockMap(column, at, this.asKey(node));
    }
    yaml.at = end;
    if (first === undefined) return node;
    return this.scalar(at, scanPlainRest(yaml, first, context.parent, false), properties);
  }

  #mustOpen({ mayOpen }: Context, what: string): void {
    if (this.yaml.tabAt !== undefined) throw this.yaml.fail(TAB);
    if (!mayOpen) throw this.yaml.fail(`${what} may not begin on the line of a key`);
  }

  /** Does what is next belong to something further out? */
  #isOutside(parent: number, ofMap: boolean): boolean {
    const yaml = this.yaml;
    if (yaml.atEnd || yaml.isMarker()) return true;
    if (yaml.column > parent) return false;
    return !(ofMap && yaml.column === parent && yaml.isIndicator('-'));
  }

  #blockSequence(column: number, parent: number): YamlSequence {
    const yaml = this.yaml;
    const start = yaml.at;
    const items: YamlNode[] = [];
    for (;;) {
      yaml.at += 1;
      items.push(this.#block({ parent: column, ofMap: false, mayOpen: true }));
      if (!this.#goesOn(column)) break;
      if (yaml.isIndicator('-')) continue;
      // A list in its map's own column ends where the map goes on; at the top another document begins.
      if (column === parent || parent < 0) break;
      throw yaml.fail('a list goes on with "- "');
    }
    return { kind: 'sequence', items, place: this.place(start) };
  }

  /** Is there more of the collection in this column? Throws where there is something to the right of it. */
  #goesOn(column: number): boolean {
    const yaml = this.yaml;
    yaml.skip();
    if (yaml.atEnd || yaml.isMarker() || yaml.column < column) return false;
    if (yaml.tabAt !== undefined) throw yaml.fail(TAB);
    if (yaml.column > column) throw yaml.fail(NO_PART);
    return true;
  }

  /** `first` is its first key, if that was read. */
  #blockMap(column: number, start: number, first: YamlScalar | undefined): YamlMap {
    const yaml = this.yaml;
    const entries: YamlEntry[] = [];
    let known = first;
    do {
      const isExplicit = known === undefined && yaml.isIndicator('?');
      const key = known ?? this.#blockKey(column);
      known = undefined;
      yaml.skipBlanks();
      if (yaml.isIndicator(':')) {
        yaml.at += 1;
        const value = this.#block({ parent: column, ofMap: true, mayOpen: false });
        entries.push({ key, value });
      } else {
        const value = this.nothing(yaml.at);
        yaml.skip();
        // yaml-cpp forgives it at the end only.
        if (!isExplicit && !yaml.atEnd && !yaml.isMarker()) {
          throw yaml.fail('a key must be followed by ": "', value.place.start);
        }
        entries.push({ key, value });
      }
    } while (this.#goesOn(column));
    return { kind: 'map', entries, place: this.place(start) };
  }

  #blockKey(column: number): YamlScalar {
    const yaml = this.yaml;
    const start = yaml.at;
    if (yaml.isIndicator(':')) return this.nothing(start);
    if (yaml.isIndicator('-')) throw yaml.fail('a list may not begin where a key is meant to be');
    if (yaml.isIndicator('?')) {
      yaml.at += 1;
      const key = this.#block({ parent: column, ofMap: true, mayOpen: true });
      yaml.skip();
      return this.asKey(key);
    }
    const line = yaml.lineStart;
    const key = this.node((properties) => {
      yaml.skipBlanks();
      return startsPlain(yaml, false)
        ? this.scalar(yaml.at, scanPlainLine(yaml, false), properties)
        : this.flow(properties);
    });
    if (yaml.lineStart !== line) throw yaml.fail('a key must stand on one line', start);
    return this.asKey(key);
  }
}
