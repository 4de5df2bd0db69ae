// Ways around a denial of changes of names and modes: test/support/ways-around.ts says what comes of each.
import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { after, before, describe } from 'node:test';
import { JUDGED_CALLS } from '../../src/events/table.gen.ts';
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
  racedOf,
  runs,
  type Attempt,
  type End,
  type Place,
} from '../support/bypass.ts';
import { call, text } from '../support/kernel-calls.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import type { TestCgroup } from '../support/kernel-probe.ts';
import type { Step, StepResult } from '../support/kernel-process.ts';
import { programOf } from '../support/kernel-program.ts';
import { refuseFiles, refusingTest } from '../support/kernel-refused-files.ts';
import { forbidden } from '../support/kernel-uring.ts';
import { CHANGE_WAYS, type Outcome } from '../support/ways-around.ts';

const AT_FDCWD = -100;
const O_PATH = 0o10000000;
const O_DIRECTORY = 0o200000;
const MS_BIND = 4096;
const RENAME_EXCHANGE = 2;
const KEPT = 0o600;
const CHANGED = 0o644;

for (const kind of ['v2', 'v1-pids'] as const)
  describe(`ways around denied changes, with ${kind}`, { skip: missingHierarchy(kind) }, () => {
    let own: Bypass;
    let why: string | undefined;
    const at = (name: string): string => own.at(name);
    before(() => {
      own = new Bypass(kind, ['secret']);
      const ofSecret = (field: string): string =>
        `evt.type in (${JUDGED_CALLS.join(', ')}) and ${field} startswith ${at('secret/')}`;
      own.deny(...['fs.path.name', 'fs.path.source', 'fs.path.target'].map(ofSecret));
      why = refuseFiles(own.probe);
      for (const name of ['secret', 'free', 'cover']) mkdirSync(at(name));
      for (const name of ['secret/a', 'secret/b', 'free/a', 'cover/a'])
        writeFileSync(at(name), name, { mode: KEPT });
      symlinkSync('secret', at('link'));
    });
    after(() => own.close());

    const endsOfCalls =
      (...names: string[]) =>
      (results: readonly StepResult[]): End[] =>
        results
          .filter((one) => 'name' in one && names.includes(one.name as string))
          .map(({ ret }) => endOfCall(Math.min(ret, 0)));
    const endsOf = endsOfCalls('chmod');
    const printed = (results: readonly StepResult[]): End[] =>
      results
        .filter(({ step }) => (step as string | undefined) === undefined)
        .map(({ ret }) => endOfCall(Math.min(ret, 0)));
    const chmod = (path: string): Step[] => call('chmod', text(path), CHANGED);
    const chmods = (path: string, ...before: Step[]): Attempt => ({
      steps: () => [...before, ...many(...chmod(path))],
      endsOf,
    });
    const modeOf = (path: string): number => statSync(path).mode & 0o7777;
    const raced = (mode: string, ...args: Step[]): Attempt => ({
      steps: () =>
        runs(programOf('denial-races.c'), mode, 5 * RACES, at('secret/a'), at('free/a'), ...args),
      race: (results) => {
        assert.ok(racedOf(results).made > 0, 'the other one is changed');
        return modeOf(at('secret/a')) === CHANGED ? 1 : 0;
      },
    });
    /** By all requests that io_uring has, in turns; where they are made, all that is made is removed again. */
    const requests = (place: Place, nth: number): Step[][] => [
      ['mkdirat', AT_FDCWD, `secret/m-${place}-${nth}`, 0o755],
      ['symlinkat', 'x', AT_FDCWD, `secret/s-${place}-${nth}`],
      ['linkat', AT_FDCWD, 'free/a', AT_FDCWD, `secret/l-${place}-${nth}`, 0],
      ['renameat', AT_FDCWD, 'secret/a', AT_FDCWD, 'secret/b', RENAME_EXCHANGE],
      ['unlinkat', AT_FDCWD, `secret/u-${place}-${nth}`, 0],
    ];
    const uring = (ring: string, ...words: Step[]): Attempt => ({
      cannot: forbidden() && 'nobody may use it here',
      steps: (place: Place, cgroup: TestCgroup) => {
        const name = `${place}-${ring}${words.join('')}` as Place;
        const all = Array.from({ length: MANY / 5 }, (_, nth) => {
          writeFileSync(at(`secret/u-${name}-${nth}`), '');
          return requests(name, nth);
        }).flat();
        return runs(
          programOf('uring-calls.c'),
          ...[cgroup.dir, own.dir, ring, ...all.flatMap((one) => [...words, ...one, ';'])],
        );
      },
      endsOf: printed,
    });

    const ATTEMPTS = (): Readonly<Record<keyof typeof CHANGE_WAYS, Attempt>> => ({
      ...placeWays(
        () => own,
        kind,
        chmod(at('secret/a')),
        () => endsOf,
      ),
      '/proc/self/root': chmods(`/proc/self/root${at('secret/a')}`),
      'symbolic link': chmods(at('link/a')),
      'symbolic link that is swapped meanwhile': raced('chmod-link', at('swapped')),
      'bind mount': chmods(at('cover/a'), 'mount', at('secret'), at('cover'), 'none', MS_BIND, '-'),
      chroot: chmods('/a', 'chroot', at('secret')),
      'parent directory under another name': {
        ...chmods(at('plain/a'), ...call('rename', text(at('secret')), text(at('plain')))),
        restore: () => renameSync(at('plain'), at('secret')),
      },
      'session from outside (docker exec)': {
        whole: (_, cgroup) => own.sessions(cgroup, ...runs(at('good'), ...chmod(at('secret/a')))),
        endsOf,
      },
      '/proc/self/fd': chmods(
        '/proc/self/fd/3/a',
        ...['openat', AT_FDCWD, at('secret'), O_PATH | O_DIRECTORY, 0],
      ),
      '/proc/PID/root of other mounts': {
        ...chmods(`/proc/2/root${at('secret/a')}`, ...besideOtherMounts(at('mark'))),
        restore: () => rmSync(at('mark'), { recursive: true }),
      },
      'directory kept beyond a chroot': {
        steps: () => [
          ...beyondChroot(own.dir, at('free')),
          ...many(...call('fchmodat', 3, text('secret/a'), CHANGED)),
        ],
        endsOf: endsOfCalls('fchmodat'),
      },
      'copy of the mounts (open_tree)': chmods(
        '/proc/self/fd/3/secret/a',
        ...copyOfMounts(own.dir),
      ),
      'path changed in memory meanwhile': raced('chmod-path'),
      'another file put over it': {
        steps: () =>
          many(
            ...call(
              'renameat2',
              ...[AT_FDCWD, text(at('free/a')), AT_FDCWD, text(at('secret/a')), RENAME_EXCHANGE],
            ),
          ),
        endsOf: endsOfCalls('renameat2'),
      },
      // By its source: where both names are free to make, the second of a place is there already.
      'hard link in another directory': {
        steps: (place) =>
          Array.from({ length: MANY }, (_, nth) =>
            call('link', text(at('secret/a')), text(at(`free/l-${place}-${nth}`))),
          ).flat(),
        endsOf: endsOfCalls('link'),
      },
      io_uring: uring('plain'),
      'io_uring, by a worker': uring('plain', 'async'),
      'io_uring, by a thread of the kernel': uring('sqpoll'),
      'int 0x80': {
        steps: (_, cgroup) =>
          runs(
            programOf('compat-calls.c'),
            ...[cgroup.dir, own.dir],
            ...Array.from({ length: MANY }, () => [
              'ia32',
              15,
              `s:${at('secret/a')}`,
              CHANGED,
              ';',
            ]).flat(),
          ),
        endsOf: printed,
      },
    });

    for (const [way, outcome] of Object.entries<Outcome>(CHANGE_WAYS))
      refusingTest(
        `${way}: ${typeof outcome === 'string' ? outcome : outcome.reportedBy}`,
        () => why,
        async (t) => {
          const { restore, ...attempt } = ATTEMPTS()[way as keyof typeof CHANGE_WAYS];
          const reset = (): void => {
            restore?.();
            for (const name of ['secret/a', 'secret/b', 'free/a']) chmodSync(at(name), KEPT);
          };
          if (attempt.cannot) t.skip(attempt.cannot);
          else await own.assertOutcome({ ...attempt, restore: reset }, outcome);
        },
      );
  });
