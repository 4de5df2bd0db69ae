// On a kernel that is too old, everybody is told so in a sentence, and nothing is left behind.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const SENTENCE = `Linux ${release()} is too old: the probe needs 5.15 or newer.`;

function varvel(...args: readonly string[]): { code: number | null; said: string } {
  const program = join(process.env['VARVEL_BUNDLE'] ?? '', 'varvel/bin/varvel');
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 240_000,
    // Where the guest can write.
    env: { PATH: process.env['PATH'], HOME: '/root', VARVEL_STATE_DIR: '/tmp/state' },
  });
  // doctor breaks lines.
  return { code: status, said: (stdout + stderr).replaceAll(/\s+/g, ' ') };
}

test('doctor fails, and says which kernel is needed', () => {
  const { code, said } = varvel('doctor');
  assert.equal(code, 1, said);
  assert.ok(said.includes(SENTENCE), said);
  assert.doesNotMatch(said, / at \S+ \(\S+:\d+:\d+\)/, 'no stack trace');
});

test('the agent does not start, and says the same', () => {
  const { code, said } = varvel('agent');
  assert.equal(code, 1, said);
  assert.ok(said.includes(`${SENTENCE} Upgrade the kernel.`), said);
  assert.doesNotMatch(said, / at \S+ \(\S+:\d+:\d+\)/, 'no stack trace');
  assert.deepEqual(readdirSync('/sys/fs/bpf'), []);
});
