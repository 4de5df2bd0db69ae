import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { TABLES_MAX } from '../../../src/agent/verdict-numbers.ts';
import { KernelVerdicts, type JudgedApp } from '../../../src/agent/verdicts.ts';
import type { Container } from '../../../src/apps/identity.ts';
import type { ScopeEntry } from '../../../src/probe/scope.ts';
import type { RegistryEntry } from '../../../src/apps/resolution.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { until } from '../../support/e2e-agent.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { BOOT_NS, makeEvent, makeExec } from '../../support/rules-subject.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

const rulesAbout = (path: string) => ruleSetOf(ruleFile(`evt.type = open and fd.name = ${path}`));
const RULES = rulesAbout('/etc/shadow');
const NONE_CERTAIN = { confirmed: 0, unconfirmed: 0 };
const NONE_DENIED = { containers: 0, rules: [], afterEffect: [], givenUp: [], inVain: 0 };

// What waits here keeps no process up.
const awake = setInterval(() => undefined, 1000);
after(() => clearInterval(awake));

/** An app with rules of its own, by default one about this path, which changes some of the operator's. */
const appWith = (
  path: string,
  ruleSet = rulesAbout(path),
  changed: readonly string[] = [],
): JudgedApp => ({
  possibleAmong: (rules) => [...rules, ...ruleSet.rules],
  unchangedAmong: (rules) => rules.filter(({ name }) => !changed.includes(name)),
  ruleSet,
});

/** Rules about programs that are run, of which each can deny. */
const execs = () =>
  ruleSetOf(
    ['a', 'b']
      .map((name) =>
        ruleFile(`evt.type = execve and proc.exepath = /${name}`).replace(
          'rule: r',
          `rule: ${name}`,
        ),
      )
      .join('\n'),
  );
const EXECS = execs();

const LATER = BOOT_NS + 1n;

function world({ enabled = true, denied = new Map<number, string[]>() } = {}) {
  const warned: object[] = [];
  const time = { bootNs: 0n };
  const done: string[] = [];
  const apps = new Map<Container, JudgedApp | undefined>();
  /** What the kernel would judge by. */
  const kernel = {
    tables: new Map<number, string>(),
    suspended: new Set<number>(),
    told: new Map<number, number>(),
    refuses: false,
    /** Of the scope map, where it is not `included`. */
    states: new Map<number, 'excluded' | 'gone'>(),
  };
  const verdicts: KernelVerdicts = new KernelVerdicts({
    probe: {
      setVerdicts: (number, table) => {
        done.push(`table ${number}: ${table === undefined ? 'none' : 'set'}`);
        kernel.suspended.delete(number);
        if (table === undefined) kernel.tables.delete(number);
        else kernel.tables.set(number, Buffer.from(table).toString('latin1'));
      },
      suspendVerdicts: () => {
        done.push('suspended');
        for (const number of kernel.tables.keys()) kernel.suspended.add(number);
      },
      scope: {
        set: (cgroupId, state, level, table = 0) => {
          if (kernel.refuses) throw new Error('ENOSPC');
          done.push(`${cgroupId} ${state} at ${level}: ${table}`);
          kernel.told.set(cgroupId, table);
        },
        delete: () => undefined,
        get: (cgroupId) => {
          const state = kernel.states.get(cgroupId) ?? 'included';
          return state === 'gone' ? undefined : ({ state } as ScopeEntry);
        },
        entries: () => [],
      },
    },
    logger: { ...SILENT_LOGGER, warn: (about) => warned.push(about) },
    waitMs: 50,
    bootNs: () => time.bootNs,
    inForceFor: (container) => (apps.has(container) ? apps.get(container) : 'none'),
    deniedAmong: (rules, { fullId }, own) => {
      const names = denied.get(Number(fullId)) ?? [];
      return [...rules, ...own].filter(({ name }) => names.includes(name));
    },
    enabled,
  });
  const entry = (cgroupId: number, more: Partial<RegistryEntry> = {}): RegistryEntry =>
    ({
      cgroupId,
      path: '/docker/x',
      resolution: {
        state: 'included',
        container: containerOf({ fullId: String(cgroupId) }, { guid: String(cgroupId) }),
      },
      goneAtMs: undefined,
      isNew: false,
      unwatched: false,
      ...more,
    }) as RegistryEntry;
  /** One whose app has rules of its own; undefined: it is not known whether it has. */
  const entryOf = (cgroupId: number, app: JudgedApp | undefined): RegistryEntry => {
    const one = entry(cgroupId);
    if (one.resolution.state === 'included') apps.set(one.resolution.container, app);
    return one;
  };
  /** The table that a container's opens are judged by; undefined: none. */
  const tableOf = (cgroupId: number): string | undefined => {
    const number = kernel.told.get(cgroupId) ?? 0;
    return kernel.suspended.has(number) ? undefined : kernel.tables.get(number);
  };
  return { time, done, kernel, verdicts, entry, entryOf, tableOf, warned };
}

