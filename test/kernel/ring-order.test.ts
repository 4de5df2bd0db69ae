import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

describe('the consumer of the two rings, against producers that stop anywhere', () => {
  let dir: string;
  let program: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'varvel-consumer-'));
    program = join(dir, 'consumer');
    execFileSync('g++', [
      ...['-std=c++17', '-O1', '-g', '-fsanitize=address,undefined', '-Wall', '-Wextra', '-Werror'],
      ...['-Inative/addon', '-Inative/probe', '-o', program],
      ...['test/support/kernel-consumer.cc', 'native/addon/ring.cc', 'native/addon/backlog.cc'],
    ]);
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  // A child's records and a process's own are never shown before what caused them, each comes once, and committed
  // records never stay: a record that was timed long before it was reserved must not stop the consumer for good.
  for (const seed of [1, 2, 3, 4, 5]) {
    test(`seed ${seed}`, () => {
      const { status, stdout, stderr } = spawnSync(program, [String(seed), '120'], {
        encoding: 'utf8',
      });
      assert.equal(status, 0, stdout + stderr);
      const { delivered, failure } = JSON.parse(stdout) as { delivered: number; failure: string };
      assert.equal(failure, '');
      assert.ok(delivered > 50_000, `only ${delivered} records`);
    });
  }
});
