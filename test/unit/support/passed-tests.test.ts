// What `npm run check` does not run again (test/support/passed-tests.mjs): only files of which nothing has changed since they passed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const RUN = resolve('test/support/run.mjs');
const folder = temporaryFolder('varvel-passed-');

function write(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

/** The tests that are run, by name; what the run prints; and how it ends. */
function run(files: Readonly<Record<string, string>> = {}, more: NodeJS.ProcessEnv = {}) {
  write(files);
  const env: NodeJS.ProcessEnv = { ...process.env, VARVEL_TESTS: 'changed', ...more };
  delete env['NODE_TEST_CONTEXT'];
  delete env['FAILED_TESTS_FILE'];
  delete env['COUNTED_TESTS_FILE'];
  const { status, stdout } = spawnSync(process.execPath, [RUN, 'unit'], {
    cwd: folder,
    env,
    encoding: 'utf8',
  });
  const ran = [...stdout.matchAll(/^ +(?:not )?ok \d+ - (?!test\/)(\S+)$/gm)].map(([, one]) => one);
  return { ran: ran.sort(), stdout, status };
}

const testOf = (name: string, more = ''): string =>
  `import { test } from 'node:test';\n${more}\ntest('${name}', () => {});\n`;

test('a file is run again if it, a module that it imports, or another text has changed, and until it passes', () => {
  spawnSync('git', ['init', '-q'], { cwd: folder });
  const all = ['alone', 'imports', 'spawns'];
  const first = run({
    '.gitignore': 'node_modules\n',
    'README.md': 'one\n',
    'src/module.ts': 'export const value = 1;\n',
    'test/unit/alone.test.ts': testOf('alone'),
    'test/unit/imports.test.ts': testOf(
      'imports',
      "import { value } from '../../src/module.ts';\nvoid value;",
    ),
    'test/unit/spawns.test.ts': testOf(
      'spawns',
      "import { spawnSync } from 'node:child_process';\nvoid spawnSync;",
    ),
  });
  assert.deepEqual([first.ran, first.status], [all, 0], first.stdout);
  const again = run();
  assert.deepEqual([again.ran, again.status], [[], 0]);
  assert.equal(again.stdout, 'unit: nothing has changed since these tests passed.\n');
  assert.deepEqual(run({ 'src/module.ts': 'export const value = 2;\n' }).ran, [
    'imports',
    'spawns',
  ]);
  assert.deepEqual(run({ 'README.md': 'two\n' }).ran, all, 'any test may read it');
  assert.deepEqual(run({}, { VARVEL_TEST_RUNS: '0.7' }).ran, all);
  const fails = testOf('alone').replace('{}', '{ throw 1; }');
  for (const round of [1, 2]) {
    const failed = run({ 'test/unit/alone.test.ts': fails }, { VARVEL_TEST_RUNS: '0.7' });
    assert.equal(failed.status, 1);
    assert.deepEqual(failed.ran, round === 1 ? ['alone', 'spawns'] : ['alone']);
  }
  assert.deepEqual(run({}, { VARVEL_TESTS: 'quick' }).ran, all, 'only on demand');
});

test('where git cannot list the files, all are run', () => {
  rmSync(join(folder, '.git'), { recursive: true });
  write({ 'test/unit/alone.test.ts': testOf('alone') });
  for (const round of [1, 2]) assert.equal(run().ran.length, 3, `round ${round}`);
});
