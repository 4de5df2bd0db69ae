import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { writeBusyboxTree } from '../../support/busybox-tree.ts';
import type { TestDockerd } from '../../support/dockerd.ts';
import { PROGRAM_FOLDER, PROGRAMS } from './row.ts';

/** What the image's commands find; TERM and HOME as an engine would give them. */
const CHANGES = ['ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];

/** Fills a folder by `write` and imports it as an image; nothing is left of the folder. Returns the image's name. */
export async function importTree(
  engine: TestDockerd,
  name: string,
  write: (tree: string) => void,
): Promise<string> {
  const tree = mkdtempSync(join(tmpdir(), 'varvel-tree-'));
  try {
    write(tree);
    const tar = spawn('tar', ['--numeric-owner', '-C', tree, '-c', '.'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const answer = await engine.docker.importImage(tar.stdout, {
      repo: name,
      tag: 'latest',
      changes: CHANGES,
    });
    let text = '';
    answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
    await finished(answer, { writable: false });
    if (text.includes('"error"')) throw new Error(`image import failed: ${text}`);
    return name;
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

/** Compiles a C file of this folder, static. */
export function compile(source: string, output: string): void {
  const path = join(import.meta.dirname, source);
  const { status, stderr } = spawnSync('gcc', ['-O2', '-static', '-o', output, path], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${source} does not compile: ${stderr}`);
}

/** What the program says on its standard output. Throws an Error with what else it says unless it ends well. */
export function run(program: string, args: readonly string[], cwd?: string): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    ...(cwd === undefined ? {} : { cwd }),
  });
  if (status !== 0) throw new Error(`${program} ${args.join(' ').slice(0, 200)}: ${stderr}`);
  return stdout;
}

/** The image of the attack suite: busybox, the attack program under many names, and what is worth stealing. */
export function importAttackImage(engine: TestDockerd): Promise<string> {
  return importTree(engine, 'varvel-test/attacks', (tree) => {
    writeBusyboxTree(tree);
    appendFileSync(join(tree, 'etc/passwd'), 'daemon:x:1:1:daemon:/usr/sbin:/bin/false\n');
    appendFileSync(join(tree, 'etc/group'), 'daemon:x:1:\n');
    const folders = ['home/app/.ssh', 'lib', 'local', 'mnt', 'opt', 'root/.ssh'];
    for (const folder of [
      ...folders,
      'var/lib/rpm',
      'var/spool/cron/crontabs',
      'var/www',
      PROGRAM_FOLDER.slice(1),
    ])
      mkdirSync(join(tree, folder), { recursive: true });
    chownSync(join(tree, 'home/app'), 1000, 1000);
    for (const file of [
      'root/.bashrc',
      'root/.bash_history',
      'root/.ssh/id_rsa',
      'var/log/auth.log',
    ])
      writeFileSync(join(tree, file), 'something\n');
    writeFileSync(join(tree, 'home/app/.ssh/authorized_keys'), '', { mode: 0o600 });
    const first = join(tree, PROGRAM_FOLDER, PROGRAMS[0]);
    compile('attack-program.c', first);
    for (const name of PROGRAMS.slice(1)) linkSync(first, join(tree, PROGRAM_FOLDER, name));
  });
}
