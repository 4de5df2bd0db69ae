import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { KernelVerdicts } from '../../../src/agent/verdicts.ts';
import type { Container } from '../../../src/apps/identity.ts';
import type { RegistryEntry } from '../../../src/apps/resolution.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

const RULES = ruleSetOf(ruleFile('evt.type = open and fd.name = /etc/shadow'));

// What waits here keeps no process up.
const awake = setInterval(() => undefined, 1000);
after(() => clearInterval(awake));

function world({ enabled = true } = {}) {
  const done: string[] = [];
  const own = new Set<Container>();
  const verdicts = new KernelVerdicts({
    probe: {
      setVerdicts: (number, table) =>
        done.push(`table ${number}: ${table === undefined ? 'none' : 'set'}`),
      scope: {
        set: (cgroupId, state, level, table) =>
          done.push(`${cgroupId} ${state} at ${level}: ${table}`),
        delete: () => undefined,
        get: () => undefined,
        entries: () => [],
      },
    },
    logger: SILENT_LOGGER,
    hasOperatorsOnly: (container) => !own.has(container),
    enabled,
  });
  const entry = (cgroupId: number, more: Partial<RegistryEntry> = {}): RegistryEntry =>
    ({
      cgroupId,
      path: '/docker/x',
      resolution: { state: 'included', container: containerOf() },
      goneAtMs: undefined,
      unwatched: false,
      ...more,
    }) as RegistryEntry;
  return { done, own, verdicts, entry };
}

test('the table of the rules in force is set a while later; before others come it is taken away', async () => {
  const { done, verdicts } = world();
  await verdicts.enter(RULES);
  assert.deepEqual(done.splice(0), ['table 1: set']);
  verdicts.leave();
  verdicts.leave();
  assert.deepEqual(done.splice(0), ['table 1: none'], 'once');
  const given = verdicts.enter(RULES);
  // Other rules before the first were ready: those have no table any more.
  verdicts.leave();
  await Promise.all([given, verdicts.enter(RULES)]);
  assert.deepEqual(done.splice(0), ['table 1: set']);
  const late = verdicts.enter(RULES);
  verdicts.stop();
  await late;
  assert.deepEqual(done, ['table 1: none']);
});

test('a container is judged while the operator’s rules alone hold for it, told once each way', () => {
  const { done, own, verdicts, entry } = world();
  const judged = entry(1);
  const pending = entry(2, { resolution: { state: 'pending' } } as Partial<RegistryEntry>);
  const gone = entry(3, { goneAtMs: 1 });
  const unwatched = entry(4, { unwatched: true });
  const all = [judged, pending, gone, unwatched];
  verdicts.follow(all);
  verdicts.follow(all);
  assert.deepEqual(done.splice(0), ['1 included at 2: 1']);
  if (judged.resolution.state === 'included') own.add(judged.resolution.container);
  verdicts.follow(all);
  verdicts.follow(all);
  assert.deepEqual(done.splice(0), ['1 included at 2: 0']);
  own.clear();
  verdicts.follow(all);
  // Its cgroup is gone, and another one has the number.
  verdicts.follow([]);
  verdicts.follow([entry(1)]);
  assert.deepEqual(done, ['1 included at 2: 1', '1 included at 2: 1']);
});

test('turned off, nothing is asked of the kernel', async () => {
  const { done, verdicts, entry } = world({ enabled: false });
  await verdicts.enter(RULES);
  verdicts.follow([entry(1)]);
  verdicts.leave();
  verdicts.stop();
  assert.deepEqual(done, []);
});
