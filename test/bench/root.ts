import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A root on overlayfs, as containers have, with the program `syscalls` of the working directory and what its calls need. */
export class BenchRoot {
  readonly path: string;
  readonly #work: string;

  constructor(work: string) {
    this.#work = work;
    this.path = join(work, 'root');
  }

  async mount(): Promise<void> {
    const [lower = '', upper = '', scratch = ''] = ['lower', 'upper', 'scratch'].map((name) =>
      join(this.#work, name),
    );
    for (const name of ['etc', 'dev', 'proc', 'tmp'])
      mkdirSync(join(lower, name), { recursive: true });
    for (const directory of [upper, scratch, this.path]) mkdirSync(directory);
    copyFileSync(join(this.#work, 'syscalls'), join(lower, 'syscalls'));
    copyFileSync('/etc/hostname', join(lower, 'etc/hostname'));
    const layers = `lowerdir=${lower},upperdir=${upper},workdir=${scratch}`;
    await run('mount', ['-t', 'overlay', 'overlay', '-o', layers, this.path]);
    await run('mount', ['--bind', '/dev', join(this.path, 'dev')]);
    await run('mount', ['-t', 'proc', 'proc', join(this.path, 'proc')]);
  }

  async unmount(): Promise<void> {
    for (const name of ['proc', 'dev', ''])
      await run('umount', [join(this.path, name)]).catch(() => undefined);
  }
}
