// oxlint.config.mjs says which part of src may import what: files that import everything are linted, and what src does is compared.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';

const { ORDER } = (await import(pathToFileURL(resolve('oxlint.config.mjs')).href)) as {
  readonly ORDER: readonly string[];
};

const FILES = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !/\.(?:d|gen)\.ts$/.test(name))
  .map((name) => `src/${name}`);
const FOLDERS = [...new Set(FILES.map((path) => dirname(path)))];
const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  dependencies: Record<string, string>;
};
const PACKAGES = Object.keys(dependencies);
/** The stages, what is above them, and the file that ends the process. */
const TARGETS = [...ORDER.map((stage) => `${stage}/x.ts`), 'cli/x.ts', 'agent/x.ts', 'main.ts'];

interface Diagnostic {
  readonly code: string;
  readonly filename: string;
  readonly message: string;
  readonly labels: readonly { readonly span: { readonly line: number } }[];
}

/** The packages that a file imports. */
function importsOf(path: string): string[] {
  const text = readFileSync(path, 'utf8');
  return PACKAGES.filter((name) => text.includes(` from '${name}'`));
}

const root = mkdtempSync(join(tmpdir(), 'varvel-lint-'));
after(() => rmSync(root, { recursive: true }));

/** Lints these files, by their paths; tells the lines that are refused of each. */
function lint(files: ReadonlyMap<string, string>): Map<string, Map<number, string>> {
  // The files of the configuration are found beside it, and its paths begin there.
  symlinkSync(resolve('oxlint.config.mjs'), join(root, 'oxlint.config.mjs'));
  symlinkSync(resolve('test'), join(root, 'test'));
  for (const [path, text] of files) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  const oxlint = resolve('node_modules/oxlint/bin/oxlint');
  const found = new Map<string, Map<number, string>>();
  let said: string;
  try {
    said = execFileSync(
      process.execPath,
      [oxlint, '-c', 'oxlint.config.mjs', '-f', 'json', 'src'],
      {
        cwd: root,
        encoding: 'utf8',
        maxBuffer: 1e8,
      },
    );
  } catch (error) {
    // It ends with 1 for what it has found.
    said = (error as { stdout: string }).stdout;
  }
  for (const one of (JSON.parse(said) as { diagnostics: Diagnostic[] }).diagnostics) {
    const of = found.get(one.filename) ?? new Map<number, string>();
    found.set(one.filename, of.set(one.labels[0]!.span.line, one.code));
  }
  return found;
}

describe('the fences between the folders of src', () => {
  let found: Map<string, Map<number, string>>;
  const imports = (folder: string): string[] => [
    ...PACKAGES,
    ...TARGETS.map((target) => relative(folder, `src/${target}`).replace(/^(?!\.)/, './')),
  ];
  before(() => {
    const files = new Map(
      FOLDERS.map((folder) => [
        `${folder}/everything.ts`,
        imports(folder)
          .map((what) => `import '${what}';\n`)
          .join(''),
      ]),
    );
    files.set('src/agent/ends.ts', 'process.exit(1);\n');
    files.set('src/agent/reads.ts', 'void process.argv;\n');
    files.set('src/main.ts', 'process.exit(process.argv.length);\n');
    files.set('src/agent/spreads.ts', 'void [...[1], { ...{ a: 1 } }];\n');
    files.set('src/agent/long.ts', 'void 0;\n'.repeat(401));
    found = lint(files);
  });
  const refusedIn = (folder: string): string[] => {
    const refused = found.get(`${folder}/everything.ts`) ?? new Map<number, string>();
    return imports(folder).filter((_, n) => refused.get(n + 1) === 'eslint(no-restricted-imports)');
  };
  const mayImport = (folder: string, name: string): boolean => !refusedIn(folder).includes(name);

  test('a package has one room: few folders may import it, and no command, policy or agent', () => {
    for (const name of PACKAGES) {
      const allowed = FOLDERS.filter((folder) => mayImport(folder, name));
      assert.ok(allowed.length < FOLDERS.length / 4, `${name}: ${allowed.join(' ')}`);
      assert.deepEqual(
        allowed.filter((folder) => /^src\/(?:cli|policy|shared|agent)/.test(folder)),
        [],
        name,
      );
    }
  });

  test('each room uses its packages', () => {
    for (const name of PACKAGES) {
      const rooms = FOLDERS.filter((folder) => mayImport(folder, name));
      const users = FILES.filter((path) => importsOf(path).includes(name)).map(dirname);
      assert.deepEqual(rooms.sort(), [...new Set(users)].sort(), name);
    }
  });

  test('a stage may import itself and the stages before it, none after it, and neither cli, agent nor main.ts', () => {
    for (const folder of FOLDERS) {
      const stage = ORDER.indexOf(folder.split('/')[1] ?? '');
      if (stage < 0) continue;
      const refused = refusedIn(folder).filter((what) => what.startsWith('.'));
      const own = imports(folder).slice(PACKAGES.length);
      assert.deepEqual(refused, own.slice(stage + 1), folder);
    }
  });

  test('only main.ts ends the process and reads its arguments', () => {
    const code = 'eslint(no-restricted-properties)';
    assert.deepEqual([...(found.get('src/agent/ends.ts') ?? [])], [[1, code]]);
    assert.deepEqual([...(found.get('src/agent/reads.ts') ?? [])], [[1, code]]);
    assert.equal(found.get('src/main.ts'), undefined);
  });

  test('no literal is spread, and no file has more than 400 lines', () => {
    assert.deepEqual(
      [...(found.get('src/agent/spreads.ts') ?? [])],
      [[1, 'plain-literals(no-literal-spread)']],
    );
    assert.deepEqual([...(found.get('src/agent/long.ts')?.values() ?? [])], ['eslint(max-lines)']);
  });
});
