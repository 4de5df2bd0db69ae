// Comments and names of tests refer to rules of the language, such as (R6): manifests/docs/semantics.md has each of them.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, test } from 'node:test';

const PAGE = 'manifests/docs/semantics.md';
const ID = /\b[GCERSO]\d{1,2}\b/g;

/** What stands below each heading, by its identifier. */
const sections = new Map(
  readFileSync(PAGE, 'utf8')
    .split(/^### /m)
    .slice(1)
    .map((text) => [/^\S+/.exec(text)?.[0] ?? '', text]),
);

const sources = (folder: string, ending: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => `${folder}/${name}`);

/** Identifiers in parentheses of a comment, such as `(R3 to R7)`, or before a colon. */
function inComments(path: string): string[] {
  const comments = readFileSync(path, 'utf8').match(/^\s*(?:\/\/|\/?\*).*$/gm) ?? [];
  const marks = comments.join('\n').match(/\([^()]*\)|\b[GCERSO]\d{1,2}:/g) ?? [];
  return marks.flatMap((mark) => mark.match(ID) ?? []);
}

const testNames = (path: string): string[] =>
  [...readFileSync(path, 'utf8').matchAll(/^\s*(?:test|describe)\(\s*(['"`])(.*?)\1,/gm)].map(
    ([, , name = '']) => name,
  );

describe('the semantics page', () => {
  test('has each rule that a source refers to', () => {
    const found = ['src/rules', 'src/cli'].flatMap((folder) =>
      sources(folder, '.ts').flatMap((path) => inComments(path).map((id) => [id, path] as const)),
    );
    assert.ok(found.length > 50, String(found.length));
    for (const [id, path] of found) assert.ok(sections.has(id), `${path}: ${id}`);
  });

  test('names for each rule a file with a test of it, and tests name no other rules', () => {
    for (const [id, text] of sections) {
      const [, file = ''] = /\]\(\.\.\/\.\.\/(test\/[^)]+)\)/.exec(text) ?? [];
      assert.ok(text.includes('Example: '), `${id} has no example`);
      assert.ok(
        testNames(file).some((name) => name.match(ID)?.includes(id)),
        `${id}: ${file} has no test of that name`,
      );
    }
    const named = sources('test/unit/rules', '.test.ts').flatMap((path) =>
      testNames(path).flatMap((name) =>
        (/^(?:[GCERSO]\d{1,2}[ :]+)+/.exec(name)?.[0].match(ID) ?? []).map((id) => [id, path]),
      ),
    );
    assert.ok(named.length > 80, String(named.length));
    for (const [id = '', path = ''] of named)
      assert.ok(sections.has(id), `${basename(path)}: ${id}`);
  });
});
