import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { TABLES_MAX } from '../../../src/agent/verdict-numbers.ts';
import { KernelVerdicts } from '../../../src/agent/verdicts.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import type { RegistryEntry } from '../../../src/apps/resolution.ts';
import type { ScopeEntry } from '../../../src/probe/scope.ts';
import { until } from '../../support/e2e-agent.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { appWith, NONE_CERTAIN, NONE_DENIED, RULES, world } from './verdicts-fixture.ts';

// What waits here keeps no process up.
const awake = setInterval(() => undefined, 1000);
after(() => clearInterval(awake));

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
    waiting: 0,
    certain: NONE_CERTAIN,
    denying: NONE_DENIED,
  });
  verdicts.follow(all);
  verdicts.leave();
  verdicts.leave();
  assert.equal(verdicts.status().waiting, 2, 'for others');
  const told = ['1 included at 2: 0', '2 included at 2: 0'];
  assert.deepEqual(done.splice(0), ['filters no more: all', ...told], 'once');
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
  assert.deepEqual(done, ['filters no more: all', ...told]);
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
    waiting: 0,
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
  assert.ok(!done.includes('filters no more: all'));
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
    waiting: 0,
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
      stopFiltering: () => undefined,
      copyVerdicts: () => undefined,
      allowRules: () => undefined,
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