test('containers are judged once there is a table for the rules in force, and before others come by none', async () => {
  const { done, verdicts, entry } = world();
  const all = [entry(1), entry(2)];
  verdicts.follow(all);
  assert.deepEqual(done.splice(0), [], 'no rules, no table');
  await verdicts.enter(RULES);
  assert.deepEqual(done.splice(0), ['table 1: set', '1 included at 2: 1', '2 included at 2: 1']);
  assert.deepEqual(verdicts.status(), {
    containers: 2,
    tables: 1,
    certain: NONE_CERTAIN,
    denying: NONE_DENIED,
  });
  verdicts.follow(all);
  verdicts.leave();
  verdicts.leave();
  const told = ['1 included at 2: 0', '2 included at 2: 0'];
  assert.deepEqual(done.splice(0), ['suspended', ...told], 'once');
  verdicts.follow(all);
  assert.deepEqual(done.splice(0), ['table 1: none'], 'its memory is given back');
  const given = verdicts.enter(RULES);
  // Other rules before the first were ready: those have no table any more.
  verdicts.leave();
  await Promise.all([given, verdicts.enter(RULES)]);
  assert.equal(done.splice(0).filter((what) => /^table \d+: set$/.test(what)).length, 1);
  const late = verdicts.enter(RULES);
  verdicts.stop();
  await late;
  assert.deepEqual(done, ['suspended', ...told]);
});

test('who is not watched, or not known yet, is not judged; a new container of another cgroup number is told', async () => {
  const { done, verdicts, entry, entryOf } = world();
  const judged = entry(1);
  const pending = entry(2, { resolution: { state: 'pending' } } as Partial<RegistryEntry>);
  const gone = entry(3, { goneAtMs: 1 });
  const unwatched = entry(4, { unwatched: true });
  verdicts.follow([judged, pending, gone, unwatched, entryOf(5, undefined)]);
  await verdicts.enter(RULES);
  assert.deepEqual(done.splice(0), ['table 1: set', '1 included at 2: 1']);
  // Its cgroup is gone, and another one has the number.
  verdicts.follow([]);
  verdicts.follow([entry(1)]);
  await until('it is told', () => done.length > 0);
  assert.deepEqual(done, ['1 included at 2: 1']);
});

test('an app with rules of its own has a table of its own, of what it and the operator want; the same rules share one', async () => {
  const { verdicts, entry, entryOf, tableOf } = world();
  const app = appWith('/app/secret');
  const all = [entry(1), entryOf(2, app), entryOf(3, app), entryOf(4, appWith('/app/secret'))];
  verdicts.follow(all);
  await verdicts.enter(RULES);
  const [operators, ...own] = [1, 2, 3, 4].map(tableOf);
  assert.ok(operators !== undefined && own[0] !== undefined);
  assert.notEqual(own[0], operators);
  assert.deepEqual(own, [own[0], own[0], own[0]]);
  assert.deepEqual(verdicts.status(), {
    containers: 4,
    tables: 2,
    certain: NONE_CERTAIN,
    denying: NONE_DENIED,
  });
  // What an app wants changes: nobody is judged by what was.
  const changed = [all[0]!, entryOf(2, appWith('/app/other'))];
  verdicts.follow(changed);
  assert.equal(tableOf(2), undefined);
  await until('the new table', () => tableOf(2) !== undefined);
  assert.notEqual(tableOf(2), own[0]);
  assert.equal(tableOf(1), operators);
});

