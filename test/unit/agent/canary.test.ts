// The canary's runs without a kernel: what it says of each hop, when it runs, and what bounds it. test/e2e/no-engine/canary.test.ts has the rest.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { CanaryContainer, CanaryGround } from '../../../src/agent/canary-container.ts';
import {
  Canary,
  firstDelayMs,
  nextDelayMs,
  type CanaryOptions,
} from '../../../src/agent/canary.ts';
import type { LogCacheAnswer, LogCacheQuery } from '../../../src/reading/log-cache.ts';
import { CANARY_RULE } from '../../../src/shared/drill.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import type { Delivery, LogStream } from '../../../src/streams/stream.ts';
import { containerOf, deliveryOf } from '../streams/delivery-fixture.ts';

const GUID = '5711bbdd-ef74-4626-ab17-ed29d72c3f7c';
const HOUR_MS = 3_600_000;

const streamNamed = (name: string, accepts = true): LogStream => ({
  name,
  audience: 'operator',
  accepts: () => accepts,
  deliver: () => Promise.resolve(true),
  counters: () => ({ delivered: 0, failed: 0, dropped: 0 }),
  close: () => Promise.resolve(),
});

interface Bench {
  readonly canary: Canary;
  readonly queries: LogCacheQuery[];
  readonly warnings: string[];
  /** How many containers there are now, and how many there were. */
  readonly containers: { now: number; made: number };
  /** The stage after the action: the line of this token. */
  delivery: (more?: Partial<Delivery['detection']>) => Delivery;
}

/** `acted` is what happens in the container of this token. */
function bench(
  acted: (bench: Bench, token: string) => void | Promise<void>,
  more: {
    readonly timeoutMs?: number;
    readonly answers?: LogCacheAnswer | ((token: string) => LogCacheAnswer);
    readonly emitted?: number;
    readonly options?: Partial<CanaryOptions>;
    readonly intervalMs?: number;
  } = {},
): Bench {
  let token = '';
  const containers = { now: 0, made: 0 };
  const queries: LogCacheQuery[] = [];
  const warnings: string[] = [];
  const ground: CanaryGround = {
    make: (named): CanaryContainer => {
      token = named;
      containers.now++;
      containers.made++;
      return {
        cgroupId: 7,
        act: async () => await acted(all, named),
        remove: () => {
          containers.now--;
          return Promise.resolve();
        },
      };
    },
    clear: () => Promise.resolve(),
  };
  const { answers } = more;
  const read = (query: LogCacheQuery): Promise<LogCacheAnswer> => {
    queries.push(query);
    return Promise.resolve(typeof answers === 'function' ? answers(token) : answers!);
  };
  const canary = new Canary({
    config: {
      enabled: true,
      intervalMs: more.intervalMs ?? HOUR_MS,
      timeoutMs: more.timeoutMs ?? 300,
      app: { name: 'varvel-canary', guid: GUID, space: undefined, org: undefined },
      logCache: answers === undefined ? undefined : ({} as never),
    },
    hostname: 'cell-1',
    logger: { ...SILENT_LOGGER, warn: (_, text) => void warnings.push(text) },
    ground,
    logCache: answers === undefined ? undefined : { read },
    attach: () => undefined,
    isRuleOn: () => true,
    emittedOf: () => more.emitted ?? 5,
    streams: () => [streamNamed('file'), streamNamed('syslog'), streamNamed('docker', false)],
    ...more.options,
  });
  const all: Bench = {
    canary,
    queries,
    warnings,
    containers,
    delivery: (detection) =>
      deliveryOf({
        rule: CANARY_RULE,
        container: containerOf({ fullId: token, runtime: 'cgroup' }),
        ...detection,
      }),
  };
  return all;
}

/** The rule finds it, and these streams have it. */
const arrives =
  (...streams: readonly string[]) =>
  ({ canary, delivery }: Bench): void => {
    const one = delivery();
    canary.onDetection(one.detection);
    for (const name of streams) canary.onDelivered(one, streamNamed(name));
  };

