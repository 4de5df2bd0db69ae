import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file system of its own (tmpfs) that can be filled up, and made read-only. Dispose it: it is unmounted. */
export class SmallDisk {
  readonly path: string;
  readonly #filler: string;

  constructor(kib = 2048) {
    this.path = mkdtempSync(join(tmpdir(), 'varvel-disk-'));
    this.#filler = join(this.path, 'filler');
    this.#run('mount', '-t', 'tmpfs', '-o', `size=${kib}k,mode=700`, 'varvel-test', this.path);
  }

  /** Takes all the room that is left. */
  fill(): void {
    const fd = openSync(this.#filler, 'a');
    try {
      for (const bytes of [4096, 1]) {
        const block = Buffer.alloc(bytes, 'x');
        try {
          while (writeSync(fd, block) > 0);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        }
      }
    } finally {
      closeSync(fd);
    }
  }

  /** Gives the room back. */
  free(): void {
    rmSync(this.#filler, { force: true });
  }

  /** `ro` waits until no file is open for writing, at most a minute. */
  async remount(how: 'ro' | 'rw'): Promise<void> {
    for (const deadline = Date.now() + 60_000; ;) {
      try {
        this.#run('mount', '-o', `remount,${how}`, this.path);
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #run(command: string, ...args: string[]): void {
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
  }

  [Symbol.dispose](): void {
    spawnSync('umount', ['-l', this.path]);
    rmSync(this.path, { recursive: true, force: true });
  }
}
