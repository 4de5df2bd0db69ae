// Files that a rule denies to open are not opened.
import assert from 'node:assert/strict';
import {
  copyFileSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext } from 'node:test';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { call, text } from '../support/kernel-calls.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { runsIn } from '../support/kernel-container.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from '../support/kernel-probe.ts';
import { stepsProgram, type Step, type TestProcess } from '../support/kernel-process.ts';
import { programOf } from '../support/kernel-program.ts';
import { forbidden } from '../support/kernel-uring.ts';
import { refuseFiles, refusingTest } from '../support/kernel-refused-files.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { makeProcess, makeSubject } from '../support/rules-subject.ts';
import { verdictTable } from '../support/verdict-table.ts';

const TABLE = 1;
const EPERM = -1;
const ENOENT = -2;
const AT_FDCWD = -100;
const O_RDONLY = 0;
const O_WRONLY = 1;
const O_RDWR = 2;
const O_CREAT = 0o100;
const O_TRUNC = 0o1000;
const O_PATH = 0o10000000;
const MANY = 200;

for (const kind of ['v2', 'v1-pids'] as const)
  describe(`denied opens, with ${kind}`, { skip: missingHierarchy(kind) }, () => {
    let probe: KernelProbe;
    let dir: string;
    let cgroup: TestCgroup;
    /** Why this kernel refuses none. */
    let why: string | undefined;
    before(() => {
      probe = new KernelProbe({ hierarchy: kind, attach: STANDARD_PROGRAMS });
      cgroup = probe.mkdir('judged');
      probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
      dir = mkdtempSync(join(tmpdir(), 'varvel-deny-opens-'));
      copyFileSync(stepsProgram(), join(dir, 'good'));
      for (const name of ['secret', 'secret2', 'free']) writeFileSync(join(dir, name), name);
      symlinkSync('secret', join(dir, 'symlink'));
      linkSync(join(dir, 'secret'), join(dir, 'hardlink'));
      why = refuseFiles(probe);
    });
    after(async () => {
      await probe.close();
      rmSync(dir, { recursive: true, force: true });
    });

    const at = (name: string): string => join(dir, name);
    /** A test that needs a kernel that refuses opens. */
    const refusing = (name: string, run: (t: TestContext) => Promise<void>): void => {
      refusingTest(name, () => why, run);
    };
    const deny = (condition: string): void => {
      const { bytes, denied } = verdictTable(
        ruleSetOf(ruleFile(condition)),
        'docker',
        new Set(['r']),
      );
      assert.deepEqual(denied, ['r']);
      probe.probe.setVerdicts(TABLE, bytes);
    };
    const bad = (): string =>
      `evt.type in (open, openat, openat2, creat) and fd.name startswith ${at('secret')}`;

    const inContainer = (of: TestCgroup, ...steps: Step[]): Step[] =>
      runsIn(of, at('good'), ...steps);
    const open = (name: string, flags = O_RDONLY): Step[] => ['open', at(name), flags, 0o600];

    async function opens(
      steps: Step[],
      how = inContainer,
    ): Promise<[results: number[], events: readonly WireEvent[], running: TestProcess]> {
      const before = probe.events.length;
      const running = await probe.run(undefined, how(cgroup, ...steps));
      const results = running.results
        .filter(({ step }) => /^(open|creat)/.test((step as string | undefined) ?? ''))
        .map(({ ret }) => Math.min(ret, 0));
      const events = probe.events.slice(before).filter(({ open: opened }) => opened !== undefined);
      return [results, events, running];
    }
    const pathsOf = (events: readonly WireEvent[]): string[] =>
      events
        .filter(({ denied }) => denied)
        .map(({ open: opened }) => opened?.file?.path.slice(dir.length + 1) ?? '');

    refusing('by each call and for each access, each with one complete record', async () => {
      deny(bad());
      const [results, events] = await opens([
        ...open('secret'),
        ...open('free'),
        ...['openat', AT_FDCWD, at('secret'), O_WRONLY, 0],
        ...['openat2', AT_FDCWD, at('secret2'), O_RDWR, 0, 0],
        ...['creat', at('secret'), 0o600],
        ...open('secret', O_WRONLY | O_TRUNC),
        ...open('none'),
      ]);
      assert.deepEqual(results, [EPERM, 0, EPERM, EPERM, EPERM, EPERM, ENOENT]);
      const refused = events.filter(({ denied }) => denied);
      assert.deepEqual(
        refused.map(({ type, result, judged, ruleMatches, open: opened }) => [
          ...[type, result, judged?.result, ruleMatches],
          ...[opened?.file?.path, opened?.rawPath, opened?.forRead, opened?.forWrite],
        ]),
        [
          ['open', EPERM, 0, true, at('secret'), at('secret'), true, false],
          ['openat', EPERM, 0, true, at('secret'), at('secret'), false, true],
          ['openat2', EPERM, 0, true, at('secret2'), at('secret2'), true, true],
          ['creat', EPERM, 0, true, at('secret'), at('secret'), false, true],
          ['open', EPERM, 0, true, at('secret'), at('secret'), false, true],
        ],
      );
      for (const event of refused)
        assert.deepEqual([event.tid, event.comm, event.vpid], [event.pid, 'good', 1]);
      assert.deepEqual(readFileSync(at('secret'), 'utf8'), 'secret', 'it was not truncated');
      // The agent's own judgement: as if it had been opened.
      const engine = new RuleEngine(
        ruleSetOf(ruleFile(`${bad()} and evt.rawres >= 0 and fd.type = file`)),
      );
      for (const event of refused)
        assert.equal(
          engine.evaluate(makeSubject(event, { process: makeProcess() }), 'all').length,
          1,
        );
    });

    refusing('by other names of the file: the kernel’s path decides', async () => {
      deny(bad());
      const [results, events] = await opens([
        ...open('symlink'),
        ...open('../' + dir.slice(dir.lastIndexOf('/') + 1) + '/./secret'),
        ...['cd', dir, 'open', 'secret', O_RDONLY, 0],
        ...['open', `/proc/self/root${at('secret')}`, O_RDONLY, 0],
        // Its own path: what the rule does not match, it does not deny.
        ...open('hardlink'),
        // No access to what is in the file.
        ...open('secret', O_PATH),
        ...['open', '/proc/self/fd/%40', O_RDONLY, 0],
      ]);
      assert.deepEqual(results.slice(0, 6), [EPERM, EPERM, EPERM, EPERM, 0, 0]);
      assert.deepEqual(
        pathsOf(events),
        Array.from({ length: 4 }, () => 'secret'),
      );
    });

    refusing('a descriptor of the path alone does not open it', async () => {
      deny(bad());
      const [results] = await opens([
        ...open('secret', O_PATH),
        'open',
        '/proc/self/fd/3',
        O_RDONLY,
        0,
      ]);
      assert.deepEqual(results, [0, EPERM]);
    });

    refusing(`${MANY} of ${MANY} processes are refused, and open other files`, async () => {
      deny(bad());
      const untold = probe.countUntold();
      const steps = Array.from({ length: MANY }, () => [
        ...[
          'fork',
          '[',
          ...open('secret'),
          ...open('free'),
          ...open('secret2', O_RDWR),
          'exit',
          0,
          ']',
        ],
      ]).flat();
      const [results, events] = await opens(steps);
      assert.deepEqual(results, Array.from({ length: MANY }, () => [EPERM, 0, EPERM]).flat());
      assert.equal(events.filter(({ denied }) => denied).length + untold(), 2 * MANY);
    });

    refusing('an allowed open is judged at its end, too, by its own path', async () => {
      // Who the user is, the kernel does not know: such an open is reported, and not refused.
      deny(
        `${bad()} or (evt.type in (open, openat) and fd.name endswith told and user.name != none and fd.name startswith ${dir})`,
      );
      writeFileSync(at('told'), '');
      const renamed = (from: string, to: string): Step[] =>
        call('rename', text(at(from)), text(at(to)));
      const one = [
        ...['told', 'free', 'told'].flatMap((name) => open(name)),
        ...[...renamed('free', 'free-told'), ...open('free-told')],
        ...[...renamed('free-told', 'free'), ...open('free')],
      ];
      const [results, events] = await opens(Array.from({ length: MANY }, () => one).flat());
      assert.deepEqual(results, Array(5 * MANY).fill(0));
      assert.deepEqual(
        events.map(({ open: opened }) => opened?.file?.path),
        Array.from({ length: MANY }, () => [at('told'), at('told'), at('free-told')]).flat(),
      );
    });

    refusing(
      'not in another container, nor of a process from outside, nor without a table',
      async () => {
        deny(bad());
        const other = probe.mkdir('other');
        const [ofOther] = await opens(open('secret'), (_, ...steps) =>
          inContainer(other, ...steps),
        );
        assert.deepEqual(ofOther, [0]);
        const [moved] = await opens(open('secret'), ({ dir: of }, ...steps) => [
          'enter',
          of,
          ...steps,
        ]);
        assert.deepEqual(moved, [0]);
        assert.equal(readFileSync(at('secret'), 'utf8'), 'secret', 'the host reads it');
        probe.probe.setVerdicts(TABLE, undefined);
        assert.deepEqual((await opens(open('secret')))[0], [0]);
        // Nor once that is ended, and again when it begins anew.
        deny(bad());
        probe.probe.allowFiles();
        assert.deepEqual((await opens(open('secret')))[0], [0]);
        probe.probe.denyFiles();
        assert.deepEqual((await opens(open('secret')))[0], [EPERM]);
      },
    );

    refusing('only for the access that the rule is about', async () => {
      deny(`${bad()} and evt.is_open_write = true`);
      const [results] = await opens([
        ...open('secret'),
        ...open('secret', O_WRONLY),
        ...open('secret', O_RDONLY | O_TRUNC),
      ]);
      assert.deepEqual(results, [0, EPERM, EPERM]);
      deny(`${bad()} and evt.is_open_read = true and not evt.is_open_write = true`);
      const [others] = await opens([...open('secret'), ...open('secret', O_RDWR)]);
      assert.deepEqual(others, [EPERM, 0]);
    });

    refusing('by the program and by its name', async () => {
      deny(`${bad()} and proc.exepath = ${at('good')} and proc.name = good`);
      assert.deepEqual((await opens(open('secret')))[0], [EPERM]);
      deny(`${bad()} and not proc.exepath = ${at('good')}`);
      assert.deepEqual((await opens(open('secret')))[0], [0]);
      assert.deepEqual((await opens(['comm', 'other', ...open('secret')]))[0], [0]);
    });

    refusing('a file that the call creates is there, but empty', async () => {
      deny(bad());
      const [results, events] = await opens(open('secret-new', O_WRONLY | O_CREAT));
      assert.deepEqual(results, [EPERM]);
      assert.deepEqual(
        events.filter(({ denied }) => denied).map(({ open: made }) => made?.created),
        [true],
      );
      assert.equal(readFileSync(at('secret-new'), 'utf8'), '');
    });

    refusing('a program is not opened by running it', async () => {
      deny(`evt.type in (open, openat) and fd.name = ${at('good')}`);
      const [results] = await opens([...open('good'), ...open('free')]);
      assert.deepEqual(results, [EPERM, 0]);
    });

    refusing('unreadable memory: the path that was passed is gone', async () => {
      deny(bad());
      const [results, events] = await opens([...open('secret'), 'badopen']);
      assert.equal(results[0], EPERM);
      assert.deepEqual(pathsOf(events), ['secret']);
    });

    refusing('opens whose record is dropped are counted', async () => {
      const small = new KernelProbe({
        hierarchy: kind,
        attach: STANDARD_PROGRAMS,
        bulkRingBytes: 64 << 10,
        // What comes between two looks has no room.
        tickMs: 3000,
      });
      try {
        const { bytes } = verdictTable(ruleSetOf(ruleFile(bad())), 'docker', new Set(['r']));
        small.probe.setVerdicts(TABLE, bytes);
        small.probe.denyFiles();
        const judged = small.mkdir('judged');
        small.probe.scopeSet(judged.id, 'included', judged.level, TABLE);
        const steps = Array.from({ length: 3 * MANY }, () => open('secret')).flat();
        const running = await small.run(undefined, inContainer(judged, ...steps));
        const refused = running.results.filter(({ ret }) => ret === EPERM).length;
        const told = small.events.filter(({ denied }) => denied).length;
        const { deniedDropped } = small.probe.stats();
        assert.ok(deniedDropped > 0, 'the ring was full');
        assert.deepEqual([refused, told + deniedDropped], [3 * MANY, 3 * MANY]);
      } finally {
        await small.close();
      }
    });

    /** What another test program printed that makes calls in the cgroup, and its events. */
    async function calls(
      source: string,
      ...args: Step[]
    ): Promise<[results: number[], events: readonly WireEvent[]]> {
      const program = [programOf(source), cgroup.dir, dir, ...args] as const;
      const [, events, running] = await opens([], (of) => runsIn(of, ...program));
      const results = running.results.filter(
        ({ step }) => (step as string | undefined) === undefined,
      );
      return [results.map(({ ret }) => Math.min(ret, 0)), events];
    }

    for (const ring of ['plain', 'sqpoll'] as const)
      refusing(`by io_uring, also by a worker: ${ring}`, async (t) => {
        if (forbidden() || !probe.probe.programs().includes('io_uring')) {
          t.skip('nobody may use it here, or no tracepoints that fit');
          return;
        }
        probe.probe.attach('io_uring');
        deny(bad());
        const openat = (name: string, ...words: Step[]): Step[] => [
          ...words,
          ...['openat', AT_FDCWD, name, O_RDONLY, 0, 0, ';'],
        ];
        const [results, events] = await calls(
          'uring-calls.c',
          ring,
          ...[...openat('secret'), ...openat('free'), ...openat('secret2', 'async')],
          ...['openat2', AT_FDCWD, 'secret', O_RDWR, 0, 0, 0, ';'],
          // The thread of the kernel may find the path that it is given later.
          ...openat('secret', ...(ring === 'plain' ? ['late'] : [])),
        );
        assert.deepEqual(results, [EPERM, 0, EPERM, EPERM, EPERM]);
        assert.deepEqual(pathsOf(events), ['secret', 'secret2', 'secret', 'secret']);
        assert.deepEqual(
          events
            .filter(({ denied }) => denied)
            .map(({ type, open: made }) => [type, made?.forWrite]),
          [
            ['openat', false],
            ['openat', false],
            ['openat2', true],
            ['openat', false],
          ],
        );
        probe.probe.detach('io_uring');
      });

    refusing('by int 0x80', async () => {
      deny(bad());
      probe.probe.attach('compat_exit');
      const path = `s:${at('secret')}`;
      const [results, events] = await calls(
        'compat-calls.c',
        ...['ia32', 5, path, O_RDONLY, 0, ';', 'ia32', 295, AT_FDCWD, path, O_RDWR, 0, ';'],
        ...['ia32', 8, path, 0o600, ';', 'ia32', 5, `s:${at('free')}`, O_RDONLY, 0, ';'],
      );
      probe.probe.detach('compat_exit');
      assert.deepEqual(results, [EPERM, EPERM, EPERM, 0]);
      assert.deepEqual(pathsOf(events), ['secret', 'secret', 'secret']);
      assert.deepEqual(
        events.filter(({ denied }) => denied).map(({ type }) => type),
        ['open', 'openat', 'creat'],
      );
    });

    refusing('verdicts on connects on the same CPUs do not change verdicts on opens', async () => {
      deny(`${bad()} and proc.name = good`);
      const others = Array.from({ length: 4 }, () =>
        probe.spawn(undefined, inContainer(cgroup, 'loop', 5000, 0, '/etc/hosts')),
      );
      const [results] = await opens(
        Array.from({ length: 2 * MANY }, () => [...open('secret'), ...open('free')]).flat(),
      );
      await Promise.all(others.map((running) => running.ended()));
      assert.deepEqual(results, Array.from({ length: 2 * MANY }, () => [EPERM, 0]).flat());
    });
  });
