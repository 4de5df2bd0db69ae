import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { FACTS_MAX, KnownFacts } from '../../../src/agent/verdict-facts.ts';
import { factsOfType } from '../../../src/plan/verdicts/container-tests.ts';
import type { Container } from '../../../src/apps/identity.ts';
import type { RegistryEntry } from '../../../src/apps/resolution.ts';
import { TABLES_MAX } from '../../../src/agent/verdict-numbers.ts';
import { until } from '../../support/e2e-agent.ts';
import type { LoadedRule } from '../../../src/rules/rule-set.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { containerOf } from '../streams/delivery-fixture.ts';
import { appWith, world } from './verdicts-fixture.ts';

// What waits here keeps no process up.
const awake = setInterval(() => undefined, 1000);
after(() => clearInterval(awake));

const ofApp = (name: string): ReturnType<typeof containerOf> =>
  containerOf({ fullId: name }, { name, space: 'prod' });
/** As long as tables take that are not made. */
const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await nextTurn();
};

const NOW_MS = 1_000_000_000;
const NONE: readonly LoadedRule[] = [];
const by = (operators: readonly LoadedRule[] | undefined, own = NONE, denying = NONE) => ({
  operators,
  own,
  denying,
});
const rulesOf = (...conditions: readonly string[]) =>
  ruleSetOf(
    conditions
      .map((condition, at) => ruleFile(condition).replace('rule: r', `rule: r${at}`))
      .join('\n'),
  );

describe('what is known of containers', () => {
  const { rules } = rulesOf(
    'evt.type = open and app.name = shop and fd.name = /a',
    'evt.type = open and not (app.name = shop) and container.name = x and fd.name = /b',
  );

  test('what rules ask for of what is fixed; equal for containers of which the same is so', () => {
    const known = new KnownFacts();
    const [shop, blog, wiki] = ['shop', 'blog', 'wiki'].map((name) =>
      known.of(ofApp(name), by(rules), NOW_MS),
    );
    assert.deepEqual([...shop!.results], [['app.name = shop', true]]);
    assert.deepEqual([...blog!.results], [['app.name = shop', false]]);
    assert.equal(blog!.key, wiki!.key);
    assert.deepEqual(known.of(ofApp('shop'), by(undefined), NOW_MS), factsOfType('docker'));
    const own = rulesOf('evt.type = open and app.space = prod').rules;
    assert.deepEqual(
      [...known.of(ofApp('shop'), by(rules, own), NOW_MS).results.keys()],
      ['app.name = shop', 'app.space = prod'],
    );
  });

  test('its age, from when its comparison stays as it is, and only for rules that deny', () => {
    const { rules: aged } = rulesOf(
      'evt.type = execve and proc.name = a and not container.duration < 60000000000',
      'evt.type = execve and proc.name = b and container.duration >= 3600000000000',
      'evt.type = execve and proc.name = c and container.duration in (5)',
    );
    const known = new KnownFacts();
    const started = { ...ofApp('shop'), startedAtMs: NOW_MS };
    const after = (seconds: number, denying = aged, container: Container = started): object => {
      const { results } = known.of(container, by(aged, NONE, denying), NOW_MS + 1000 * seconds);
      return Object.fromEntries(results);
    };
    assert.deepEqual(after(69), {}, 'a clock may be set back');
    assert.deepEqual(after(71), { 'container.duration < 60000000000': false });
    assert.deepEqual(after(3611), {
      'container.duration < 60000000000': false,
      'container.duration >= 3600000000000': true,
    });
    assert.deepEqual(after(3611, NONE), {}, 'none denies');
    assert.deepEqual(after(3611, aged, { ...started, startedAtMs: undefined }), {});
  });

  test('rules that tell each container from all others: of so many at a time, of the others the type', () => {
    const names = Array.from({ length: FACTS_MAX + 2 }, (_, n) => `app${n}`);
    const many = rulesOf(...names.map((name) => `evt.type = open and app.name = ${name}`)).rules;
    const known = new KnownFacts();
    const containers = names.map(ofApp);
    const facts = containers.map((one) => known.of(one, by(many), NOW_MS));
    assert.deepEqual(
      facts.map(({ results }) => results.size > 0),
      names.map((_, n) => n < FACTS_MAX),
    );
    // Two of them are gone: there is room for the others.
    known.keep(facts.slice(2, FACTS_MAX));
    assert.ok(known.of(containers.at(-1)!, by(many), NOW_MS).results.size > 0);
    assert.equal(known.of(containers[3]!, by(many), NOW_MS).key, facts[3]!.key);
  });
});

