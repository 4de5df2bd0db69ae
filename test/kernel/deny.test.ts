// Programs that a rule denies are ended before their first instruction.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { RECORD_FLAGS, EXEC, LIMITS } from '../../src/events/table.gen.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from '../support/kernel-probe.ts';
import { stepsProgram, type Step, type TestProcess } from '../support/kernel-process.ts';
import { escaped, inNamespaces, OWN_NAMESPACES } from '../support/kernel-container.ts';
import { PRIVATE_MOUNTS } from '../support/kernel-file-facts.ts';
import { standStill } from '../support/stand-still.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { verdictTable } from '../support/verdict-table.ts';

const OLD_NS = 3_000_000_000n;
const TABLE = 1;
const AT_EMPTY_PATH = 0x1000;
const O_PATH = 0o10000000;
const SIGKILL = 9;
const MANY = 200;

describe('denied programs', () => {
  let probe: KernelProbe;
  let dir: string;
  let cgroup: TestCgroup;
  before(() => {
    probe = new KernelProbe({ attach: STANDARD_PROGRAMS });
    cgroup = probe.mkdir('judged');
    probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
    dir = mkdtempSync(join(tmpdir(), 'varvel-deny-'));
    for (const name of ['good', 'bad', 'bad2']) copyFileSync(stepsProgram(), join(dir, name));
    writeFileSync(join(dir, 'script'), `#!${join(dir, 'bad')}\n`, { mode: 0o755 });
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const at = (name: string): string => join(dir, name);
  const deny = (condition: string): void => {
    const rules = ruleSetOf(ruleFile(condition.replaceAll('~', dir)));
    const { bytes, denied } = verdictTable(rules, 'docker', new Set(['r']));
    assert.deepEqual(denied, ['r']);
    probe.probe.setVerdicts(TABLE, bytes);
  };
  const BAD = 'evt.type in (execve, execveat) and proc.exepath startswith ~/bad';

  const runs = (program: string, ...steps: Step[]): Step[] => [
    ...['execve', at(program), program],
    ...steps.map(escaped),
    ';',
  ];
  const forks = (...steps: Step[]): Step[] => ['fork', '[', ...steps, 'exit', 0, ']'];

  const isDenied = ({ records, at: offset }: WireEvent): boolean =>
    (records.number(offset + EXEC.flags) & RECORD_FLAGS.DENIED) !== 0;

  /** The programs that were run in it, in turn: by name, with whether each was denied. */
  async function programs(steps: Step[]): Promise<[TestProcess, [string, boolean][]]> {
    return programsOf(undefined, inNamespaces(cgroup, ...steps));
  }

  /** The same of steps that need not be in namespaces of their own. */
  async function programsOf(
    entered: TestCgroup | undefined,
    steps: Step[],
  ): Promise<[TestProcess, [string, boolean][]]> {
    const before = probe.events.length;
    const running = await probe.run(entered, steps);
    const seen = probe.events
      .slice(before)
      .filter((event) => event.exec !== undefined && event.result >= 0)
      .map((event): [string, boolean] => [
        event.exec?.file?.path.slice(dir.length + 1) ?? '',
        isDenied(event),
      ]);
    return [running, seen];
  }

  /** The wait statuses of the children, in turn. */
  const statuses = ({ results }: TestProcess): (number | undefined)[] =>
    results.filter(({ step }) => step === 'fork').map(({ status }) => status);

  test('one that a rule certainly matches runs no instruction, and its parent sees it killed', async () => {
    deny(BAD);
    const [running, seen] = await programs(
      runs(
        'good',
        ...forks(...runs('bad', 'mkdir', at('made'))),
        ...forks(...runs('good', 'mkdir', at('fine'))),
      ),
    );
    assert.deepEqual(seen, [
      ['good', false],
      ['bad', true],
      ['good', false],
    ]);
    assert.deepEqual(statuses(running), [SIGKILL, 0]);
    assert.deepEqual(
      running.results.filter(({ step }) => step === 'mkdir').map(({ ret }) => ret),
      [0],
    );
  });

  test('by a table that filters no more, too, but not by a rule that was ended in it', async () => {
    const two = ruleSetOf(
      [ruleFile(BAD.replaceAll('~', dir)), ruleFile(`${BAD}2`.replaceAll('~', dir))]
        .join('\n')
        .replace('rule: r', 'rule: all'),
    );
    const { bytes, places } = verdictTable(two, 'docker', new Set(['all', 'r']));
    probe.probe.setVerdicts(TABLE, bytes);
    const tries = async (): Promise<boolean[]> => {
      const steps = [...forks(...runs('bad')), ...forks(...runs('bad2'))];
      const [, seen] = await programs(runs('good', ...steps));
      return seen.slice(1).map(([, denied]) => denied);
    };
    probe.probe.stopFiltering();
    assert.deepEqual(await tries(), [true, true]);
    probe.probe.allowRules(TABLE, 1 << places.indexOf('all'));
    assert.deepEqual(await tries(), [false, true]);
    probe.probe.setVerdicts(TABLE, bytes);
    assert.deepEqual(await tries(), [true, true]);
    const [other, rules] = [TABLE + 1, 1 << places.indexOf('all')];
    probe.probe.copyVerdicts(TABLE, other, rules);
    assert.deepEqual(await tries(), [true, true], 'the one that is copied denies as before');
    probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, other);
    assert.deepEqual(await tries(), [false, true]);
    probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
    assert.throws(() => probe.probe.copyVerdicts(other + 1, TABLE, 0), { code: 'ENOENT' });
    assert.deepEqual(await tries(), [true, true]);
    probe.probe.suspendVerdicts();
    assert.deepEqual(await tries(), [false, false]);
  });

  test('only what an older process starts: a rule that lets start scripts be', async () => {
    deny(`${BAD} and not proc.ppid.duration < ${OLD_NS} and proc.is_from_outside != true`);
    const before = probe.events.length;
    const [, seen] = await programs(
      runs(
        'good',
        ...forks(...runs('bad')),
        ...['sleep', Number(OLD_NS) / 1e6 + 300],
        ...forks(...runs('bad')),
        // Its parent is young again.
        ...forks(...runs('good', ...forks(...runs('bad')))),
      ),
    );
    const ages = probe.events
      .slice(before)
      .filter(({ exec }) => exec?.file?.path === at('bad'))
      .map(({ bootNs, parentStartBootNs }) => bootNs - parentStartBootNs);
    assert.deepEqual(
      seen.filter(([name]) => name === 'bad'),
      // On a busy machine a young one may have become old.
      ages.map((age) => ['bad', age >= OLD_NS]),
    );
    assert.equal(ages.length, 3);
    assert.ok(ages[1]! >= OLD_NS);
  });

  test(`${MANY} of ${MANY}, also of a script, by a descriptor, and in place of another program`, async () => {
    deny(BAD);
    const ways: Step[][] = [
      runs('bad', 'mkdir', at('never')),
      runs('script'),
      [
        'openat',
        -100,
        at('bad2'),
        O_PATH,
        0,
        'execveat',
        '@',
        '',
        AT_EMPTY_PATH,
        'x',
        escaped('mkdir'),
        escaped(at('never')),
        ';',
      ],
      runs('good', ...runs('bad2', 'mkdir', at('never'))),
    ];
    const steps = Array.from({ length: MANY }, (_, n) =>
      forks(...(ways[n % ways.length] ?? [])),
    ).flat();
    const [running, seen] = await programs(runs('good', ...steps));
    assert.equal(seen.filter(([name]) => name.startsWith('bad')).length, MANY);
    assert.ok(seen.every(([name, denied]) => denied === name.startsWith('bad')));
    assert.deepEqual(new Set(statuses(running)), new Set([SIGKILL]));
    assert.ok(!running.results.some(({ step }) => step === 'mkdir'));
  });

  test('the first program that comes from outside is not denied, nor what the kernel is not certain of', async () => {
    deny(BAD);
    const [, first] = await programs(runs('bad', ...forks(...runs('good'))));
    assert.deepEqual(first, [
      ['bad', false],
      ['good', false],
    ]);
    // Another rule, of which a comparison is unknown: the agent evaluates it.
    const rules = ruleSetOf(ruleFile(`${BAD.replaceAll('~', dir)} and not user.name = root`));
    const { bytes, denied } = verdictTable(rules, 'docker', new Set(['r']));
    assert.deepEqual(denied, []);
    probe.probe.setVerdicts(TABLE, bytes);
    const [running, seen] = await programs(runs('good', ...forks(...runs('bad'))));
    assert.deepEqual(seen.at(-1), ['bad', false]);
    assert.deepEqual(statuses(running), [0]);
  });

  test('a session from outside may begin with any program, and is denied the next one', async () => {
    deny(BAD);
    const [running, seen] = await programs(
      runs('bad', ...runs('good', ...runs('bad2', 'mkdir', at('never')))),
    );
    assert.deepEqual(
      seen.map(([, denied]) => denied),
      [false, false, true],
    );
    assert.deepEqual(running.result('clone').status, SIGKILL);
    assert.ok(!running.results.some(({ step }) => step === 'mkdir'));
  });

  test('all programs but some, and nothing in a container of another table', async () => {
    deny('evt.type in (execve, execveat) and not proc.exepath in (~/good)');
    const [running, seen] = await programs(
      runs(
        'good',
        ...forks(...runs('bad')),
        ...forks(...runs('good')),
        ...forks('execve', '/bin/true', 'true', ';'),
      ),
    );
    assert.deepEqual(
      seen.map(([, denied]) => denied),
      [false, true, false, true],
    );
    assert.deepEqual(statuses(running), [SIGKILL, 0, SIGKILL]);
    const other = probe.mkdir('other');
    const neighbour = await probe.run(
      undefined,
      inNamespaces(other, ...runs('good', ...forks(...runs('bad')))),
    );
    assert.deepEqual(statuses(neighbour), [0]);
  });

  test('a hook of a runtime’s set-up is not denied, nor what it runs', async () => {
    deny(BAD);
    // As runc's init runs it: by then in the container's cgroup and mount namespace, with a file from outside.
    const [running, seen] = await programs([
      ...forks(...runs('bad', ...forks(...runs('bad2')), ...runs('bad2'))),
      // After it the container's first program.
      ...runs('good', ...forks(...runs('bad'))),
    ]);
    assert.deepEqual(seen, [
      ['bad', false],
      ['bad2', false],
      ['bad2', false],
      ['good', false],
      ['bad', true],
    ]);
    assert.equal(statuses(running).at(-1), SIGKILL);
  });

  test('a process of the host that was moved into the cgroup is not denied, nor what it runs', async () => {
    deny(BAD);
    const work = [
      ...forks(...runs('bad', ...runs('bad2'))),
      ...runs('good', ...forks(...runs('bad', ...runs('bad2')))),
    ];
    const [, seen] = await programsOf(cgroup, work);
    // A service with a mount namespace of its own, whose file is in that.
    const [, ofService] = await programsOf(undefined, [
      ...PRIVATE_MOUNTS,
      ...runs('good', 'enter', cgroup.dir, ...work),
    ]);
    for (const denied of [seen, ofService].map((all) => all.map(([, one]) => one)))
      assert.deepEqual(denied, [false, false, false, false, false]);
  });

  test('a process of the host is not denied, even if the cgroup of the host’s first process is watched', async () => {
    deny(BAD);
    // The root of the hierarchy, and so the whole host.
    const host = probe.cgroupAt(probe.hierarchy.mount);
    const before = probe.events.length;
    probe.probe.scopeSet(host.id, 'included', 0, TABLE);
    try {
      await probe.run(undefined, [...forks(...runs('good', ...forks(...runs('bad'))))]);
    } finally {
      probe.probe.scopeDelete(host.id);
    }
    await probe.run(undefined, inNamespaces(cgroup, ...runs('good', ...forks(...runs('bad')))));
    const ours = probe.events
      .slice(before)
      .filter((event) => event.result >= 0 && event.exec?.file?.path.startsWith(dir) === true);
    // A container's is denied afterwards: the table is in force.
    assert.deepEqual(ours.map(isDenied), [false, false, false, true]);
  });

  test('what a process of before the agent runs is denied', async () => {
    deny(BAD);
    // Its exec is not seen, since its cgroup is no container's then.
    const [running, seen] = await programsOf(undefined, [
      ...['clone', OWN_NAMESPACES, '['],
      ...runs('good', 'enter', cgroup.dir, ...forks(...runs('bad', 'mkdir', at('never')))),
      ']',
    ]);
    assert.deepEqual(seen, [['bad', true]]);
    assert.deepEqual(statuses(running), [SIGKILL]);
  });

  test('what a process of before the agent runs is not denied if it has the mounts of the host', async () => {
    deny(BAD);
    const CLONE_NEWPID = 0x20000000;
    const work = runs('good', 'enter', cgroup.dir, ...forks(...runs('bad')));
    const [, seen] = await programsOf(undefined, ['clone', CLONE_NEWPID, '[', ...work, ']']);
    assert.deepEqual(seen, [['bad', false]]);
  });

  test('a program from memory only', async () => {
    deny('evt.type in (execve, execveat) and proc.is_exe_from_memfd = true');
    const steps = ['memfd', 'x', at('good'), 'execveat', '@', '', AT_EMPTY_PATH, 'x'];
    const [running] = await programs(
      runs(
        'good',
        ...forks(...steps, 'mkdir', escaped(at('never')), ';'),
        ...forks(...runs('good')),
      ),
    );
    assert.deepEqual(statuses(running), [SIGKILL, 0]);
    assert.ok(!running.results.some(({ step }) => step === 'mkdir'));
  });

  test('a program with a path of any length, by its layer', async () => {
    for (const name of ['lower', 'upper', 'work', 'merged']) mkdirSync(at(name));
    const long = Array.from({ length: 2 }, () => 'x'.repeat(LIMITS.VERDICT_PATH_MAX - 10)).join(
      '/',
    );
    mkdirSync(join(dir, 'upper', long), { recursive: true });
    copyFileSync(stepsProgram(), at('lower/image'));
    copyFileSync(stepsProgram(), join(dir, 'upper', long, 'dropped'));
    deny('evt.type in (execve, execveat) and proc.is_exe_upper_layer = true');
    const data = `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`;
    const [running, seen] = await programs([
      ...['mount', 'overlay', at('merged'), 'overlay', 0, data],
      ...runs(
        'merged/image',
        ...forks(...runs('merged/image')),
        ...forks(...runs(`merged/${long}/dropped`)),
      ),
    ]);
    assert.deepEqual(seen, [
      ['merged/image', false],
      ['merged/image', false],
      [`merged/${long}/dropped`, true],
    ]);
    assert.deepEqual(statuses(running), [0, SIGKILL]);
  });
});

test('denied programs whose record is dropped are counted', async () => {
  const small = new KernelProbe({ attach: STANDARD_PROGRAMS, execRingBytes: 64 << 10 });
  const dir = mkdtempSync(join(tmpdir(), 'varvel-deny-'));
  try {
    const [good, bad] = ['good', 'bad'].map((name) => join(dir, name)) as [string, string];
    for (const file of [good, bad]) copyFileSync(stepsProgram(), file);
    const rules = ruleSetOf(ruleFile(`evt.type = execve and proc.exepath = ${bad}`));
    small.probe.setVerdicts(TABLE, verdictTable(rules, 'docker', new Set(['r'])).bytes);
    const cgroup = small.mkdir('judged');
    small.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
    const children = Array.from({ length: MANY }, () => ['fork', '[', 'execbig', bad, 30_000, ']']);
    const steps = ['execve', good, 'good', 'pause', ...children.flat()].map((step) =>
      String(step).replaceAll('%', '%25'),
    );
    const running = small.spawn(undefined, inNamespaces(cgroup, ...steps, ';'));
    await running.paused();
    running.resume();
    standStill(2000);
    assert.deepEqual(await running.ended(), { code: 0, signal: null });
    await small.settle();
    const told = small.events.filter(
      ({ records, at, exec }) =>
        exec !== undefined && (records.number(at + EXEC.flags) & RECORD_FLAGS.DENIED) !== 0,
    ).length;
    const { deniedDropped } = small.probe.stats();
    assert.ok(deniedDropped > 0, 'the ring was full');
    assert.equal(told + deniedDropped, MANY);
  } finally {
    await small.close();
    rmSync(dir, { recursive: true, force: true });
  }
});
