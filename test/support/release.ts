// Releases of what the work tree is now, committed in a clone of the test's own.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { put } from '../../manifests/release/commands.ts';

/** How `npm run release` ended, and what it said. */
export interface ReleaseRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Copies the files that are or would be committed into a new folder, and commits them. `more`: further files by path. */
export function cloneWorkTree(folder: string, more: Readonly<Record<string, string>>): void {
  mkdirSync(folder);
  const git = (cwd: string, ...args: readonly string[]): string =>
    execFileSync('git', args, { cwd, encoding: 'utf8', maxBuffer: 1 << 26 });
  const files = git('.', 'ls-files', '-z', '--cached', '--others', '--exclude-standard')
    .split('\0')
    .filter((file) => file !== '' && existsSync(file));
  execFileSync('tar', ['--null', '--files-from=-', '-cf', join(folder, '.files.tar')], {
    input: files.join('\0'),
  });
  execFileSync('tar', ['-xf', '.files.tar'], { cwd: folder });
  execFileSync('rm', [join(folder, '.files.tar')]);
  for (const [path, text] of Object.entries(more)) put(join(folder, path), text);
  git(folder, 'init', '-q');
  appendFileSync(join(folder, '.git/info/exclude'), '/node_modules\n');
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  git(folder, 'add', '--all');
  const me = ['-c', 'user.name=test', '-c', 'user.email=test@test.invalid'];
  git(folder, ...me, 'commit', '-q', '-m', 'the work tree');
}

/** `npm run release` in a clone; the probe and its loader are those that are built here. */
export async function release(
  clone: string,
  args: readonly string[],
  options: { readonly umask?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<ReleaseRun> {
  const { umask = '022', env = {} } = options;
  const words = ['--import', 'tsx', 'manifests/release/release.ts', ...args];
  const script = `umask ${umask}; exec "$@"`;
  const native = ['--native', resolve('native/build')];
  const child = spawn('sh', ['-c', script, 'sh', process.execPath, ...words, ...native], {
    cwd: clone,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (bytes: Buffer) => (said[name] += bytes.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...said };
}
