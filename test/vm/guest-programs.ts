import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE } from './guest-kernel.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const STEPS = join(CACHE, 'kernel-steps');
/** What manifests/bundle.sh makes. */
const BUNDLE = join(CACHE, 'bundle');
const COMPILED = join(CACHE, 'js');
/** C files of test/support that tests in guests run. */
const SOURCES = [
  'compat-calls',
  'connect-races',
  'denial-races',
  'name-races',
  'open-races',
  'uring-calls',
];

/** When the process was started, in ticks since boot (proc(5): starttime). */
const startOf = (pid: number): string | undefined =>
  readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[19];

/**
 * As `prepareGuests`, once for all files of one run of tests, also if they begin at the same time. Throws an Error with what failed.
 */
export function prepareGuestsOnce(): void {
  mkdirSync(CACHE, { recursive: true });
  const script = join(import.meta.dirname, 'prepare.ts');
  // The parent runs all files: its pid may be used again, not with the same start. Without a runner a file is a run of its own.
  const ofRun = `${process.ppid} ${startOf(process.ppid)}${process.env['NODE_TEST_CONTEXT'] === undefined ? ` ${process.pid}` : ''}`;
  const args = [join(CACHE, 'lock'), process.execPath, '--import', 'tsx', script, ofRun];
  run('The set-up of guests failed', 'flock', args, { cwd: REPOSITORY });
}

/**
 * Set-up for guests: what must be installed and built here, and the tests and kernel-steps.c compiled, because an
 * emulated machine needs minutes for that. Throws an Error with what failed.
 */
export function prepareGuests(): void {
  const root = { cwd: REPOSITORY };
  run('The set-up for test:vm failed', 'bash', ['test/support/setup.sh', 'vm'], root);
  mkdirSync(CACHE, { recursive: true });
  const gcc = ['-static', '-O1', '-pthread', '-o', STEPS, 'test/support/kernel-steps.c'];
  run('kernel-steps.c does not compile', 'gcc', gcc, root);
  for (const name of SOURCES) {
    const one = ['-static', '-O1', '-pthread', '-o', join(CACHE, name), `test/support/${name}.c`];
    run(`${name}.c does not compile`, 'gcc', one, root);
  }
  const bench = ['-static', '-O2', '-o', join(CACHE, 'syscalls'), 'test/bench/syscalls.c'];
  run('syscalls.c does not compile', 'gcc', bench, root);
  rmSync(BUNDLE, { recursive: true, force: true });
  run('The bundle cannot be made', 'bash', ['manifests/bundle.sh', BUNDLE], root);
  rmSync(COMPILED, { recursive: true, force: true });
  const tsc = [
    'tsc',
    '--project',
    'tsconfig.json',
    '--noCheck',
    '--noEmit',
    'false',
    '--allowImportingTsExtensions',
    'false',
    '--rewriteRelativeImportExtensions',
    '--rootDir',
    '.',
    '--outDir',
    COMPILED,
  ];
  run('The tests do not compile', 'npx', tsc, root);
  // What they find by their own place: the folder, and not what of it was compiled.
  rmSync(join(COMPILED, 'manifests'), { recursive: true, force: true });
  symlinkSync(join(REPOSITORY, 'manifests'), join(COMPILED, 'manifests'));
  symlinkSync(join(REPOSITORY, 'test/fixtures'), join(COMPILED, 'test/fixtures'));
  for (const source of ['attack-program.c', 'attack-sockets.h'])
    symlinkSync(
      join(REPOSITORY, 'test/e2e/attacks', source),
      join(COMPILED, 'test/e2e/attacks', source),
    );
}

/** A guest's command that runs a program of test/bench with these variables, and a working directory as its argument. */
export function guestBench(name: string, variables: Readonly<Record<string, string>>): string {
  const set = Object.entries(variables).map(([variable, value]) => `${variable}='${value}'`);
  return [
    'work=$(mktemp -d)',
    `cp ${join(CACHE, 'syscalls')} "$work/syscalls"`,
    `${set.join(' ')} exec node ${join(COMPILED, 'test/bench', `${name}.js`)} "$work"`,
  ].join('\n');
}

/** A guest's command (see runInGuest) that runs these files of test/vm/guest with node:test. */
export function guestTests(...names: readonly string[]): string {
  const files = names.map((name) => join(COMPILED, 'test/vm/guest', `${name}.js`));
  return [
    `export KERNEL_STEPS_PROGRAM=${STEPS} KERNEL_PROGRAMS=${CACHE} VARVEL_BUNDLE=${BUNDLE} NO_COLOR=1`,
    `exec node --test --test-concurrency=1 --test-reporter=spec ${files.join(' ')}`,
  ].join('\n');
}

function run(
  what: string,
  command: string,
  args: readonly string[],
  options: { cwd: string },
): void {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    ...options,
    encoding: 'utf8',
  });
  if (status === 0) return;
  throw new Error(`${what}.\n${stdout}${stderr}${error?.message ?? ''}`);
}
