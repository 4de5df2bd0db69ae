import { closeSync, fstatSync, openSync } from 'node:fs';

import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import type { Document, Node, Pair } from 'yaml';

import { readAtMost } from '../shared/bounded-file.ts';
import { UserError } from '../shared/user-error.ts';
import type { SourcePosition } from '../shared/user-error.ts';

/** Size limit of a configuration file. */
export const CONFIG_MAX_BYTES = 1024 * 1024;

/** A YAML file: its content, and the position of each part. */
export class YamlFile {
  readonly path: string;
  /** Plain objects, lists and scalars; undefined if the file is empty. */
  readonly content: unknown;
  readonly #document: Document;
  readonly #lines: LineCounter;

  /** Throws UserError, with line and column, unless `text` is one YAML document. */
  constructor(path: string, text: string) {
    this.path = path;
    this.#lines = new LineCounter();
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const [error] = this.#document.errors;
    if (error !== undefined) {
      throw new UserError(`This is not valid YAML: ${phrase(error.message)}.`, {
        position: this.#at(error.pos[0]),
      });
    }
    try {
      const content: unknown = this.#document.toJS({ maxAliasCount: 100 });
      this.content = content ?? undefined;
    } catch (error) {
      const reason = error instanceof Error ? phrase(error.message) : 'unknown';
      throw new UserError(`This YAML cannot be used: ${reason}.`, { position: this.#at(0) });
    }
  }

  /** Throws UserError if the file cannot be read. */
  static read(path: string): YamlFile {
    return new YamlFile(path, readText(path));
  }

  /** Position of the value at a path; of the nearest enclosing part if the value is absent. */
  positionOf(at: readonly PropertyKey[]): SourcePosition {
    for (let length = at.length; length > 0; length--) {
      const node = this.#document.getIn(at.slice(0, length), true);
      const offset = (node as Node | undefined)?.range?.[0];
      if (offset !== undefined) return this.#at(offset);
    }
    return { file: this.path };
  }

  /** Position of a pair's key. */
  positionOfKey(section: readonly PropertyKey[], key: string): SourcePosition {
    const map: unknown =
      section.length === 0 ? this.#document.contents : this.#document.getIn(section, true);
    const pair = isMap(map)
      ? map.items.find((item: Pair) => isScalar(item.key) && String(item.key.value) === key)
      : undefined;
    const offset = (pair?.key as Node | undefined)?.range?.[0];
    return offset === undefined ? this.positionOf(section) : this.#at(offset);
  }

  #at(offset: number): SourcePosition {
    const { line, col } = this.#lines.linePos(offset);
    return line === 0
      ? { file: this.path, line: 1, column: 1 }
      : { file: this.path, line, column: col };
  }
}

/** A parser message as part of a sentence. */
function phrase(message: string): string {
  const first = message.split('\n')[0] ?? '';
  return first.replace(/[.:]+$/, '').slice(0, 200);
}

function readText(path: string): string {
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    const stat = fstatSync(fd);
    if (stat.isDirectory())
      throw new UserError(`The configuration ${path} is a folder; name a file.`);
    // Pipes are allowed: `--config <(make-config)`.
    const bytes = readAtMost(fd, CONFIG_MAX_BYTES);
    if (bytes === undefined)
      throw new UserError(
        `The configuration ${path} is larger than 1 MiB, which is the limit. Name the right file.`,
      );
    return bytes.toString('utf8');
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`Cannot read the configuration ${path}: ${whyNot(error)}`, {
      cause: error,
    });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function whyNot(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT')
    return 'there is no such file. Check the path after --config or in VARVEL_CONFIG.';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied. Run varvel as root.';
  return `${code ?? String(error)}.`;
}