test('without a log system: delivered when every stream that accepts the line has it', async () => {
  const { canary, containers } = bench(arrives('file', 'syslog'));
  const run = await canary.run();
  assert.deepEqual([run.result, run.hop], ['delivered', 'receiver']);
  assert.match(run.says, /\(file, syslog\) .* canary\.read names none/);
  assert.deepEqual(containers, { now: 0, made: 1 });
  const { runs, lastGood } = canary.status();
  assert.deepEqual(runs, { seen: 0, delivered: 1, not_seen: 0, failed: 0 });
  assert.deepEqual(lastGood, { atMs: run.atMs, seconds: run.seconds });
});

test('what did not arrive was last seen by a hop, which is named', async () => {
  const cases = [
    ['nobody', () => undefined, 0, /^.* Nobody saw it: the kernel handed over no record/],
    [
      'kernel',
      () => undefined,
      5,
      /last that saw it was the kernel: .* 5 records .* no rule fired/,
    ],
    ['rule', arrives(), 5, /last that saw it was the rule: no stream took the line/],
    ['stream', arrives('file'), 5, /the stream syslog did not take it; the stream file has/],
  ] as const;
  for (const [hop, acted, emitted, says] of cases) {
    const { canary, containers, warnings } = bench(acted, { emitted });
    const run = await canary.run();
    assert.deepEqual([run.result, run.hop], ['not_seen', hop]);
    assert.match(run.says, says);
    assert.match(warnings.join('\n'), says);
    assert.equal(containers.now, 0);
    assert.equal(canary.status().lastGood, undefined);
  }
});

test('seen: the line with this run’s token, among lines of its time', async () => {
  const one = bench(arrives('file', 'syslog'), {
    answers: (token) => ({ lines: ['another', `{"output": "token=${token} file="}`] }),
    timeoutMs: 60_000,
  });
  const run = await one.canary.run();
  assert.deepEqual([run.result, run.hop], ['seen', 'log system']);
  const [query] = one.queries;
  assert.ok(query);
  const timeNs = BigInt(run.atMs) * 1_000_000n;
  assert.equal(query.sourceId, GUID);
  assert.ok(query.fromNs < timeNs && query.toNs - query.fromNs === 200_000_000n);
});

test('another run’s line is not this one’s, in the log system and before it', async () => {
  const stranger = bench(arrives('file', 'syslog'), { answers: { lines: ['token=0123 file='] } });
  const run = await stranger.canary.run();
  assert.deepEqual([run.result, run.hop], ['not_seen', 'receiver']);
  assert.match(
    run.says,
    /their receivers \(file, syslog\); after that it was not seen\. Log Cache was asked \d+ times/,
  );
  const others = bench(({ canary, delivery }) => {
    for (const more of [{ rule: 'Varvel drill' }, { container: containerOf() }]) {
      canary.onDetection(delivery(more).detection);
      canary.onDelivered(delivery(more), streamNamed('file'));
      canary.onTaken('syslog', delivery(more));
    }
  });
  assert.equal((await others.canary.run()).hop, 'kernel');
});

test('a log system that cannot be read at the end: failed, with the reason', async () => {
  const one = bench(arrives('file', 'syslog'), { answers: { failed: 'it answers with 503' } });
  const run = await one.canary.run();
  assert.deepEqual([run.result, run.hop], ['failed', 'receiver']);
  assert.match(run.says, /nobody knows whether its line arrived: it answers with 503\./);
});

test('what cannot be tried fails, and its container is removed', async () => {
  const broken = bench(() => Promise.reject(new Error('there is no cat to run')));
  const run = await broken.canary.run();
  assert.deepEqual(
    [run.result, run.says],
    ['failed', 'It could not be tried: there is no cat to run.'],
  );
  assert.deepEqual(broken.containers, { now: 0, made: 1 });
  const off = bench(arrives(), { options: { isRuleOn: () => false } });
  assert.match((await off.canary.run()).says, /The rule "Varvel canary" is not on/);
  assert.equal(off.containers.made, 0);
});

