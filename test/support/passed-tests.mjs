// Which test files have passed, and with which text of all that they read: `npm run check` does not run those again whose text is the same.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const STORE = 'node_modules/.cache/passed-tests.json';
const IMPORTS = /\b(?:from|import) '[^']*'/g;
/** A test with these may read any file of the clone. What it imports is known. */
const READS_ALL = /\bspawn|\bexecFile|new Worker\(|['"`](?:\.\.\/)*src[/'"]|dist\//;

export class PassedTests {
  #stored;
  #keys = new Map();
  #texts = new Map();
  #common;
  #all;

  /** Of a clone whose files git can list; undefined elsewhere: then all tests run. */
  static open() {
    try {
      const files = execFileSync('git', ['ls-files', '-coz', '--exclude-standard'], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
        maxBuffer: 64 << 20,
      });
      return new PassedTests(files.split('\0').filter(Boolean));
    } catch {
      return undefined;
    }
  }

  constructor(files) {
    const isModule = (file) => /^(src|test)\/.*\.ts$/.test(file);
    const about = [process.version, process.getuid?.(), process.env.VARVEL_TEST_RUNS, ...files];
    this.#common = digest([...about, ...this.#named(files.filter((file) => !isModule(file)))]);
    this.#all = digest([this.#common, ...this.#named(files.filter(isModule))]);
    try {
      this.#stored = JSON.parse(readFileSync(STORE, 'utf8'));
    } catch {
      this.#stored = {};
    }
  }

  /** Whether this file has passed with the same text of what it imports (`inputs`), and of all that is no module. */
  has(file, inputs) {
    const readsAll = inputs.some(
      (input) =>
        input.startsWith('test/') && READS_ALL.test(this.#textOf(input).replaceAll(IMPORTS, '')),
    );
    const key = readsAll ? this.#all : digest([this.#common, ...this.#named(inputs)]);
    this.#keys.set(file, key);
    return this.#stored[file] === key;
  }

  add(files) {
    for (const file of files) this.#stored[file] = this.#keys.get(file);
    mkdirSync(dirname(STORE), { recursive: true });
    writeFileSync(STORE, JSON.stringify(this.#stored));
  }

  #named(files) {
    return [...files].sort().flatMap((file) => [file, this.#textOf(file)]);
  }

  #textOf(file) {
    let text = this.#texts.get(file);
    if (text === undefined) {
      try {
        text = readFileSync(file, 'latin1');
      } catch {
        text = 'cannot be read';
      }
      this.#texts.set(file, text);
    }
    return text;
  }
}

function digest(texts) {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${String(text).length} `).update(String(text));
  return hash.digest('hex');
}
