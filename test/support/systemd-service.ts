import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { until } from './e2e-agent.ts';

/** How a command ended, and what it said. */
export interface Said {
  readonly code: number | null;
  readonly text: string;
}

/** Runs a command to its end. */
export function said(command: string, ...args: readonly string[]): Said {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return { code: status, text: `${stdout}${stderr}` };
}

/** The same, for one that must succeed: what it said. Throws an Error with that otherwise. */
export function must(command: string, ...args: readonly string[]): string {
  const { code, text } = said(command, ...args);
  if (code !== 0) throw new Error(`${[command, ...args].join(' ')}: ${text}`);
  return text;
}

/** Writes a file below a folder that may not be there yet. */
export function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** A property of the service, as `systemctl show` says it. */
export const shown = (property: string): string =>
  must('systemctl', 'show', '--value', '-p', property, 'varvel').trim();

/**
 * Waits until the service's agent answers: its socket comes last, and is gone with its folder when it ends. (Asking takes an
 * emulated machine seconds.) Its log is in the error otherwise.
 */
export async function watching(): Promise<void> {
  await until('it listens', () => existsSync('/run/varvel/metrics.sock'), 120_000).catch(
    (error: unknown) => {
      throw new Error(must('journalctl', '-u', 'varvel', '--no-pager', '-n', '20'), {
        cause: error,
      });
    },
  );
}