test('one run at a time, and the next one is another', async () => {
  const one = bench(arrives('file', 'syslog'));
  const [first, same] = await Promise.all([one.canary.run(), one.canary.run()]);
  assert.equal(first, same);
  assert.equal(one.containers.made, 1);
  assert.notEqual(await one.canary.run(), first);
  assert.equal(one.canary.status().runs.delivered, 2);
});

test('a run that the agent’s end cuts short does not count', async () => {
  const one = bench(() => undefined, { timeoutMs: HOUR_MS });
  const run = one.canary.run();
  await one.canary.stop();
  assert.equal((await run).says, 'The agent is stopping, so the run was cut short.');
  assert.deepEqual(one.canary.status(), {
    runs: { seen: 0, delivered: 0, not_seen: 0, failed: 0 },
  });
  assert.equal(one.containers.now, 0);
});

/** Goes on by so much, and lets what is due run to its end. */
async function pass(t: TestContext, ms: number): Promise<void> {
  t.mock.timers.tick(ms);
  for (let turns = 0; turns < 20; turns++) await setImmediate();
}

test('the first run is a minute or two after the start, the others come each interval', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const one = bench(arrives('file', 'syslog'));
  one.canary.start();
  const first = firstDelayMs('cell-1', HOUR_MS);
  await pass(t, Math.floor(first) - 1);
  assert.equal(one.containers.made, 0);
  await pass(t, 2);
  assert.equal(one.containers.made, 1);
  await pass(t, 0.94 * HOUR_MS);
  assert.equal(one.containers.made, 1);
  await pass(t, 0.12 * HOUR_MS);
  assert.equal(one.containers.made, 2);
  await one.canary.stop();
  await pass(t, 2 * HOUR_MS);
  assert.equal(one.containers.made, 2, 'none after the end');
});

test('after a run that failed the next comes within minutes, and then the interval counts again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let works = false;
  const one = bench(
    (it) => (works ? arrives('file', 'syslog')(it) : Promise.reject(new Error('no'))),
    { intervalMs: 24 * HOUR_MS },
  );
  one.canary.start();
  await pass(t, 120_001);
  assert.equal(one.canary.status().runs.failed, 1);
  works = true;
  await pass(t, 1.06 * 600_000);
  assert.equal(one.canary.status().runs.delivered, 1);
  await pass(t, 20 * HOUR_MS);
  assert.equal(one.containers.made, 2);
  await one.canary.stop();
});

test('hosts come at different times, each within its bounds', () => {
  const hosts = Array.from({ length: 500 }, (_, nth) => `cell-${nth}`);
  const firsts = hosts.map((host) => firstDelayMs(host, 24 * HOUR_MS));
  assert.ok(firsts.every((ms) => ms >= 60_000 && ms < 120_000));
  assert.ok(hosts.every((host) => firstDelayMs(host, 60_000) < 66_001));
  const seconds = new Map<number, number>();
  for (const ms of firsts) {
    const second = Math.floor(ms / 1000);
    seconds.set(second, (seconds.get(second) ?? 0) + 1);
  }
  assert.ok(Math.max(...seconds.values()) < 30, 'no second has more than a few of 500');
  const nexts = hosts.map((host) => nextDelayMs(host, 1, HOUR_MS));
  assert.ok(nexts.every((ms) => ms >= 0.95 * HOUR_MS && ms < 1.05 * HOUR_MS));
  assert.ok(new Set(nexts).size > 490);
  assert.equal(nextDelayMs('cell-1', 3, HOUR_MS), nextDelayMs('cell-1', 3, HOUR_MS));
});
