import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { linesOf } from '../../reading/lines.ts';
import { escapeHidden } from '../../streams/escape.ts';

/** Of what a command says last, in UTF-16 units. */
const MAX_SAID = 500;

/** How a command ended. */
export interface CommandEnd {
  /** Undefined when it was ended by us or a signal. */
  readonly code: number | undefined;
  /** The last line that is not empty, of its stderr if there was one, safe to print. */
  readonly said: string;
}

/**
 * A command of the user's, by the shell, in a process group of its own; what is given as `last` becomes its last argument.
 * It gets no input.
 */
export class UserCommand {
  readonly #child: ChildProcess;
  readonly ended: Promise<CommandEnd>;
  #running = true;

  constructor(
    command: string,
    last: string | undefined,
    onLine: (line: string) => void = () => undefined,
  ) {
    const argv = last === undefined ? ['-c', command] : ['-c', `${command} "$@"`, 'sh', last];
    // One group: `cf logs … | grep` is ended as a whole.
    this.#child = spawn('/bin/sh', argv, { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    this.ended = this.#run(onLine);
  }

  /** Ends it and all that it started. */
  stop(): void {
    const { pid } = this.#child;
    if (!this.#running || pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }

  async #run(onLine: (line: string) => void): Promise<CommandEnd> {
    const said = { stdout: '', stderr: '' };
    const read = async (name: 'stdout' | 'stderr'): Promise<void> => {
      const stream = this.#child[name];
      if (stream === null) return;
      for await (const line of linesOf(stream as AsyncIterable<Buffer>)) {
        if (line.trim() !== '') said[name] = line.slice(0, MAX_SAID);
        onLine(line);
      }
    };
    const exited = new Promise<number | undefined>((resolve) => {
      this.#child.once('error', (error) => {
        said.stderr = error.message;
        resolve(undefined);
      });
      this.#child.once('close', (code) => resolve(code ?? undefined));
    });
    const [code] = await Promise.all([exited, read('stdout'), read('stderr')]);
    this.#running = false;
    return { code, said: escapeHidden(said.stderr === '' ? said.stdout : said.stderr) };
  }
}
