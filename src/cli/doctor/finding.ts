import { readFileSync } from 'node:fs';
import { UserError } from '../../shared/user-error.ts';

/** `fail`: the agent will not run, or not watch. `warn`: something will be missing. `note`: good to know. */
export type CheckState = 'ok' | 'note' | 'warn' | 'fail';

/** What one look at the host found. */
export interface Finding {
  readonly check: string;
  readonly state: CheckState;
  /** A sentence. */
  readonly says: string;
  /** What to do about it. */
  readonly advice?: string;
}

/** The same, of a check that is named by its caller. */
export type Verdict = Omit<Finding, 'check'>;

export const ok = (says: string): Verdict => ({ state: 'ok', says });
export const note = (says: string): Verdict => ({ state: 'note', says });
export const warn = (says: string, advice: string): Verdict => ({ state: 'warn', says, advice });
export const fail = (says: string, advice: string): Verdict => ({ state: 'fail', says, advice });

/** Runs a check; whatever it throws is a failure of the check, not of the doctor. */
export async function examine(
  check: string,
  look: () => Verdict | Promise<Verdict>,
): Promise<Finding> {
  try {
    return { check, ...(await look()) };
  } catch (error) {
    const says =
      error instanceof UserError
        ? error.toDisplay().replaceAll('\n', ' ')
        : `The check failed: ${firstLine(error)}`;
    return { check, state: 'fail', says };
  }
}

/** What an error says, without what follows. */
export function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n')[0] ?? '';
}

/** A file's text; '' where it cannot be read. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