test('with fewer rules the tables of before hold until there are new ones', async () => {
  const { done, verdicts, entry, tableOf } = world();
  const all = [entry(1)];
  verdicts.follow(all);
  await verdicts.enter(RULES);
  const before = tableOf(1);
  const given = verdicts.enter(ruleSetOf(ruleFile('evt.type = open and fd.name = /x', 'Y')));
  verdicts.follow(all);
  assert.equal(tableOf(1), before);
  await given;
  assert.ok(!done.includes('suspended'));
  assert.notEqual(tableOf(1), before);
  assert.notEqual(tableOf(1), undefined);
});

test('of more different rules than there are tables, some apps are not judged; a table that nobody uses makes room', async () => {
  const { kernel, verdicts, entryOf, tableOf } = world();
  const all = Array.from({ length: TABLES_MAX + 2 }, (_, n) => entryOf(n + 1, appWith(`/x${n}`)));
  verdicts.follow(all);
  await verdicts.enter(RULES);
  const judged = (): number => all.filter(({ cgroupId }) => tableOf(cgroupId)).length;
  assert.equal(judged(), TABLES_MAX);
  assert.equal(kernel.tables.size, TABLES_MAX);
  assert.equal(new Set(all.map(({ cgroupId }) => tableOf(cgroupId))).size, TABLES_MAX + 1);
  // One goes, another one comes: it has the place.
  const others = [...all.slice(1, TABLES_MAX), entryOf(1000, appWith('/new'))];
  verdicts.follow(others);
  await until('it is judged', () => tableOf(1000) !== undefined);
  assert.equal(kernel.tables.size, TABLES_MAX);
});

test('before rules change, containers are told that no table is theirs: their numbers may be given to others', async () => {
  const { kernel, verdicts, entryOf } = world();
  const all = Array.from({ length: 20 }, (_, n) => entryOf(n + 1, appWith(`/x${n}`)));
  verdicts.follow(all);
  await verdicts.enter(RULES);
  assert.equal(new Set(kernel.told.values()).size, 20);
  verdicts.leave();
  assert.deepEqual([...new Set(kernel.told.values())], [0]);
});

test('when a container cannot be told, nobody is judged any more', async () => {
  const { done, kernel, verdicts, entry, tableOf } = world();
  const all = [entry(1), entry(2)];
  verdicts.follow(all);
  await verdicts.enter(RULES);
  kernel.refuses = true;
  verdicts.follow([...all, entry(3)]);
  await until('filtering ends', () => tableOf(1) === undefined);
  kernel.refuses = false;
  done.length = 0;
  verdicts.follow(all);
  await verdicts.enter(RULES);
  verdicts.stop();
  assert.deepEqual(done, []);
});

test('a container that has gone, or is not watched any more, is left as the kernel has it', async () => {
  const { done, kernel, verdicts, entry } = world();
  verdicts.follow([entry(1), entry(2), entry(3)]);
  kernel.states.set(1, 'gone');
  kernel.states.set(2, 'excluded');
  await verdicts.enter(RULES);
  assert.deepEqual(done, ['table 1: set', '2 excluded at 2: 1', '3 included at 2: 1']);
});

test('a group whose last container goes while its table is made leaves nothing behind', async () => {
  const { kernel, verdicts, entryOf, tableOf } = world();
  const shared = appWith('/shared');
  const same = appWith('/shared');
  const gone = entryOf(1, shared);
  const stays = entryOf(2, same);
  verdicts.follow([gone, stays]);
  await verdicts.enter(RULES);
  const right = tableOf(2);
  assert.equal(tableOf(1), right, 'they share a table');
  // Fewer rules: tables are made anew, and one of the two is gone meanwhile.
  const given = verdicts.enter(RULES);
  await until('it is being made', () => verdicts.status().tables === 1);
  verdicts.follow([stays]);
  verdicts.follow([stays]);
  await given;
  const others = Array.from({ length: TABLES_MAX }, (_, n) => entryOf(n + 10, appWith(`/o${n}`)));
  verdicts.follow([stays, ...others]);
  await until('the others are judged', () => verdicts.status().tables === TABLES_MAX);
  assert.equal(kernel.tables.get(kernel.told.get(2)!), right);
  verdicts.follow([]);
  assert.deepEqual(verdicts.status(), {
    containers: 0,
    tables: 0,
    certain: NONE_CERTAIN,
    denying: NONE_DENIED,
  });
});

