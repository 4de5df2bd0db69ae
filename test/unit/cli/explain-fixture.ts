// `varvel explain` of a rule that a test has written.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '../../support/run-command.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

export const folder = temporaryFolder('varvel-explain-');

/** Writes a file there and returns its path. */
export function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** What `--json` says of a rule. */
export interface Explained {
  readonly rule: string;
  readonly enabled: boolean;
  readonly condition: string;
  readonly macros_filled_in: boolean;
  readonly events: readonly string[];
  readonly any_event: boolean;
  readonly events_not_reported: readonly string[];
  readonly condition_fields: readonly { key: string; type: string; status: string }[];
  readonly output_fields: readonly { key: string }[];
  readonly cost: {
    readonly hooks: readonly string[];
    readonly opens: { read: boolean; write: boolean; failed: boolean } | null;
    readonly comparisons: number;
    readonly costly: readonly string[];
    readonly worst_case_us: { condition: number; output: number };
  };
}

/** Of a rule `r` with that condition, in the file one.yaml, below more items. */
export async function explained(condition: string, more = ''): Promise<Explained> {
  const path = file(
    'one.yaml',
    `${more}- rule: r\n  desc: d\n  output: "%proc.name %fd.name"\n  priority: error\n  condition: >\n    ${condition}\n`,
  );
  const { code, out, err } = await runCommand('explain', 'r', path, '--json');
  assert.equal(code, 0, err);
  return JSON.parse(out) as Explained;
}
