import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FALCO_RULES } from '../../support/falco.ts';
import { UPSTREAM_FILES, type AttackRow, type ImpossibleRow } from './row.ts';
import { FILE_ROWS } from './rows-files.ts';
import { DETOUR_ROWS } from './rows-detours.ts';
import { EVASION_ROWS } from './rows-evasions.ts';
import { IMPOSSIBLE_ROWS, KERNEL_ROWS } from './rows-kernel.ts';
import { PROGRAM_ROWS } from './rows-programs.ts';

/** The folder with Falco's rule files that are used when no other is named. */
export const DEFAULT_UPSTREAM = FALCO_RULES;

export const ATTACK_ROWS: readonly AttackRow[] = [
  ...FILE_ROWS,
  ...PROGRAM_ROWS,
  ...KERNEL_ROWS,
  ...EVASION_ROWS,
  ...DETOUR_ROWS,
];

/** The rows that this machine can do and those that it cannot, of those that the pattern names. */
export function selectRows(pattern: RegExp): {
  rows: readonly AttackRow[];
  impossible: readonly ImpossibleRow[];
} {
  const all = ATTACK_ROWS.filter(({ action, upstream, ours }) =>
    pattern.test(`${action}\n${upstream}\n${typeof ours === 'string' ? ours : ''}`),
  );
  const rows: AttackRow[] = [];
  const impossible = IMPOSSIBLE_ROWS.filter(({ action, upstream }) =>
    pattern.test(`${action}\n${upstream}`),
  );
  for (const row of all) {
    const because = row.cannot?.();
    if (because === undefined) rows.push(row);
    else impossible.push({ action: row.action, upstream: row.upstream, file: row.file, because });
  }
  return { rows, impossible };
}

/** The folder, if all of Falco's files are in it. */
export function upstreamFolder(folder: string): string | undefined {
  const there = Object.values(UPSTREAM_FILES).every((name) => existsSync(join(folder, name)));
  return there ? folder : undefined;
}
