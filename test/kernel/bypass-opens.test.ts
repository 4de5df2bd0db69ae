// Ways around a denial of opens: test/support/ways-around.ts says what comes of each.
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { after, before, describe } from 'node:test';
import {
  besideOtherMounts,
  beyondChroot,
  Bypass,
  copyOfMounts,
  endOfCall,
  many,
  MANY,
  placeWays,
  RACES,
  runs,
  type Attempt,
  type End,
} from '../support/bypass.ts';
import { call, text } from '../support/kernel-calls.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import type { Step, StepResult } from '../support/kernel-process.ts';
import { programOf } from '../support/kernel-program.ts';
import { refuseFiles, refusingTest } from '../support/kernel-refused-files.ts';
import { forbidden } from '../support/kernel-uring.ts';
import { OPEN_WAYS, type Outcome } from '../support/ways-around.ts';

const AT_FDCWD = -100;
const O_RDONLY = 0;
const O_PATH = 0o10000000;
const MS_BIND = 4096;

for (const kind of ['v2', 'v1-pids'] as const)
  describe(`ways around denied opens, with ${kind}`, { skip: missingHierarchy(kind) }, () => {
    let own: Bypass;
    let why: string | undefined;
    const at = (name: string): string => own.at(name);
    before(() => {
      own = new Bypass(kind, ['secret']);
      own.deny(`evt.type in (open, openat, openat2, creat) and fd.name startswith ${at('secret')}`);
      why = refuseFiles(own.probe);
      for (const name of ['secret-dir', 'elsewhere']) mkdirSync(at(name));
      // What open-races.c knows a secret by.
      for (const name of ['secret', 'secret-dir/key']) writeFileSync(at(name), 'S');
      // As the agent does, which finds the files that rules name.
      for (const name of ['secret', 'secret-dir/key']) if (why === undefined) own.know(name);
      for (const name of ['free', 'cover']) writeFileSync(at(name), 'D');
      symlinkSync('secret', at('link'));
    });
    after(() => own.close());

    /** Only the decisive ones: what prepares them is opened by `openat`. */
    const endsOf = (results: readonly StepResult[]): End[] =>
      results
        .filter(({ step }) => step === 'open' || step === 'openat2')
        .map(({ ret }) => endOfCall(ret));
    const printed = (results: readonly StepResult[]): End[] =>
      results
        .filter(({ step }) => (step as string | undefined) === undefined)
        .map(({ ret }) => endOfCall(Math.min(ret, 0)));
    const open = (path: string): Step[] => ['open', path, O_RDONLY, 0];
    const opens = (path: string, ...before: Step[]): Attempt => ({
      steps: () => [...before, ...many(...open(path))],
      endsOf,
    });
    const calls = (source: string, ...args: Step[]): Attempt => ({
      steps: (_, cgroup) => runs(programOf(source), cgroup.dir, own.dir, ...args),
      endsOf: printed,
    });
    const repeated = (...steps: Step[]): Step[] => Array.from({ length: MANY }, () => steps).flat();
    const uring = (ring: string, ...words: Step[]): Attempt => ({
      cannot: forbidden() && 'nobody may use it here',
      ...calls(
        'uring-calls.c',
        ring,
        ...repeated(...words, 'openat', AT_FDCWD, 'secret', O_RDONLY, 0, 0, ';'),
      ),
    });
    const raced = (mode: string): Attempt => ({
      steps: (_, cgroup) =>
        runs(programOf('open-races.c'), cgroup.dir, mode, RACES, at('secret'), at('free')),
      race: (results) =>
        results.find((one): one is StepResult & { secrets: number } => 'secrets' in one)?.secrets ??
        NaN,
    });

    const ATTEMPTS = (): Readonly<Record<keyof typeof OPEN_WAYS, Attempt>> => ({
      ...placeWays(
        () => own,
        kind,
        open(at('secret')),
        () => endsOf,
      ),
      '/proc/self/root': opens(`/proc/self/root${at('secret')}`),
      'symbolic link': opens(at('link')),
      'symbolic link that is swapped meanwhile': raced('link'),
      'bind mount': opens(at('cover'), 'mount', at('secret'), at('cover'), 'none', MS_BIND, '-'),
      chroot: opens('/secret', 'chroot', own.dir),
      'parent directory under another name': {
        ...opens(
          at('plain-dir/key'),
          ...call('rename', text(at('secret-dir')), text(at('plain-dir'))),
        ),
        restore: () => renameSync(at('plain-dir'), at('secret-dir')),
      },
      'session from outside (docker exec)': {
        whole: (_, cgroup) => own.sessions(cgroup, ...runs(at('good'), ...open(at('secret')))),
        endsOf,
      },
      '/proc/self/fd': opens('/proc/self/fd/3', ...['openat', AT_FDCWD, at('secret'), O_PATH, 0]),
      '/proc/PID/root of other mounts': {
        ...opens(`/proc/2/root${at('secret')}`, ...besideOtherMounts(at('mark'))),
        restore: () => rmSync(at('mark'), { recursive: true }),
      },
      'directory kept beyond a chroot': {
        steps: () => [
          ...beyondChroot(own.dir, at('elsewhere')),
          ...many('openat2', 3, 'secret', O_RDONLY, 0, 0),
        ],
        endsOf,
      },
      'copy of the mounts (open_tree)': opens('/proc/self/fd/3/secret', ...copyOfMounts(own.dir)),
      'path changed in memory meanwhile': raced('swap'),
      'dup2 by another thread meanwhile': raced('both'),
      io_uring: uring('plain'),
      'io_uring, by a worker': uring('plain', 'async'),
      'io_uring, by a thread of the kernel': uring('sqpoll'),
      'int 0x80': calls(
        'compat-calls.c',
        ...repeated('ia32', 5, `s:${at('secret')}`, O_RDONLY, 0, ';'),
      ),
      'hard link in another directory': {
        ...opens(at('elsewhere/x'), ...call('link', text(at('secret')), text(at('elsewhere/x')))),
        restore: () => rmSync(at('elsewhere/x')),
      },
      open_by_handle_at: {
        steps: () => [
          ...['cd', own.dir, 'handle', at('secret')],
          ...many(...call('open_by_handle_at', AT_FDCWD, 'handle', O_RDONLY)),
        ],
        endsOf: (results) =>
          results
            .filter((one) => 'name' in one && one.name === 'open_by_handle_at')
            .map(({ ret }) => endOfCall(ret)),
      },
    });

    for (const [way, outcome] of Object.entries<Outcome>(OPEN_WAYS))
      refusingTest(
        `${way}: ${typeof outcome === 'string' ? outcome : outcome.reportedBy}`,
        () => why,
        async (t) => {
          const attempt = ATTEMPTS()[way as keyof typeof OPEN_WAYS];
          if (attempt.cannot) t.skip(attempt.cannot);
          else await own.assertOutcome(attempt, outcome);
        },
      );
  });