test('containers are judged by what rules say of theirs, and denied only where a rule means them', async () => {
  const { verdicts, entry, entryOf, tableOf } = world();
  const named = (cgroupId: number, name: string): RegistryEntry =>
    entry(cgroupId, { resolution: { state: 'included', container: ofApp(name) } });
  const all = [named(1, 'shop'), named(2, 'blog'), named(3, 'wiki')];
  verdicts.follow(all);
  await verdicts.enter(
    rulesOf(
      'evt.type = open and app.name = shop and fd.name = /a',
      'evt.type = open and fd.name = /b',
    ),
  );
  verdicts.follow(all);
  await until('they are judged in different ways', () => tableOf(1) !== tableOf(2));
  const [shop, blog, wiki] = [1, 2, 3].map(tableOf);
  assert.ok(shop !== undefined && blog !== undefined);
  assert.notEqual(shop, blog);
  assert.equal(blog, wiki);
  // An app's own rules ask for more.
  const own = entryOf(
    4,
    appWith('/c', rulesOf('evt.type = open and app.name = x and fd.name = /c')),
  );
  verdicts.follow([...all, own]);
  assert.equal(verdicts.status().containers, 3, 'its table is being made');
});

/** Both deny; one of them only in a container that is older than a minute. */
const agedRules = (...more: readonly string[]) =>
  rulesOf(
    'evt.type = execve and proc.name = a and not container.duration < 60000000000',
    'evt.type = execve and proc.name = b',
    ...more,
  );

test('a container that becomes old enough for a rule that denies is judged all the while', async () => {
  const clock = { ms: NOW_MS };
  const { done, verdicts, entry, tableOf } = world({
    denied: new Map([[1, ['r0', 'r1']]]),
    nowMs: () => clock.ms,
  });
  const container = { ...ofApp('shop'), fullId: '1', startedAtMs: NOW_MS };
  const all = [entry(1, { resolution: { state: 'included', container } })];
  verdicts.follow(all);
  await verdicts.enter(agedRules());
  verdicts.follow(all);
  await until('the kernel denies', () => verdicts.status().denying.rules.length > 0);
  const young = tableOf(1);
  assert.ok(young !== undefined);
  assert.deepEqual(verdicts.status().denying.rules, ['r1']);
  assert.equal(verdicts.status().denying.tooYoung, 1);
  done.length = 0;
  clock.ms += 71_000;
  verdicts.follow(all);
  assert.equal(tableOf(1), young, 'until the other table is there');
  await until('it is judged as an old one', () => tableOf(1) !== young);
  assert.deepEqual(
    done.filter((what) => what.startsWith('1 ')).map((what) => what.replace(/[1-9]\d*$/, 'N')),
    ['1 included at 2: N'],
    'at no time by none',
  );
  assert.deepEqual([...verdicts.status().denying.rules].sort(), ['r0', 'r1']);
  assert.equal(verdicts.status().denying.tooYoung, 0);
});

