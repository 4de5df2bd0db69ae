// The runner of test files (test/support/run.mjs), which must not call a run good in which a test could not speak.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const RUN = resolve('test/support/run.mjs');
const PASSES = "import { test } from 'node:test';\ntest('holds', () => {});\n";

/** A run over test files with these texts: how it ended, what it printed, and the outcome by failed file or test. */
function runOf(texts: Record<string, string>) {
  const folder = temporaryFolder('varvel-run-');
  mkdirSync(join(folder, 'test/unit'), { recursive: true });
  for (const [name, text] of Object.entries(texts))
    writeFileSync(join(folder, 'test/unit', name), text);
  const env = { ...process.env };
  // Node's runner would take this run for a file of the run that we are in, and `npm test` its failures for its own.
  delete env['NODE_TEST_CONTEXT'];
  delete env['FAILED_TESTS_FILE'];
  delete env['COUNTED_TESTS_FILE'];
  delete env['VARVEL_TESTS'];
  const options = { cwd: folder, env, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [RUN, 'unit'], options);
  // Folders have names of their own.
  const plain = stderr.replaceAll(/\/\S*\/(?=test\/)/g, '');
  const failed = new Map<string, string>();
  for (const [, name = '', why = ''] of plain.matchAll(/^FAILED (.+)\n {4}(.+)$/gm))
    failed.set(name, why);
  return {
    status,
    printed: stdout + plain,
    failed,
    left: readdirSync(join(folder, 'node_modules/.cache')),
  };
}

test('a run whose tests all pass is good, and leaves nothing behind', () => {
  const { status, printed, failed, left } = runOf({ 'one.test.ts': PASSES, 'two.test.ts': PASSES });
  assert.equal(status, 0, printed);
  assert.equal(printed.match(/^ +ok \d+ - holds$/gm)?.length, 2);
  assert.deepEqual(failed, new Map());
  assert.deepEqual(left, []);
});

test('each file is named that failed, ended its process, could not be read or has no test; the others are run', () => {
  const { status, printed, failed, left } = runOf({
    'empty.test.ts': 'export const value = 1;\n',
    'fails.test.ts':
      "import { test } from 'node:test';\n\ntest('fails', () => {\n  throw new Error('for a reason');\n});\n",
    'killed.test.ts':
      "import { test } from 'node:test';\ntest('killed', () => process.kill(process.pid, 'SIGKILL'));\n",
    'passes.test.ts': PASSES,
    'throws.test.ts': "throw new Error('when it is read');\n",
  });
  assert.equal(status, 1, printed);
  const told = (start: string) => [...failed].find(([name]) => name.startsWith(start))?.[1];
  assert.equal(told('test/unit/empty.test.ts'), 'it has no test');
  assert.equal(told('fails (test/unit/fails.test.ts:3)'), 'for a reason');
  assert.equal(told('test/unit/killed.test.ts'), 'its process ended before its tests did');
  assert.equal(told('test/unit/passes.test.ts'), undefined);
  assert.equal(told('test/unit/throws.test.ts'), 'when it is read');
  assert.match(printed, /^ +ok \d+ - holds$/m);
  assert.deepEqual(left, []);
});

test('when all processes have ended, each file that none took is named', () => {
  const ends = "import { test } from 'node:test';\ntest('ends', () => process.exit(0));\n";
  const files = Array.from(
    { length: availableParallelism() + 2 },
    (_, n) => `${String(n).padStart(3, '0')}.test.ts`,
  );
  const { status, printed, failed } = runOf(Object.fromEntries(files.map((name) => [name, ends])));
  assert.equal(status, 1, printed);
  assert.equal(failed.get('test/unit/000.test.ts'), 'its process ended before its tests did');
  assert.equal(failed.get(`test/unit/${files.at(-1)}`), 'it was not run: all processes had ended');
});

test('a file that does not compile is named with its line', () => {
  const { status, printed, left } = runOf({ 'one.test.ts': PASSES, 'bad.test.ts': 'const = 1;\n' });
  assert.equal(status, 1, printed);
  assert.match(printed, /test\/unit\/bad\.test\.ts:1:6/);
  assert.deepEqual(left, []);
});
