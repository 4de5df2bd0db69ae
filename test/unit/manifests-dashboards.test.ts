import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { agents, detections, logQueries, type Rule } from '../support/dashboards.ts';
import { readLogql } from '../support/logql.ts';
import { runCommand } from '../support/run-command.ts';

for (const [dashboard, uid, types] of [
  [agents, 'varvel', ['row', 'stat', 'timeseries']],
  [detections, 'varvel-detections', ['row', 'stat', 'timeseries', 'bargauge', 'table', 'logs']],
] as const)
  describe(`the dashboard ${uid}`, () => {
    test('its panels have ids and places of their own', () => {
      assert.equal(dashboard.uid, uid);
      assert.ok(dashboard.schemaVersion >= 36);
      const ids = dashboard.panels.map(({ id }) => id);
      assert.equal(new Set(ids).size, ids.length);
      const taken = new Map<string, string>();
      for (const {
        title,
        gridPos: { x, y, w, h },
      } of dashboard.panels) {
        assert.ok(x >= 0 && w > 0 && h > 0 && x + w <= 24, title);
        for (let dx = 0; dx < w; dx++)
          for (let dy = 0; dy < h; dy++) {
            const cell = `${x + dx},${y + dy}`;
            assert.equal(taken.get(cell), undefined, `${title} is over ${taken.get(cell)}`);
            taken.set(cell, title);
          }
      }
    });

    test('what its panels need is there', () => {
      const variables = dashboard.templating.list.map(({ name }) => name);
      const sources = [
        { type: 'prometheus', uid: '${datasource}' },
        { type: 'loki', uid: '${logs}' },
      ].filter((source) => variables.includes(source.uid.slice(2, -1)));
      for (const { type, title, datasource, targets: own } of dashboard.panels) {
        assert.ok((types as readonly string[]).includes(type), title);
        if (type === 'row') continue;
        const source = sources.find((one) => one.type === datasource?.type);
        assert.ok(source !== undefined, title);
        assert.deepEqual(datasource, source, title);
        assert.ok(own !== undefined && own.length > 0, title);
        const refs = own.map(({ refId }) => refId);
        assert.equal(new Set(refs).size, refs.length, title);
        for (const target of own) {
          assert.deepEqual(target.datasource, source, title);
          for (const [, name] of target.expr.matchAll(/\$(\w+)/g))
            assert.ok(
              ['__rate_interval', '__range', ...variables].includes(name!),
              `${title}: $${name}`,
            );
          if (variables.includes('instance'))
            assert.ok(target.expr.includes('$instance'), `${title} is of the chosen hosts`);
        }
      }
    });
  });

test('what it asks Loki is LogQL over the labels, and selects what `varvel alerts loki` pages for', async () => {
  const { code, out } = await runCommand('alerts', 'loki');
  assert.equal(code, 0);
  const paged = new Set(
    (parse(out) as { groups: { rules: Rule[] }[] }).groups
      .flatMap(({ rules }) => rules)
      .filter(({ alert }) => alert === 'VarvelDetection' || alert === 'VarvelLoss')
      .flatMap(({ expr }) => readLogql(expr).selectors),
  );
  assert.equal(paged.size, 2);
  assert.ok(logQueries.length > 0);
  for (const { what, expr, legendFormat } of logQueries) {
    const { selectors, groupings } = readLogql(expr);
    assert.equal(selectors.length, 1, what);
    for (const selector of selectors) assert.ok(paged.has(selector), `${what}: ${selector}`);
    for (const label of groupings) assert.ok(out.includes(`target_label  = "${label}"`), what);
    for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
      assert.ok(groupings.includes(label!), `${what}: ${label}`);
  }
  assert.throws(() => readLogql('topk(10, sum by (app) (count_over_time({a="b"}[1h]))'));
});
