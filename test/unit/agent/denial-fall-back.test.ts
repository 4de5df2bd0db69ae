import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  DenialFallBack,
  DENIALS_A_MINUTE,
  FIRST_DENIAL_MS,
} from '../../../src/agent/denial-fall-back.ts';
import type { Container } from '../../../src/apps/identity.ts';
import type { RegistryEntry } from '../../../src/apps/resolution.ts';
import { OperatorResponses } from '../../../src/responses/operator-responses.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { load } from '../config/load-fixture.ts';
import type { ResponseOutcome } from '../../../src/responses/response.ts';
import { makeProcess } from '../../support/rules-subject.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

const DENIES = '[{match: {rule: "*"}, do: deny, mode: enforce}]';

function world(yaml = DENIES) {
  const operators = new OperatorResponses(load(`responses: ${yaml}\n`).config.responses);
  const time = { nowMs: 0 };
  const ending = new Set<number>();
  const said: Detection[] = [];
  let changes = 0;
  const fallBack = new DenialFallBack({
    logger: SILENT_LOGGER,
    nowMs: () => time.nowMs,
    operators: () => operators,
    isEnding: (cgroupId) => ending.has(cgroupId),
    onChanged: () => changes++,
    say: (line) => said.push(line),
  });
  let pid = 0;
  /** Another program is denied, which two rules match. */
  const denied = (
    container: Container,
    outcome: ResponseOutcome = 'prevented',
    asked?: 'deny',
    process = makeProcess({ pid: ++pid }),
  ): void => {
    const done = [{ name: 'deny', outcome, guarantee: 'before the effect' }] as const;
    // Only of the second rule the app asks for it.
    for (const of of [undefined, asked])
      assert.equal(fallBack.noted({ container, process, asked: of }, done), done);
  };
  const instance = (fullId: string, name: string): Container =>
    containerOf({ fullId, id: fullId }, { name, guid: name });
  const goneAt = (container: Container, goneAtMs: number | undefined, cgroupId = 1) =>
    ({ resolution: { state: 'included', container }, goneAtMs, cgroupId }) as RegistryEntry;
  const isDenied = ({ app }: Container): boolean => {
    const rule = { name: 'r', tags: [], priority: 'Error', enabled: true } as const;
    return operators.deniedAmong([rule], app).length > 0;
  };
  return {
    operators,
    time,
    ending,
    said,
    fallBack,
    denied,
    instance,
    goneAt,
    isDenied,
    changes: () => changes,
  };
}

test('an app with many denials in a minute is no longer denied any, and each of its instances is told', () => {
  const { time, said, fallBack, denied, instance, goneAt, isDenied, changes, operators } = world();
  const shop = [instance('a', 'shop'), instance('b', 'shop')] as const;
  const blog = instance('c', 'blog');
  // Not in a minute.
  for (let n = 0; n < 3 * DENIALS_A_MINUTE; n++) {
    time.nowMs += 1000;
    denied(blog);
  }
  assert.ok(isDenied(blog));
  // All its instances count together.
  for (let n = 0; n < DENIALS_A_MINUTE; n++) {
    time.nowMs += 900;
    denied(shop[n % 2]!);
  }
  assert.ok(isDenied(shop[0]), 'as many as may be');
  denied(shop[0]);
  denied(shop[0]);
  assert.deepEqual([isDenied(shop[0]), isDenied(shop[1]), isDenied(blog)], [false, false, true]);
  assert.deepEqual([changes(), fallBack.count], [1, 1]);
  const why = `more than ${DENIALS_A_MINUTE} processes were denied within a minute`;
  assert.deepEqual(operators.ended(), [{ app: 'shop', why }]);
  const entries = [...shop, blog].map((one, cgroupId) => goneAt(one, undefined, cgroupId));
  for (let times = 0; times < 2; times++) fallBack.onTick(entries);
  assert.deepEqual(
    said
      .splice(0)
      .map(({ container, rule, output }) => [container?.fullId, rule, output.endsWith(why)]),
    ['a', 'b'].map((id) => [id, 'Varvel: denial ended', true]),
  );
  const later = [goneAt(instance('d', 'shop'), undefined, 7), goneAt(shop[0], undefined, 8)];
  for (let times = 0; times < 2; times++) fallBack.onTick([...entries, ...later]);
  assert.deepEqual(
    said.map(({ container }) => container?.fullId),
    ['d', 'a'],
    'also one that begins later, and another run',
  );
});

