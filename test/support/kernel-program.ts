import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KernelProbe, TestCgroup } from './kernel-probe.ts';

const here = dirname(fileURLToPath(import.meta.url));
const programs = new Map<string, string>();

/**
 * The program of that C file beside this one, static; built once a process, removed when it exits. A guest kernel
 * (test/vm) is given a folder of them.
 */
export function programOf(source: string): string {
  const given = process.env['KERNEL_PROGRAMS'];
  if (given !== undefined) return join(given, basename(source, '.c'));
  const known = programs.get(source);
  if (known !== undefined) return known;
  const dir = mkdtempSync(join(tmpdir(), 'varvel-program-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  const program = join(dir, basename(source, '.c'));
  execFileSync('gcc', [
    '-static',
    '-O1',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-pthread',
    '-o',
    program,
    join(here, source),
  ]);
  programs.set(source, program);
  return program;
}

/**
 * Runs it with the cgroup's directory as first argument, and waits for all records. Returns what it printed, a value of
 * JSON each line; throws unless its exit code is 0.
 */
export async function runProgram<T>(
  probe: KernelProbe,
  source: string,
  cgroup: TestCgroup,
  args: readonly (string | number)[],
): Promise<readonly T[]> {
  const output = execFileSync(programOf(source), [cgroup.dir, ...args.map(String)], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  await probe.settle();
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}
