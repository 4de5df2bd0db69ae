import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { FACTS_MAX, KnownFacts } from '../../../src/agent/verdict-facts.ts';
import type { RegistryEntry } from '../../../src/apps/resolution.ts';
import { until } from '../../support/e2e-agent.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { containerOf } from '../streams/delivery-fixture.ts';
import { appWith, world } from './verdicts-fixture.ts';

// What waits here keeps no process up.
const awake = setInterval(() => undefined, 1000);
after(() => clearInterval(awake));

const ofApp = (name: string): ReturnType<typeof containerOf> =>
  containerOf({ fullId: name }, { name, space: 'prod' });
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
      known.of(ofApp(name), rules, []),
    );
    assert.deepEqual([...shop!.results], [['app.name = shop', true]]);
    assert.deepEqual([...blog!.results], [['app.name = shop', false]]);
    assert.equal(blog!.key, wiki!.key);
    assert.equal(known.of(ofApp('shop'), undefined, []).key, 'docker', 'without rules the type');
    const own = rulesOf('evt.type = open and app.space = prod').rules;
    assert.deepEqual(
      [...known.of(ofApp('shop'), rules, own).results.keys()],
      ['app.name = shop', 'app.space = prod'],
    );
  });

  test('rules that tell each container from all others: of so many at a time, of the others the type', () => {
    const names = Array.from({ length: FACTS_MAX + 2 }, (_, n) => `app${n}`);
    const many = rulesOf(...names.map((name) => `evt.type = open and app.name = ${name}`)).rules;
    const known = new KnownFacts();
    const containers = names.map(ofApp);
    const facts = containers.map((one) => known.of(one, many, []));
    assert.deepEqual(
      facts.map(({ results }) => results.size > 0),
      names.map((_, n) => n < FACTS_MAX),
    );
    // Two of them are gone: there is room for the others.
    known.keep(facts.slice(2, FACTS_MAX));
    assert.ok(known.of(containers.at(-1)!, many, []).results.size > 0);
    assert.equal(known.of(containers[3]!, many, []).key, facts[3]!.key);
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
  await until('each is judged', () => [1, 2, 3].every((id) => tableOf(id) !== undefined));
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