test('an app whose rules come into force when it is asked for them is judged by them', async () => {
  const done: number[] = [];
  const app = appWith('/app/secret');
  let isKnown = false;
  const verdicts: KernelVerdicts = new KernelVerdicts({
    probe: {
      setVerdicts: () => undefined,
      suspendVerdicts: () => undefined,
      scope: {
        set: (cgroupId) => done.push(cgroupId),
        delete: () => undefined,
        get: () => ({ state: 'included' }) as ScopeEntry,
        entries: () => [],
      },
    },
    logger: SILENT_LOGGER,
    waitMs: 50,
    inForceFor: () => {
      if (!isKnown) {
        isKnown = true;
        verdicts.follow(entries);
      }
      return app;
    },
    enabled: true,
  });
  const entries = [world().entry(1), world().entry(2)];
  verdicts.follow(entries);
  await verdicts.enter(RULES);
  assert.deepEqual(done, [1, 2], 'each is told once');
});

test('turned off, nothing is asked of the kernel', async () => {
  const { done, verdicts, entry } = world({ enabled: false });
  await verdicts.enter(RULES);
  verdicts.follow([entry(1)]);
  verdicts.leave();
  verdicts.stop();
  await turn();
  assert.deepEqual(done, []);
});

test('containers whose app is denied other programs have tables of their own, and none while rules change', async () => {
  const denied = new Map([
    [1, ['a']],
    [2, ['a', 'b']],
  ]);
  const { verdicts, entry, entryOf, tableOf } = world({ denied });
  const policied = entryOf(4, appWith('/x'));
  const all = [entry(1), entry(2), entry(3), policied];
  await verdicts.enter(EXECS);
  const follow = async (): Promise<void> => {
    verdicts.follow(all);
    await until('all are judged', () => verdicts.status().containers === 4);
  };
  await follow();
  assert.equal(new Set([1, 2, 3].map(tableOf)).size, 3);
  assert.deepEqual(verdicts.status().denying, {
    ...NONE_DENIED,
    containers: 2,
    rules: ['a', 'b'],
  });

  // Other rules: at once nothing is denied any more, also where tables stay in use.
  const entered = verdicts.enter(EXECS);
  assert.deepEqual([1, 2].map(tableOf), [undefined, undefined]);
  assert.notEqual(tableOf(3), undefined);
  assert.deepEqual(verdicts.status().denying, NONE_DENIED);
  await entered;
  denied.delete(2);
  await follow();
  assert.deepEqual(verdicts.status().denying, { ...NONE_DENIED, containers: 1, rules: ['a'] });
  assert.equal(tableOf(2), tableOf(3));
});

test('to an app with a policy it is denied by rules that the policy leaves as they are, and by its own', async () => {
  const own = ruleSetOf(
    ruleFile('evt.type = execve and proc.exepath = /own').replace('rule: r', 'rule: own'),
  );
  const names = ['a', 'b', 'own'];
  const { verdicts, entryOf, tableOf } = world({
    denied: new Map([1, 2, 3].map((id) => [id, names])),
  });
  const all = [
    entryOf(1, appWith('', own)),
    entryOf(2, appWith('', own, ['a'])),
    entryOf(3, appWith('', { rules: [] }, ['a', 'b'])),
  ];
  await verdicts.enter(EXECS);
  verdicts.follow(all);
  await until('all are judged', () => verdicts.status().containers === 3);
  assert.equal(new Set([1, 2, 3].map(tableOf)).size, 3);
  assert.deepEqual(verdicts.status().denying, { ...NONE_DENIED, containers: 2, rules: names });
});

