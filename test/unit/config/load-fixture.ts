import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { loadConfig } from '../../../src/config/load.ts';
import type { LoadedConfig } from '../../../src/config/load.ts';
import { UserError } from '../../../src/shared/user-error.ts';

/** Where the files of a test are; gone with the process, which may run several files of tests. */
export const folder = mkdtempSync(join(tmpdir(), 'varvel-config-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
export const path = join(folder, 'varvel.yaml');

/** The configuration that a file, variables and settings of flags make. */
export function load(
  yaml: string | Buffer,
  env: Record<string, string> = {},
  settings: string[] = [],
): LoadedConfig {
  writeFileSync(path, yaml);
  return loadConfig({ file: path, env, settings });
}

/** What `varvel` would print. */
export function failure(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.toDisplay().replaceAll(folder, '');
  }
  return assert.fail('it should not load');
}
