// Ways around a denial of programs: test/support/ways-around.ts says what comes of each.
import {
  copyFileSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { after, before, describe, test } from 'node:test';
import {
  besideOtherMounts,
  beyondChroot,
  Bypass,
  copyOfMounts,
  endOfProgram,
  many,
  placeWays,
  racedOf,
  RACES,
  runs,
  type Attempt,
} from '../support/bypass.ts';
import { escaped, inNamespaces } from '../support/kernel-container.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { stepsProgram, type Step, type StepResult } from '../support/kernel-process.ts';
import { programOf } from '../support/kernel-program.ts';
import { PROGRAM_WAYS, type Outcome } from '../support/ways-around.ts';

const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const O_PATH = 0o10000000;
const MS_BIND = 4096;
/** What it ends with that is denied. */
const RAN = 7;
const END: readonly Step[] = ['exit', RAN];

for (const kind of ['v2', 'v1-pids'] as const)
  describe(`ways around denied programs, with ${kind}`, { skip: missingHierarchy(kind) }, () => {
    let own: Bypass;
    const at = (name: string): string => own.at(name);
    before(() => {
      own = new Bypass(kind);
      own.deny(
        `evt.type in (execve, execveat) and proc.exepath startswith anyof (${at('bad')}, ${at('image/bad')})`,
        'evt.type in (execve, execveat) and proc.is_exe_from_memfd = true',
      );
      for (const name of ['lower/tmp', 'upper', 'work', 'image', 'bad-dir'])
        mkdirSync(at(name), { recursive: true });
      for (const name of ['bad', 'cover', 'bad-dir/key', 'lower/bad'])
        copyFileSync(stepsProgram(), at(name));
      copyFileSync('/bin/true', at('other'));
      copyFileSync('/bin/true', at('bad-dynamic'));
      symlinkSync('bad', at('link'));
      writeFileSync(at('script'), `#!${at('bad')}\n`, { mode: 0o755 });
      writeFileSync(at('script2'), `#!${at('script')}\n`, { mode: 0o755 });
    });
    after(() => own.close());

    const endsOf =
      (name: string, ran = RAN) =>
      (results: readonly StepResult[]) =>
        results.filter(({ step }) => step === name).map(({ status }) => endOfProgram(ran)(status));
    const bad = (path: string, ...steps: Step[]): Step[] => ['execve', path, 'bad', ...steps, ';'];
    const forked = (...steps: Step[]): Attempt => ({
      steps: () => many('fork', '[', ...steps, ']'),
      endsOf: endsOf('fork'),
    });
    const prepared = (...steps: Step[]): Pick<Attempt, 'steps'> => ({
      steps: () => [
        ...steps.slice(0, -1),
        ...many('fork', '[', ...bad(String(steps.at(-1)), ...END), ']'),
      ],
    });
    const raced = (...args: Step[]): Attempt => ({
      steps: () => runs(programOf('denial-races.c'), ...args),
      race: (results) => racedOf(results).ran,
    });
    const layers = (): string =>
      `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`;

    const ATTEMPTS = (): Readonly<Record<keyof typeof PROGRAM_WAYS, Attempt>> => ({
      ...placeWays(() => own, kind, bad(at('bad'), ...END), endsOf),
      '/proc/self/root': forked(...bad(`/proc/self/root${at('bad')}`, ...END)),
      'symbolic link': forked(...bad(at('link'), ...END)),
      'symbolic link that is swapped meanwhile': raced(
        ...['exec-link', RACES / 10, at('bad'), at('other'), at('swapped')],
      ),
      'bind mount': {
        ...prepared('mount', at('bad'), at('cover'), 'none', MS_BIND, '-', at('cover')),
        endsOf: endsOf('fork'),
      },
      chroot: { ...prepared('chroot', own.dir, '/bad'), endsOf: endsOf('fork') },
      'parent directory under another name': {
        ...prepared(
          ...['call', 'rename', `s:${at('bad-dir')}`, `s:${at('plain-dir')}`, ';'],
          at('plain-dir/key'),
        ),
        endsOf: endsOf('fork'),
        restore: () => renameSync(at('plain-dir'), at('bad-dir')),
      },
      '/proc/PID/root of other mounts': {
        ...prepared(...besideOtherMounts(at('mark')), `/proc/2/root${at('bad')}`),
        endsOf: endsOf('fork'),
        restore: () => rmSync(at('mark'), { recursive: true }),
      },
      'directory kept beyond a chroot': {
        steps: () => [
          ...beyondChroot(own.dir, at('lower')),
          ...many('fork', '[', 'execveat', 3, 'bad', 0, 'x', ...END, ';', ']'),
        ],
        endsOf: endsOf('fork'),
      },
      'copy of the mounts (open_tree)': {
        ...prepared(...copyOfMounts(own.dir), '/proc/self/fd/3/bad'),
        endsOf: endsOf('fork'),
      },
      '/proc/self/fd': forked(
        ...['openat', AT_FDCWD, at('bad'), O_PATH, 0],
        ...bad('/proc/self/fd/3', ...END),
      ),
      'descriptor (execveat)': forked(
        ...['openat', AT_FDCWD, at('bad'), O_PATH, 0],
        ...['execveat', '@', '', AT_EMPTY_PATH, 'x', ...END, ';'],
      ),
      'dup2 by another thread meanwhile': raced('exec-fd', RACES / 10, at('bad'), at('other')),
      // Its interpreter's first step is the script's path.
      'script (#!)': { ...forked(...bad(at('script'))), elsewhere: `failed: ${125 << 8}` },
      'script of a script': { ...forked(...bad(at('script2'))), elsewhere: `failed: ${125 << 8}` },
      memfd: forked(
        ...['memfd', 'x', at('good')],
        ...['execveat', '@', '', AT_EMPTY_PATH, 'x', ...END, ';'],
      ),
      vfork: {
        steps: () => many('vfork', '[', ...bad(at('bad'), ...END), ']'),
        endsOf: endsOf('vfork'),
      },
      posix_spawn: {
        steps: () => many('spawn', at('bad'), 'bad', ...END, ';'),
        endsOf: endsOf('spawn'),
      },
      'int 0x80': {
        steps: (_, cgroup) =>
          many(
            ...['fork', '[', 'execve', programOf('compat-calls.c'), 'good', cgroup.dir, own.dir],
            ...['ia32', 11, `s:${at('bad')}`, '[', 's:bad', 's:exit', `s:${RAN}`, 0, ']', 0].map(
              escaped,
            ),
            ...[escaped(';'), ';', ']'],
          ),
        endsOf: endsOf('fork'),
      },
      // On overlayfs, as containers are: there a link makes a copy in the writable layer.
      'hard link in another directory': {
        whole: (_, cgroup) =>
          inNamespaces(
            cgroup,
            ...['mount', 'overlay', at('image'), 'overlay', 0, layers()],
            ...runs(
              at('good'),
              ...['call', 'link', `s:${at('image/bad')}`, `s:${at('image/tmp/x')}`, ';'],
              ...many('fork', '[', ...bad(at('image/tmp/x'), ...END), ']'),
            ),
          ),
        endsOf: endsOf('fork'),
        restore: () => rmSync(at('upper/tmp'), { recursive: true }),
      },
      'ld.so PROGRAM': {
        steps: () => many('fork', '[', 'execve', LOADER, 'ld', at('bad-dynamic'), ';', ']'),
        endsOf: endsOf('fork', 0),
      },
      'session from outside (docker exec)': {
        whole: (_, cgroup) => own.sessions(cgroup, ...bad(at('bad'), ...END)),
        endsOf: endsOf('fork'),
      },
      'program of a session from outside': {
        whole: (_, cgroup) =>
          own.sessions(cgroup, ...runs(at('good'), 'vfork', '[', ...bad(at('bad'), ...END), ']')),
        endsOf: endsOf('vfork'),
      },
    });

    for (const [way, outcome] of Object.entries<Outcome>(PROGRAM_WAYS))
      test(`${way}: ${typeof outcome === 'string' ? outcome : outcome.reportedBy}`, async (t) => {
        const attempt = ATTEMPTS()[way as keyof typeof PROGRAM_WAYS];
        if (attempt.cannot) t.skip(attempt.cannot);
        else await own.assertOutcome(attempt, outcome);
      });
  });

const LOADER = realpathSync('/lib64/ld-linux-x86-64.so.2');
