// Runs a command as the command line does, with its output kept.
import { runCommandLine } from '../../src/commands/command-line.ts';
import { UserError } from '../../src/shared/user-error.ts';

export interface CommandRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** What `varvel ARGV…` prints and exits with, on a pipe; the error of a UserError as main.ts shows it. */
export async function runCommand(...argv: string[]): Promise<CommandRun> {
  let out = '';
  let err = '';
  const io = {
    stdout: (text: string) => void (out += text),
    stderr: (text: string) => void (err += text),
    isTty: false,
    columns: 80,
  };
  try {
    const code = await runCommandLine({ argv, env: {}, version: '1.2.3' }, io);
    return { code, out, err };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { code: error.exitCode, out, err: `${err}varvel: ${error.toDisplay()}\n` };
  }
}