test('processes that try again and again count once each', () => {
  const { fallBack, denied, instance, isDenied } = world();
  const shop = instance('a', 'shop');
  const workers = [101, 102].map((pid) => makeProcess({ pid }));
  for (let n = 0; n < 3 * DENIALS_A_MINUTE; n++)
    denied(shop, 'prevented', undefined, workers[n % 2]);
  assert.deepEqual([isDenied(shop), fallBack.count], [true, 0]);
});

test('a container that ends soon after its first denial: its app is no longer denied any', () => {
  const { time, fallBack, denied, instance, goneAt, isDenied, ending } = world();
  const [shop, blog, job] = ['shop', 'blog', 'job'].map((name) => instance(name, name)) as [
    Container,
    Container,
    Container,
  ];
  time.nowMs = 1000;
  for (const one of [shop, blog, job]) denied(one);
  time.nowMs += FIRST_DENIAL_MS - 1000;
  // Its second.
  denied(blog);
  ending.add(7);
  fallBack.onTick([
    goneAt(shop, 1000 + FIRST_DENIAL_MS),
    goneAt(blog, 1001 + FIRST_DENIAL_MS),
    // By a response of the agent.
    goneAt(job, 2000, 7),
    goneAt(instance('other', 'other'), 2000),
  ]);
  assert.deepEqual([shop, blog, job].map(isDenied), [false, true, true]);
});

test('a container that goes on is no reason, nor an end before it was started again', () => {
  const { time, fallBack, denied, instance, goneAt, isDenied } = world();
  const shop = instance('a', 'shop');
  const before = goneAt(shop, 500);
  time.nowMs = 1000;
  denied(shop);
  fallBack.onTick([before, goneAt(shop, undefined)]);
  assert.ok(isDenied(shop));
  fallBack.onTick([before, goneAt(shop, 2000)]);
  assert.ok(!isDenied(shop));
});

test('an entry that does not fall back goes on denying', () => {
  const { fallBack, denied, instance, isDenied, said, changes } = world(
    '[{match: {rule: "*"}, do: deny, mode: enforce, fall_back: false}]',
  );
  const shop = instance('a', 'shop');
  for (let n = 0; n < 2 * DENIALS_A_MINUTE; n++) denied(shop);
  assert.ok(isDenied(shop));
  assert.deepEqual([said.length, changes(), fallBack.count], [0, 0, 0]);
});

test('what is killed after the effect counts, what is only reported does not', () => {
  const { denied, instance, isDenied } = world();
  const [shop, blog] = [instance('a', 'shop'), instance('b', 'blog')];
  for (let n = 0; n <= DENIALS_A_MINUTE; n++) {
    denied(shop, 'done');
    denied(blog, 'monitored');
  }
  assert.deepEqual([shop, blog].map(isDenied), [false, true]);
});

test('an app that asks for denial itself: it ends too, also where no entry of the operator denies', () => {
  const { denied, instance, operators, said, fallBack, goneAt, changes } = world('[]');
  const [shop, blog] = [instance('1', 'shop'), instance('2', 'blog')];
  for (let n = 0; n <= DENIALS_A_MINUTE; n++) {
    denied(shop, 'prevented', 'deny');
    denied(blog);
  }
  assert.equal(
    operators.endedIn(shop.app),
    `more than ${DENIALS_A_MINUTE} processes were denied within a minute`,
  );
  assert.equal(operators.endedIn(blog.app), undefined);
  assert.equal(changes(), 1);
  fallBack.onTick([goneAt(shop, undefined), goneAt(blog, undefined)]);
  assert.equal(said.length, 1);
});
