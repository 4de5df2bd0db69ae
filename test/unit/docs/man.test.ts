import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { COMMANDS } from '../../../src/cli/command-table.ts';

const PAGE = 'manifests/man/varvel.1';
const text = readFileSync(PAGE, 'utf8');

test('the manual page has every command, with its options and exit codes', () => {
  for (const [name, { options, exitCodes }] of Object.entries(COMMANDS)) {
    // The page has "\-" for a hyphen, so that it can be copied.
    const heading = name.replaceAll('-', String.raw`\\-`);
    const part = new RegExp(`^\\.SS "varvel ${heading}[ "](?:(?!^\\.S[SH])[^])*`, 'm').exec(
      text,
    )?.[0];
    assert.ok(part !== undefined, name);
    for (const option of Object.keys(options))
      assert.ok(part.includes(`\\-\\-${option.replaceAll('-', '\\-')}`), `${name} --${option}`);
    for (const [code] of exitCodes) assert.ok(part.includes(`.B ${code}\n`), `${name}: ${code}`);
  }
});

test('groff finds nothing wrong with it', () => {
  const { status, stdout, stderr } = spawnSync('groff', ['-man', '-ww', '-Tascii', '-P-c', PAGE], {
    encoding: 'utf8',
  });
  assert.deepEqual([status, stderr], [0, '']);
  // Each character of the source is one that a terminal has.
  assert.match(stdout, /varvel - runtime security for app containers/);
  assert.match(text, /^[\x20-\x7e\n]*$/);
});
