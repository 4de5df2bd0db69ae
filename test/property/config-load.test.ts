import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';

import fc from 'fast-check';
import { stringify } from 'yaml';

import { loadConfig } from '../../src/config/load.ts';
import { VALUE_PATHS, variableOf } from '../../src/config/schema.ts';
import { UserError } from '../../src/shared/user-error.ts';
import { runs } from '../support/runs.ts';

const folder = mkdtempSync(join(tmpdir(), 'varvel-config-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'v.yaml');

/** Loads, or fails with a sentence for the user; never anything else. */
function loadsOrSays(file: string | undefined, env: Record<string, string>): void {
  try {
    const { config } = loadConfig({ file, env, defaultFile: '/nonexistent' });
    assert.ok(Object.isFrozen(config));
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    assert.ok(error.message.length > 10 && error.message.length < 2000);
  }
}

test('any text as a file', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 200 }),
        fc.jsonValue().map((it) => stringify(it)),
      ),
      (text) => {
        writeFileSync(path, text);
        loadsOrSays(path, {});
      },
    ),
    { numRuns: runs(300) },
  );
});

test('any value at any key, in the file and in the environment', () => {
  const at = fc.constantFrom(...VALUE_PATHS);
  fc.assert(
    fc.property(at, fc.jsonValue({ maxDepth: 3 }), fc.string(), (keys, inFile, inVariable) => {
      writeFileSync(
        path,
        stringify(keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), inFile)),
      );
      loadsOrSays(path, {});
      loadsOrSays(undefined, { [variableOf(keys)]: inVariable });
      loadsOrSays(path, { [variableOf(keys)]: inVariable });
    }),
    { numRuns: runs(500) },
  );
});

test('a variable does what the file does', () => {
  const choices = {
    mode: ['opt-in', 'opt-out', 'always'],
    log_level: ['debug', 'info', 'warn', 'error'],
    hold_time: ['200ms', '5s', '1m'],
    minimum_priority: ['info', 'Critical', 'debug'],
    'probe.exec_ring_bytes': ['64KiB', '1MiB'],
    'metrics.listen': ['off', 'unix:/x/y', '127.0.0.1:9'],
  };
  for (const [key, options] of Object.entries(choices)) {
    for (const option of options) {
      const keys = key.split('.');
      writeFileSync(
        path,
        stringify(keys.reduceRight<unknown>((inner, part) => ({ [part]: inner }), option)),
      );
      const fromFile = loadConfig({ file: path, env: {} }).config;
      const env = { [variableOf(keys)]: option };
      assert.deepEqual(loadConfig({ env, defaultFile: '/nonexistent' }).config, fromFile, option);
    }
  }
});