test('where nobody tells when a container started, its processes are judged by their own ages', async () => {
  const { verdicts, entry } = world({ denied: new Map([[1, ['r0', 'r1']]]) });
  const runtime = 'garden' as const;
  const container = { ...ofApp('shop'), fullId: '1', runtime, startedAtMs: undefined };
  const all = [entry(1, { resolution: { state: 'included', container } })];
  verdicts.follow(all);
  await verdicts.enter(agedRules());
  verdicts.follow(all);
  await until('the kernel denies', () => verdicts.status().denying.rules.length > 0);
  assert.deepEqual([...verdicts.status().denying.rules].sort(), ['r0', 'r1']);
  assert.equal(verdicts.status().denying.tooYoung, 0);
});

test('a container that is older twice before its own table is made is judged all the while', async () => {
  const clock = { ms: NOW_MS };
  const { done, verdicts, entry, tableOf } = world({
    denied: new Map([[1, ['r0', 'r1', 'r2']]]),
    nowMs: () => clock.ms,
  });
  const container = { ...ofApp('shop'), fullId: '1', startedAtMs: NOW_MS };
  const all = [entry(1, { resolution: { state: 'included', container } })];
  verdicts.follow(all);
  const older = 'evt.type = execve and proc.name = c and not container.duration < 120000000000';
  await verdicts.enter(agedRules(older));
  verdicts.follow(all);
  await until('the kernel denies', () => verdicts.status().denying.rules.length > 0);
  const young = tableOf(1);
  done.length = 0;
  for (const passed of [71_000, 71_000]) {
    clock.ms += passed;
    verdicts.follow(all);
    assert.equal(tableOf(1), young);
  }
  await until('it is judged as the oldest', () => verdicts.status().denying.rules.length > 1);
  assert.ok(!done.some((what) => what.endsWith(': 0')), 'at no time by none');
});

test('another container with the same cgroup number is not judged by what was known of the one before', async () => {
  const { done, verdicts, entry, tableOf } = world();
  const ofCgroup = (name: string): RegistryEntry[] => [
    entry(1, { resolution: { state: 'included', container: ofApp(name) } }),
  ];
  verdicts.follow(ofCgroup('shop'));
  await verdicts.enter(rulesOf('evt.type = open and app.name = shop and fd.name = /a'));
  const anybodys = tableOf(1);
  verdicts.follow(ofCgroup('shop'));
  await until('its own table is there', () => tableOf(1) !== anybodys);
  done.length = 0;
  verdicts.follow(ofCgroup('blog'));
  assert.equal(tableOf(1), undefined, 'nobody knows yet what its table is');
  await until('it has its own', () => tableOf(1) !== undefined);
  assert.equal(done.filter((what) => what.startsWith('1 '))[0], '1 included at 2: 0');
});

test('where there is no room for another table, an older container keeps its own', async () => {
  const clock = { ms: NOW_MS };
  const { verdicts, entry, entryOf, tableOf } = world({
    denied: new Map([[1, ['r0', 'r1']]]),
    nowMs: () => clock.ms,
  });
  const container = { ...ofApp('shop'), fullId: '1', startedAtMs: NOW_MS };
  const old = entry(1, { resolution: { state: 'included', container } });
  // The other tables are those of apps with rules of their own; one more is of a container of the same age group.
  const twin = { ...old, cgroupId: 2 };
  const others = Array.from({ length: TABLES_MAX - 1 }, (_, n) =>
    entryOf(10 + n, appWith(`/own${n}`)),
  );
  const all = [old, twin, ...others];
  verdicts.follow(all);
  await verdicts.enter(agedRules());
  verdicts.follow(all);
  await until('all are judged', () => all.every(({ cgroupId }) => tableOf(cgroupId) !== undefined));
  const young = tableOf(1);
  clock.ms += 71_000;
  // The twin does not know its start: it stays as it is, and its table with it.
  const unknown = { ...container, startedAtMs: undefined };
  const still = { ...twin, resolution: { state: 'included', container: unknown } } as RegistryEntry;
  verdicts.follow([old, still, ...others]);
  await turns(50);
  assert.equal(tableOf(1), young);
  assert.deepEqual(verdicts.status().denying.rules, ['r1']);
});
