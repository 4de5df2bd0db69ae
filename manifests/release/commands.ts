// What the makers of artefacts have in common: commands, files and archives whose bytes depend on their content alone.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { UserError } from '../../src/shared/user-error.ts';

/** Enough of a command's output to see why it failed. */
const SHOWN_LINES = 30;
const OUTPUT_MAX = 64 << 20;

/** Runs a command to its end and returns what it wrote to standard output. Throws UserError with its last lines if it fails. */
export function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): string {
  const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: OUTPUT_MAX,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
  if (error !== undefined) throw new UserError(`${command} cannot be run: ${error.message}.`);
  if (status === 0) return stdout;
  const said = `${stdout}${stderr}`.trim().split('\n').slice(-SHOWN_LINES).join('\n');
  const how = signal === null ? `failed with exit code ${status}` : `was ended by ${signal}`;
  throw new UserError(`${[command, ...args].join(' ')} ${how}:\n${said}`);
}

/** Writes a file below folders that may not be there yet, with this mode whatever the umask is. */
export function put(path: string, content: string | Uint8Array, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  chmodSync(path, mode);
}

/** All files below a folder, links not followed: paths relative to it, sorted. */
export function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

/** SHA-256 in hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** SHA-256 of a file’s content in hex. */
export function fileSha256(path: string): string {
  return sha256(readFileSync(path));
}

/**
 * Writes `names` of `folder` as a tar archive: sorted, owned by root, `epoch` (seconds) as the time of all; modes are those of the
 * files, without what the umask of whoever made them left out or let in.
 */
export function writeTar(
  to: string,
  folder: string,
  names: readonly string[],
  epoch: number,
): void {
  const args = [
    '--sort=name',
    `--mtime=@${epoch}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mode=u=rwX,go=rX',
    '--format=gnu',
    '-C',
    folder,
    '-cf',
    to,
    ...names,
  ];
  run('tar', args);
}

/** The same, compressed by gzip. Returns the SHA-256 of the archive before that, which image layers are named by. */
export function writeTarGz(
  to: string,
  folder: string,
  names: readonly string[],
  epoch: number,
): string {
  const tar = `${to}.tar`;
  writeTar(tar, folder, names, epoch);
  const digest = fileSha256(tar);
  run('gzip', ['-n', '-6', tar]);
  run('mv', [`${tar}.gz`, to]);
  return digest;
}