test('what is denied in vain to an app with rules of its own changes nothing for others', async () => {
  const own = ruleSetOf(
    ruleFile('evt.type = execve and proc.exepath = /own').replace('rule: r', 'rule: own'),
  );
  const policy = appWith('', own);
  const names = ['a', 'own'];
  const { verdicts, entry, entryOf, tableOf } = world({
    denied: new Map([1, 2, 3].map((id) => [id, names])),
  });
  // Two apps with the same policy, and one without.
  const all = [entryOf(1, policy), entryOf(2, policy), entry(3)];
  await verdicts.enter(EXECS);
  verdicts.follow(all);
  const denying = () => verdicts.status().denying;
  await until('all are denied', () => denying().containers === 3);
  const exec = makeExec({ denied: true });
  const inVain = (cgroupId: number, asked: 'asked' | 'skipped'): boolean =>
    verdicts.onDeniedInVain(makeEvent('execve', { cgroupId, exec }), asked);
  assert.equal(inVain(1, 'skipped'), false, 'they may be paused');
  assert.equal(inVain(99, 'asked'), false, 'nobody knows whose they are');
  assert.deepEqual([1, 2, 3].map(tableOf).includes(undefined), false);
  assert.deepEqual(denying(), { ...NONE_DENIED, containers: 3, rules: names, inVain: 1 });

  assert.equal(inVain(1, 'asked'), true);
  assert.notEqual(tableOf(3), undefined);
  verdicts.follow(all);
  await until('the operator’s rule denies everywhere', () => denying().containers === 3);
  assert.notEqual(tableOf(1), tableOf(2), 'the other app keeps its own');
  assert.deepEqual(denying().givenUp, ['own']);
  // Without it, it was the operator's.
  assert.equal(inVain(1, 'asked'), true);
  verdicts.follow(all);
  await until('only the own rule of the other is left', () => denying().containers === 1);
  assert.deepEqual(denying().rules, ['own']);
  await verdicts.enter(execs());
  verdicts.follow(all);
  await until('all are denied again', () => denying().containers === 3);
  assert.deepEqual(denying().givenUp, []);
});

test('of what rules of before have denied, those of now give up nothing', async () => {
  const own = ruleSetOf(
    ruleFile('evt.type = execve and proc.exepath = /own').replace('rule: r', 'rule: own'),
  );
  const denied = new Map([
    [1, ['a', 'own']],
    [2, ['a']],
  ]);
  const { verdicts, entry, entryOf, time } = world({ denied });
  const all = [entryOf(1, appWith('', own)), entry(2)];
  await verdicts.enter(EXECS);
  verdicts.follow(all);
  const denying = () => verdicts.status().denying;
  await until('both are denied', () => denying().containers === 2);
  // Its own rules are paused: a program that they denied may be evaluated only now.
  denied.set(1, ['a']);
  time.bootNs = LATER;
  verdicts.follow(all);
  await until('it is denied by others', () => !denying().rules.includes('own'));
  const exec = makeExec({ denied: true });
  const inVain = (bootNs: bigint): boolean =>
    verdicts.onDeniedInVain(makeEvent('execve', { cgroupId: 1, exec, bootNs }), 'asked');
  assert.equal(inVain(BOOT_NS), false);
  assert.deepEqual([denying().givenUp, denying().inVain], [[], 0]);
  assert.equal(inVain(LATER), true);
  assert.deepEqual([denying().givenUp, denying().inVain], [['a'], 1]);
});

test('an app’s own rules do not take the place of what the operator denies', async () => {
  const many = Array.from({ length: 20 }, (_, n) =>
    ruleFile(`evt.type = execve and proc.exepath = /own${n}`).replace('rule: r', `rule: own${n}`),
  );
  const own = ruleSetOf(many.join('\n'));
  const long = ruleSetOf(
    ruleFile(
      'evt.type in (execve, execveat) and evt.rawres = 0 and proc.exepath startswith /x and not proc.exepath in (/xa, /xb)',
    ),
  );
  const names = ['r', ...own.rules.map(({ name }) => name)];
  const { verdicts, entryOf } = world({ denied: new Map([[1, names]]) });
  await verdicts.enter(long);
  verdicts.follow([entryOf(1, appWith('', own))]);
  await until('it is denied', () => verdicts.status().denying.containers === 1);
  const { rules, afterEffect } = verdicts.status().denying;
  assert.ok(rules.includes('r'), rules.join());
  assert.equal(rules.length, 16);
  assert.equal(afterEffect.length, 5);
});

