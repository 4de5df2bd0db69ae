// A directory that looks like /proc, read by the real ProcFs: for content no live process can be made to show.
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../../support/temporary-folder.ts';

export interface FixtureProcess {
  pid: number;
  comm: string | Buffer;
  ppid?: number;
  startTicks: number;
  state?: string;
  threads?: number;
  cmdline?: string | Buffer;
  exe?: string | Buffer;
  status?: string;
}

export class FixtureProc {
  readonly root = temporaryFolder('varvel-proc-');

  put(process: FixtureProcess): void {
    const directory = join(this.root, String(process.pid));
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory);
    const { pid, ppid = 1, state = 'S', threads = 1, startTicks } = process;
    const tail = `${state} ${ppid} ${pid} ${pid} 34816 -1 4194304 0 0 0 0 0 0 0 0 20 0 ${threads} 0 ${startTicks} 1000 1 18446744073709551615\n`;
    writeFileSync(
      join(directory, 'stat'),
      Buffer.concat([
        Buffer.from(`${pid} (`),
        Buffer.isBuffer(process.comm) ? process.comm : Buffer.from(process.comm),
        Buffer.from(`) ${tail}`),
      ]),
    );
    writeFileSync(
      join(directory, 'status'),
      process.status ?? `Name:\tx\nNSpid:\t${pid}\t7\nNSpgid:\t${pid}\t7\nNSsid:\t${pid}\t1\n`,
    );
    writeFileSync(join(directory, 'loginuid'), '4294967295');
    writeFileSync(join(directory, 'cmdline'), process.cmdline ?? '');
    if (process.exe !== undefined) symlinkSync(process.exe, join(directory, 'exe'));
    symlinkSync('/', join(directory, 'cwd'));
  }

  remove(pid: number): void {
    rmSync(join(this.root, String(pid)), { recursive: true, force: true });
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
