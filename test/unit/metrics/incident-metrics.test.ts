import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INCIDENTS_MAX, INCIDENT_SERIES_MAX } from '../../../src/metrics/incident-metrics.ts';
import { AgentMetrics } from '../../../src/metrics/metrics.ts';
import type { Priority } from '../../../src/rules/detection.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

const shop = containerOf({}, { name: 'shop', space: 'prod', org: 'acme' });

function counting(): {
  readonly line: (incident: string, rule: string, priority: Priority, of?: object) => void;
  readonly series: () => Promise<Readonly<Record<string, number>>>;
} {
  const metrics = new AgentMetrics('1.2.3');
  return {
    line: (incident, rule, priority, of = {}) => {
      metrics.countIncident({ incident, rule, priority, container: shop, ...of });
    },
    series: async () =>
      Object.fromEntries(
        [...(await metrics.text()).matchAll(/^varvel_incidents_total\{(.*)\} (\d+)$/gm)].map(
          ([, labels = '', count]) => [labels, Number(count)],
        ),
      ),
  };
}

const OF_SHOP = 'app="shop",space="prod",org="acme"';

test('an incident counts once for each priority that it reaches, by the line that reached it', async () => {
  const { line, series } = counting();
  line('one', 'A', 'Notice');
  line('one', 'B', 'Notice');
  line('one', 'C', 'Error');
  line('one', 'D', 'Warning');
  line('two', 'C', 'Error');
  assert.deepEqual(await series(), {
    [`at_least="Notice",rule="A",${OF_SHOP}`]: 1,
    [`at_least="Informational",rule="A",${OF_SHOP}`]: 1,
    [`at_least="Debug",rule="A",${OF_SHOP}`]: 1,
    [`at_least="Error",rule="C",${OF_SHOP}`]: 2,
    [`at_least="Warning",rule="C",${OF_SHOP}`]: 2,
    [`at_least="Notice",rule="C",${OF_SHOP}`]: 1,
    [`at_least="Informational",rule="C",${OF_SHOP}`]: 1,
    [`at_least="Debug",rule="C",${OF_SHOP}`]: 1,
  });
});

test('what the agent says of itself is no incident; a container of no app has no app', async () => {
  const { line, series } = counting();
  line('-', 'Varvel: coverage', 'Emergency', { incident: undefined });
  assert.deepEqual(await series(), {});
  line('one', 'A', 'Debug', { container: { ...shop, app: undefined } });
  assert.deepEqual(await series(), {
    'at_least="Debug",rule="A",app="",space="",org=""': 1,
  });
});

test('series are bounded: what needs more counts as other, and nothing is lost or falls', async () => {
  const { line, series } = counting();
  const rules = INCIDENT_SERIES_MAX / 2 + 3;
  for (let at = 0; at < rules; at++) line(`i${at}`, `R${at}`, 'Informational');
  line('again', 'R0', 'Informational');
  const all = await series();
  assert.equal(Object.keys(all).length, INCIDENT_SERIES_MAX + 2);
  assert.equal(all['at_least="Debug",rule="other",app="other",space="",org=""'], 3);
  assert.equal(all[`at_least="Informational",rule="R0",${OF_SHOP}`], 2);
  const sum = Object.entries(all)
    .filter(([labels]) => labels.startsWith('at_least="Debug"'))
    .reduce((before, [, count]) => before + count, 0);
  assert.equal(sum, rules + 1);
});

test('incidents are forgotten, the one that was silent longest first: it counts once more', async () => {
  const { line, series } = counting();
  line('busy', 'A', 'Debug');
  line('silent', 'A', 'Debug');
  for (let at = 0; at < INCIDENTS_MAX; at++) {
    line(`i${at}`, 'B', 'Debug');
    line('busy', 'A', 'Debug');
  }
  line('silent', 'A', 'Debug');
  assert.equal((await series())[`at_least="Debug",rule="A",${OF_SHOP}`], 3);
  assert.equal((await series())[`at_least="Debug",rule="B",${OF_SHOP}`], INCIDENTS_MAX);
});
