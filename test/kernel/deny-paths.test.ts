// Changes of names, modes and owners that a rule denies are not made.
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, type TestContext } from 'node:test';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { JUDGED_CALLS, MORE_HOOKS } from '../../src/events/table.gen.ts';
import { hooksFor } from '../../src/plan/hooks.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { call, callFd, text } from '../support/kernel-calls.ts';
import { missingHierarchy } from '../support/kernel-cgroups.ts';
import { runsIn } from '../support/kernel-container.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from '../support/kernel-probe.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';
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
const AT_REMOVEDIR = 0x200;
const RENAME_EXCHANGE = 2;
const O_RDONLY = 0;
const MANY = 200;

/** Newer calls that are reported as one of these are not in every kernel. */
const NEWER: readonly string[] = Object.values(MORE_HOOKS).map((hook) => `sys_${hook}`);

for (const kind of ['v2', 'v1-pids'] as const)
  describe(`denied changes, with ${kind}`, { skip: missingHierarchy(kind) }, () => {
    let probe: KernelProbe;
    let dir: string;
    let cgroup: TestCgroup;
    /** Why this kernel refuses none. */
    let why: string | undefined;
    before(() => {
      const hooks = hooksFor(new Set(JUDGED_CALLS)).filter((hook) => !NEWER.includes(hook));
      probe = new KernelProbe({
        hierarchy: kind,
        attach: [...new Set([...STANDARD_PROGRAMS, ...hooks])],
      });
      cgroup = probe.mkdir('judged');
      probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
      dir = mkdtempSync(join(realpathSync(tmpdir()), 'varvel-deny-paths-'));
      copyFileSync(stepsProgram(), join(dir, 'good'));
      why = refuseFiles(probe);
    });
    beforeEach(() => {
      for (const name of ['secret', 'free']) {
        rmSync(at(name), { recursive: true, force: true });
        mkdirSync(at(name));
        mkdirSync(at(`${name}/sub`));
        for (const file of ['a', 'b', 'c', 'd'])
          writeFileSync(at(`${name}/${file}`), file, { mode: 0o600 });
      }
      rmSync(at('way'), { force: true });
      symlinkSync('secret', at('way'));
    });
    after(async () => {
      await probe.close();
      rmSync(dir, { recursive: true, force: true });
    });

    const at = (name: string): string => join(dir, name);
    /** A test that needs a kernel that refuses calls. */
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
    const CHANGES = `evt.type in (${JUDGED_CALLS.join(', ')})`;
    /** Any change below the secret directory. */
    const bad = (): string =>
      `${CHANGES} and (${['fs.path.name', 'fs.path.source', 'fs.path.target', 'fd.name']
        .map((field) => `${field} startswith ${at('secret/')}`)
        .join(' or ')})`;
    const denyBad = (): void => deny(bad());

    const inContainer = (of: TestCgroup, ...steps: Step[]): Step[] =>
      runsIn(of, at('good'), ...steps);

    async function changes(
      steps: Step[],
      how = inContainer,
    ): Promise<[results: number[], events: readonly WireEvent[]]> {
      const before = probe.events.length;
      const running = await probe.run(undefined, how(cgroup, ...steps));
      const results = running.results
        .filter(({ step }) => (step as string | undefined) === 'call')
        .map(({ ret }) => Math.min(ret, 0));
      const events = probe.events.slice(before).filter(({ call: made }) => made !== undefined);
      return [results, events];
    }
    const told = (events: readonly WireEvent[]): string[] =>
      events
        .filter(({ denied }) => denied)
        .map(({ type, call: made }) =>
          [type, made?.text(1), made?.text(2), made?.file?.path]
            .filter((one) => one !== undefined && one !== '')
            .join(' ')
            .replaceAll(`${dir}/`, ''),
        );

    /** Each call, what is told of it, and how it ends if it is not denied. */
    const CALLS: readonly (readonly [told: string, step: (name: string) => Step[]])[] = [
      ['rename ~/c ~/n', (d) => call('rename', text(at(`${d}/c`)), text(at(`${d}/n`)))],
      [
        'renameat ~/d ~/n2',
        (d) => call('renameat', AT_FDCWD, text(at(`${d}/d`)), AT_FDCWD, text(at(`${d}/n2`))),
      ],
      [
        'renameat2 ~/a ~/b',
        (d) =>
          call(
            'renameat2',
            ...[AT_FDCWD, text(at(`${d}/a`)), AT_FDCWD, text(at(`${d}/b`)), RENAME_EXCHANGE],
          ),
      ],
      ['link ~/a ~/l', (d) => call('link', text(at(`${d}/a`)), text(at(`${d}/l`)))],
      [
        'linkat ~/a ~/l2',
        (d) => call('linkat', AT_FDCWD, text(at(`${d}/a`)), AT_FDCWD, text(at(`${d}/l2`)), 0),
      ],
      ['symlink target ~/s', (d) => call('symlink', text('target'), text(at(`${d}/s`)))],
      [
        'symlinkat target ~/s2',
        (d) => call('symlinkat', text('target'), AT_FDCWD, text(at(`${d}/s2`))),
      ],
      ['mkdir ~/m', (d) => call('mkdir', text(at(`${d}/m`)), 0o755)],
      ['mkdirat ~/m2', (d) => call('mkdirat', AT_FDCWD, text(at(`${d}/m2`)), 0o755)],
      ['rmdir ~/sub', (d) => call('rmdir', text(at(`${d}/sub`)))],
      ['chmod ~/a', (d) => call('chmod', text(at(`${d}/a`)), 0o644)],
      ['fchmodat ~/a', (d) => call('fchmodat', AT_FDCWD, text(at(`${d}/a`)), 0o640)],
      ['chown ~/a', (d) => call('chown', text(at(`${d}/a`)), 1, 1)],
      ['lchown ~/a', (d) => call('lchown', text(at(`${d}/a`)), 1, 1)],
      ['fchownat ~/a', (d) => call('fchownat', AT_FDCWD, text(at(`${d}/a`)), 1, 1, 0)],
      ['unlink ~/a', (d) => call('unlink', text(at(`${d}/a`)))],
      ['unlinkat ~/b', (d) => call('unlinkat', AT_FDCWD, text(at(`${d}/b`)), 0)],
    ];

    refusing('by each call, each with one complete record', async () => {
      denyBad();
      const steps = ['secret', 'free'].flatMap((d) => CALLS.flatMap(([, step]) => step(d)));
      const [results, events] = await changes(steps);
      assert.deepEqual(results, [...CALLS.map(() => EPERM), ...CALLS.map(() => 0)]);
      const refused = events.filter(({ denied }) => denied);
      assert.deepEqual(
        told(events),
        CALLS.map(([name]) => name.replaceAll('~', 'secret')),
      );
      for (const event of refused) {
        assert.deepEqual(
          [event.result, event.judged?.result, event.ruleMatches, event.comm, event.vpid],
          [EPERM, 0, true, 'good', 1],
        );
      }
      for (const name of ['a', 'b', 'c', 'd', 'sub'])
        assert.ok(existsSync(at(`secret/${name}`)), name);
      for (const name of ['n', 'l', 's', 'm']) assert.ok(!existsSync(at(`secret/${name}`)), name);
      assert.equal(statSync(at('secret/a')).mode & 0o7777, 0o600);
      // The agent's own judgement: as if it had been made.
      const engine = new RuleEngine(ruleSetOf(ruleFile(`${bad()} and evt.rawres = 0`)));
      for (const event of refused)
        assert.equal(
          engine.evaluate(makeSubject(event, { process: makeProcess() }), 'all').length,
          1,
          event.type,
        );
    });

    refusing('by a descriptor', async () => {
      denyBad();
      const [results, events] = await changes([
        ...callFd('openat', AT_FDCWD, text(at('secret/a')), O_RDONLY, 0),
        ...[...call('fchmod', '@', 0o644), ...call('fchown', '@', 1, 1)],
        ...callFd('openat', AT_FDCWD, text(at('free/a')), O_RDONLY, 0),
        ...[...call('fchmod', '@', 0o644), ...call('fchown', '@', 1, 1)],
      ]);
      // With the opens.
      assert.deepEqual(results, [0, EPERM, EPERM, 0, 0, 0]);
      assert.deepEqual(told(events), ['fchmod secret/a', 'fchown secret/a']);
    });

    refusing('by other names: the kernel’s paths decide, and are told', async () => {
      denyBad();
      const [results, events] = await changes([
        ...call('unlink', text(at('way/a'))),
        ...call('unlink', text(at('free/../secret/./a'))),
        ...['cd', at('secret')],
        ...call('unlink', text('a')),
        ...call('rename', text(at('free/a')), text('a')),
        ...call('unlink', text(`/proc/self/root${at('secret/a')}`)),
        ...call('chmod', text('/proc/self/cwd/a'), 0o777),
        ...call('unlinkat', AT_FDCWD, text('sub'), AT_REMOVEDIR),
        // What is not there is not denied: the call fails by itself.
        ...call('unlink', text('none')),
      ]);
      assert.deepEqual(results, [...Array.from({ length: 7 }, () => EPERM), ENOENT]);
      assert.deepEqual(told(events), [
        ...Array.from({ length: 3 }, () => 'unlink secret/a'),
        ...['rename free/a secret/a', 'unlink secret/a', 'chmod secret/a', 'unlinkat secret/sub'],
      ]);
    });

    refusing('by the mode, as far as the kernel knows it', async () => {
      const ofSecret = `evt.type in (chmod, fchmodat) and evt.arg.filename startswith ${at('secret/')}`;
      // Of these bits it knows whether there is one, not which.
      deny(`${ofSecret} and not evt.arg.mode contains S_ISUID`);
      const chmod = (mode: number): Step[] => call('chmod', text(at('secret/a')), mode);
      const [results] = await changes([...chmod(0o755), ...chmod(0o4755), ...chmod(0o2755)]);
      assert.deepEqual(results, [EPERM, 0, 0]);
      // Bits that the kernel ignores do not hide it, and are not told.
      const [odd, events] = await changes(chmod(0o100755));
      assert.deepEqual(odd, [EPERM]);
      assert.deepEqual(
        events.filter(({ denied }) => denied).map((event) => event.call?.arg(2)),
        [0o755n],
      );
    });

    refusing(`${MANY} of ${MANY} processes are refused, and change other names`, async () => {
      denyBad();
      const untold = probe.countUntold();
      const steps = Array.from({ length: MANY }, () => [
        ...['fork', '['],
        ...call('unlink', text(at('secret/a'))),
        ...call('chmod', text(at('free/a')), 0o644),
        ...call('rename', text(at('free/b')), text(at('secret/b'))),
        ...['exit', 0, ']'],
      ]).flat();
      const [results, events] = await changes(steps);
      assert.deepEqual(results, Array.from({ length: MANY }, () => [EPERM, 0, EPERM]).flat());
      assert.equal(events.filter(({ denied }) => denied).length + untold(), 2 * MANY);
      assert.ok(existsSync(at('secret/a')) && existsSync(at('free/b')));
    });

    refusing(
      'not in another container, nor of a process from outside, nor without a table',
      async () => {
        denyBad();
        const link = (name: string): Step[] => call('link', text(at('secret/a')), text(at(name)));
        const other = probe.mkdir('other');
        const [ofOther] = await changes(link('secret/1'), (_, ...steps) =>
          inContainer(other, ...steps),
        );
        assert.deepEqual(ofOther, [0]);
        const [moved] = await changes(link('secret/2'), ({ dir: of }, ...steps) => [
          'enter',
          of,
          ...steps,
        ]);
        assert.deepEqual(moved, [0]);
        rmSync(at('secret/1'));
        probe.probe.setVerdicts(TABLE, undefined);
        assert.deepEqual((await changes(link('secret/3')))[0], [0]);
        // Nor once that is ended, and again when it begins anew.
        denyBad();
        probe.probe.allowFiles();
        assert.deepEqual((await changes(link('secret/4')))[0], [0]);
        probe.probe.denyFiles();
        assert.deepEqual((await changes(link('secret/5')))[0], [EPERM]);
      },
    );

    refusing('by the program and by its name', async () => {
      const unlink = call('unlink', text(at('secret/a')));
      const ofSecret = `evt.type = unlink and evt.arg.path startswith ${at('secret/')}`;
      deny(`${ofSecret} and proc.exepath = ${at('good')} and proc.name = good`);
      assert.deepEqual((await changes(unlink))[0], [EPERM]);
      deny(`${ofSecret} and not proc.exepath = ${at('good')}`);
      assert.deepEqual((await changes(unlink))[0], [0]);
    });

    refusing(
      'requests of io_uring are refused, and counted as denied without a line',
      async (t) => {
        if (forbidden()) {
          t.skip('nobody may use it here');
          return;
        }
        denyBad();
        const { deniedDropped } = probe.probe.stats();
        const running = await probe.run(
          undefined,
          runsIn(
            cgroup,
            programOf('uring-calls.c'),
            ...[cgroup.dir, dir, 'plain'],
            ...['unlinkat', AT_FDCWD, 'secret/a', 0, ';'],
            ...['renameat', AT_FDCWD, 'free/a', AT_FDCWD, 'secret/n', 0, ';'],
            ...['unlinkat', AT_FDCWD, 'free/b', 0, ';'],
          ),
        );
        const results = running.results
          .filter(({ step }) => (step as string | undefined) === undefined)
          .map(({ ret }) => Math.min(ret, 0));
        assert.deepEqual(results, [EPERM, EPERM, 0]);
        assert.equal(probe.probe.stats().deniedDropped - deniedDropped, 2);
      },
    );

    refusing('by int 0x80', async () => {
      denyBad();
      const before = probe.events.length;
      const path = (name: string): string => `s:${at(name)}`;
      const running = await probe.run(
        undefined,
        runsIn(
          cgroup,
          programOf('compat-calls.c'),
          ...[cgroup.dir, dir],
          ...['ia32', 10, path('secret/a'), ';', 'ia32', 10, path('free/a'), ';'],
          ...['ia32', 38, path('free/b'), path('secret/n'), ';'],
          ...['ia32', 15, path('secret/b'), 0o777, ';'],
        ),
      );
      const results = running.results
        .filter(({ step }) => (step as string | undefined) === undefined)
        .map(({ ret }) => Math.min(ret, 0));
      assert.deepEqual(results, [EPERM, 0, EPERM, EPERM]);
      assert.deepEqual(told(probe.events.slice(before)), [
        ...['unlink secret/a', 'rename free/b secret/n', 'chmod secret/b'],
      ]);
    });

    refusing('verdicts on opens on the same CPUs do not change verdicts on changes', async () => {
      deny(`evt.type = link and evt.arg.newpath startswith ${at('secret/')} and proc.name = good`);
      const others = Array.from({ length: 4 }, () =>
        probe.spawn(undefined, inContainer(cgroup, 'loop', 5000, 0, '/etc/hosts')),
      );
      const [results] = await changes(
        Array.from({ length: 2 * MANY }, (_, index) => [
          ...call('link', text(at('free/a')), text(at('secret/x'))),
          ...call('link', text(at('free/a')), text(at(`free/${index}`))),
        ]).flat(),
      );
      await Promise.all(others.map((running) => running.ended()));
      assert.deepEqual(results, Array.from({ length: 2 * MANY }, () => [EPERM, 0]).flat());
    });
  });