test('a program was denied that no rule matches: its rules deny nothing until they are loaded again', async () => {
  const { verdicts, entry, tableOf } = world({
    denied: new Map([
      [1, ['a']],
      [2, ['b']],
    ]),
  });
  const all = [entry(1), entry(2)];
  await verdicts.enter(EXECS);
  verdicts.follow(all);
  const denying = () => verdicts.status().denying;
  await until('both are judged', () => denying().containers === 2);
  const inVain = (cgroupId: number): boolean =>
    verdicts.onDeniedInVain(
      makeEvent('execve', { cgroupId, exec: makeExec({ denied: true }) }),
      'none',
    );
  inVain(1);
  assert.equal(tableOf(1), undefined, 'at once');
  verdicts.follow(all);
  // From before that, as records come later.
  inVain(1);
  await until('the other is denied again', () => denying().containers === 1);
  assert.deepEqual(denying(), {
    ...{ containers: 1, rules: ['b'], afterEffect: [], givenUp: ['a'] },
    inVain: 2,
  });
  // The same rules once more, as after a reload that was refused, or when some were shed.
  await verdicts.enter({ rules: EXECS.rules.map((rule) => ({ ...rule })) });
  verdicts.follow(all);
  await until('the other is denied again', () => denying().containers === 1);
  assert.deepEqual(denying().givenUp, ['a']);
  await verdicts.enter(execs());
  verdicts.follow(all);
  await until('both are denied again', () => denying().containers === 2);
  assert.deepEqual(denying().givenUp, []);
});

test('of a program in a cgroup inside a container, or of one that is gone, all rules that deny are given up', async () => {
  const { verdicts, entry } = world({ denied: new Map([[1, ['a', 'b']]]) });
  await verdicts.enter(EXECS);
  verdicts.follow([entry(1)]);
  await until('it is judged', () => verdicts.status().denying.containers === 1);
  const exec = makeExec({ denied: true });
  const inside = makeEvent('execve', { cgroupId: 99, exec });
  verdicts.onDeniedInVain(inside, 'none');
  assert.deepEqual(verdicts.status().denying.givenUp, ['a', 'b']);
});

test('rules that should deny, but of which the kernel is not certain, are named', async () => {
  const { verdicts, entry, warned } = world({ denied: new Map([[1, ['a', 'b', 'other']]]) });
  const rules = [
    ...EXECS.rules.slice(0, 1),
    ...ruleSetOf(
      ruleFile('evt.type = execve and proc.exepath = /b and user.uid = 7').replace('e: r', 'e: b'),
    ).rules,
    ...ruleSetOf(ruleFile('evt.type = open').replace('e: r', 'e: other')).rules,
  ];
  await verdicts.enter({ rules });
  verdicts.follow([entry(1)]);
  await until('it is judged', () => verdicts.status().denying.containers === 1);
  const { denying } = verdicts.status();
  assert.deepEqual(denying, { ...NONE_DENIED, containers: 1, rules: ['a'], afterEffect: ['b'] });
  assert.deepEqual(warned, [{ rules: ['b'] }]);
  // Not again for each table.
  verdicts.follow([]);
  verdicts.follow([entry(1)]);
  await until('it is judged again', () => verdicts.status().denying.containers === 1);
  assert.equal(warned.length, 1);
});

test('until it is known whether the kernel can deny, nothing is said of it; nor when tables are given up', async () => {
  const { verdicts, entry, kernel } = world({ denied: new Map([[1, ['a']]]) });
  const entered = verdicts.enter(EXECS);
  verdicts.follow([entry(1)]);
  assert.deepEqual(verdicts.status().denying, NONE_DENIED);
  await entered;
  verdicts.follow([entry(1)]);
  assert.deepEqual(verdicts.status().denying, NONE_DENIED);
  await until('it is judged', () => verdicts.status().denying.containers === 1);
  kernel.refuses = true;
  verdicts.endDenying();
  assert.deepEqual(verdicts.status().denying, NONE_DENIED);
});

test('rules that deny with the same condition are told apart by their names', async () => {
  const { verdicts, entry } = world({
    denied: new Map([
      [1, ['a']],
      [2, ['same']],
    ]),
  });
  const [a] = EXECS.rules;
  assert.ok(a);
  await verdicts.enter({ rules: [a, { ...a, name: 'same' }] });
  verdicts.follow([entry(1)]);
  await until('it is judged', () => verdicts.status().denying.containers === 1);
  verdicts.follow([entry(2)]);
  await until('the other is', () => verdicts.status().denying.rules.join() === 'same');
});
