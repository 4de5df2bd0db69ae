// Runs a command as the command line does, with its output kept.
import { runCommandLine } from '../../src/cli/command-line.ts';
import { UserError } from '../../src/shared/user-error.ts';

export interface CommandRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** What `varvel ARGV…` prints and exits with, on a pipe; the error of a UserError as main.ts shows it. */
export function runCommand(...argv: string[]): Promise<CommandRun> {
  return runCommandOn([], ...argv);
}

/** The same with these pieces on standard input. */
export async function runCommandOn(
  input: readonly (string | Buffer)[],
  ...argv: string[]
): Promise<CommandRun> {
  let out = '';
  let err = '';
  const io = {
    stdout: (text: string) => void (out += text),
    stderr: (text: string) => void (err += text),
    // eslint-disable-next-line @typescript-eslint/require-await
    stdin: async function* () {
      for (const part of input) yield Buffer.from(part);
    },
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
