// eslint.config.js says which part of src may import a package: what it says is what src does.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { ESLint, type Linter } from 'eslint';

const FILES = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !/\.(?:d|gen)\.ts$/.test(name))
  .map((name) => `src/${name}`);
const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  dependencies: Record<string, string>;
};
const PACKAGES = Object.keys(dependencies);

/** The packages that a file imports. */
function importsOf(path: string): string[] {
  const text = readFileSync(path, 'utf8');
  return PACKAGES.filter((name) => text.includes(` from '${name}'`));
}

describe('a third-party package has one room', () => {
  /** By file: the packages that it may not import. */
  const forbidden = new Map<string, readonly string[]>();
  before(async () => {
    const eslint = new ESLint();
    for (const path of FILES) {
      const config = (await eslint.calculateConfigForFile(path)) as Linter.Config;
      const [, ...options] = config.rules?.['@typescript-eslint/no-restricted-imports'] as [
        unknown,
        ...{ name: string }[],
      ];
      forbidden.set(
        path,
        options.map(({ name }) => name),
      );
    }
  });

  test('no file outside of it may import the package', () => {
    for (const name of PACKAGES) {
      const allowed = FILES.filter((path) => !forbidden.get(path)?.includes(name));
      assert.ok(allowed.length < FILES.length / 4, `${name}: ${allowed.length} files may`);
      // Commands, the agent and what has no use for a package are all outside.
      assert.deepEqual(
        allowed.filter((path) => /^src\/(?:commands|policy|shared|agent)/.test(path)),
        [],
        name,
      );
    }
  });

  test('each room uses its packages', () => {
    const rooms = new Map<string, Set<string>>();
    for (const path of FILES) {
      const folder = path.replace(/\/[^/]*$/, '');
      for (const name of PACKAGES) {
        if (forbidden.get(path)?.includes(name)) continue;
        rooms.set(name, (rooms.get(name) ?? new Set()).add(folder));
      }
    }
    for (const [name, folders] of rooms) {
      const users = new Set(
        FILES.filter((path) => importsOf(path).includes(name)).map((path) =>
          path.replace(/\/[^/]*$/, ''),
        ),
      );
      assert.deepEqual([...folders].sort(), [...users].sort(), name);
    }
  });
});
