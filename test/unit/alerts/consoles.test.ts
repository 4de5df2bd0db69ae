// OpenSearch and Elasticsearch: no schema of theirs can be had offline, so that the documented shape is compared.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { z } from 'zod';

import { formatLine } from '../../../src/streams/format.ts';
import { coverageNotice } from '../../../src/streams/notices.ts';
import { containerOf, deliveryOf } from '../streams/delivery-fixture.ts';
import { runCommand } from '../../support/run-command.ts';
import { HOSTILE, printed, requestsOf, VARIANTS } from './printed.ts';
import {
  ES_QUERY,
  KIBANA_CONNECTOR,
  KIBANA_RULE,
  OPENSEARCH_CHANNEL,
  OPENSEARCH_MONITOR,
} from './shapes.ts';

type Monitor = z.infer<typeof OPENSEARCH_MONITOR>;

async function opensearch(...options: readonly string[]): Promise<Monitor[]> {
  return requestsOf((await printed('opensearch', ...options)).out)
    .filter(([to]) => to === 'POST _plugins/_alerting/monitors')
    .map(([, body]) => OPENSEARCH_MONITOR.parse(body));
}

const filtersOf = ({ inputs: [{ search }] }: Monitor): unknown[] => search.query.query.bool.filter;

for (const options of [...VARIANTS, ...HOSTILE]) {
  test(`OpenSearch: monitors as its API takes them: ${JSON.stringify(options)}`, async () => {
    const all = await opensearch(...options);
    assert.deepEqual(
      all.map(({ name }) => name.split(/[ :]/)[1]),
      ['detection', 'loss', 'silence'],
    );
    for (const monitor of all) {
      const [trigger] = monitor.triggers;
      const { query, indices } = monitor.inputs[0].search;
      assert.deepEqual(indices, ['logs-*']);
      const [range, source] = filtersOf(monitor);
      assert.match(JSON.stringify(range), /"gte":"\{\{period_end\}\}\|\|-\d+m"/);
      assert.match(JSON.stringify(source), /^\{"term":\{"tags@47450\.source_type\.keyword":/);
      if ('query_level_trigger' in trigger) {
        assert.equal(monitor.monitor_type, 'query_level_monitor');
        const { condition, actions } = trigger.query_level_trigger;
        assert.equal(condition.script.source, 'ctx.results[0].hits.total.value == 0');
        assert.equal(actions[0].throttle_enabled, true);
        continue;
      }
      assert.equal(monitor.monitor_type, 'bucket_level_monitor');
      const { condition, actions } = trigger.bucket_level_trigger;
      const buckets = query.aggregations?.[condition.parent_bucket_path];
      assert.ok(buckets !== undefined && buckets.composite.sources.length >= 2);
      for (const [, param] of condition.script.source.matchAll(/params\.(\w+)/g))
        assert.ok(param! in condition.buckets_path);
      const { per_alert } = actions[0].action_execution_policy!.action_execution_scope;
      assert.deepEqual(per_alert.actionable_alerts, ['NEW'], 'one page an incident');
      JSON.parse(actions[0].message_template.source.replace(/\{\{.*?\}\}/g, ''));
    }
  });
}

test('OpenSearch: what is looked for, and the channel', async () => {
  const all = await opensearch('--app', 'a"b\\', '--space', 'x\ny');
  for (const monitor of all) {
    assert.deepEqual(filtersOf(monitor).slice(1, 4), [
      { term: { 'tags@47450.source_type.keyword': 'VARVEL' } },
      { term: { 'tags@47450.app_name.keyword': 'a"b\\' } },
      { term: { 'tags@47450.space_name.keyword': 'x\\ny' } },
    ]);
  }
  assert.deepEqual(filtersOf(all[1]!).at(-1), {
    terms: {
      'tags@47450.varvel_rule.keyword': [
        'Varvel: lines lost',
        'Varvel: events lost',
        'Varvel: not watched',
        'Varvel: no room',
        'Varvel: rules switched off',
        'Varvel: own rules',
        'Varvel: policy',
        'Varvel: denied without an agent',
      ],
    },
  });
  assert.deepEqual(filtersOf(all[2]!).at(-1), {
    term: { 'tags@47450.varvel_rule.keyword': 'Varvel: coverage' },
  });
  const url = 'https://hooks.example.org/x';
  const [first, ...rest] = requestsOf((await printed('opensearch', '-w', url)).out);
  assert.equal(first![0], 'POST _plugins/_notifications/configs');
  const channel = OPENSEARCH_CHANNEL.parse(first![1]);
  assert.equal(channel.config.webhook.url, url);
  for (const [, body] of rest)
    assert.ok(JSON.stringify(body).includes(`"destination_id":"${channel.config_id}"`));
  const { code, err } = await runCommand('alerts', 'opensearch', '--app', 'a{{ctx}}');
  assert.equal(code, 2);
  assert.match(err, /cannot look for "a\{\{ctx\}\}": they take \{\{ for a template/);
});

/** Words as the standard analyzer of a text field makes them: a dot between letters does not part two. */
const wordsOf = (text: string): string[] =>
  [...text.toLowerCase().matchAll(/[\p{L}\p{N}_]+(?:\.[\p{L}\p{N}_]+)*/gu)].map(([word]) => word);

test('OpenSearch: that a container has ended is read from a field, not from the sentence', async () => {
  const silence = (await opensearch()).at(-1)!;
  const phrase = /"match_phrase":\{"message":("(?:[^"\\]|\\.)*")\}/.exec(
    JSON.stringify(silence),
  )?.[1];
  const words = wordsOf(JSON.parse(phrase ?? '""') as string).join(' ');
  const facts = { version: '1', rules: 1, events: 1, lost: 0, suppressed: 0 };
  const matches = (['start', 'running', 'stop', 'agent stop', 'replaced'] as const).filter(
    (when) => {
      const notice = coverageNotice({ when, ...facts }, containerOf(), 1n);
      const line = formatLine(deliveryOf({ ...notice, output: 'has ended' }), { format: 'json' });
      return ` ${wordsOf(line).join(' ')} `.includes(` ${words} `);
    },
  );
  assert.deepEqual(matches, ['stop']);
});

async function kibana(...options: readonly string[]): Promise<z.infer<typeof KIBANA_RULE>[]> {
  return requestsOf((await printed('elasticsearch', ...options)).out)
    .filter(([to]) => to === 'POST kbn:/api/alerting/rule')
    .map(([, body]) => KIBANA_RULE.parse(body));
}

for (const options of [...VARIANTS, ...HOSTILE]) {
  test(`Elasticsearch: rules as Kibana’s API takes them: ${JSON.stringify(options)}`, async () => {
    const rules = await kibana(...options);
    assert.equal(rules.length, 4);
    for (const { params, actions } of rules) {
      assert.equal(params.timeField, '@timestamp');
      if (params.searchType === 'esqlQuery') {
        assert.match(
          params.esqlQuery.esql,
          /^FROM logs-\*\n\| WHERE @timestamp > NOW\(\) - 24 hours\n {4}AND \(log\.syslog\.procid LIKE "/,
        );
      } else {
        const [source] = ES_QUERY.parse(JSON.parse(params.esQuery)).query.bool.filter;
        assert.match(
          JSON.stringify(source),
          /^\{"term":\{"log\.syslog\.structured_data\.tags@47450\.source_type":/,
        );
        assert.equal(params.termField === undefined, params.groupBy === 'all');
      }
      for (const action of actions) JSON.parse(action.params.body.replace(/\{\{.*?\}\}/g, ''));
    }
  });
}

test('Elasticsearch: the connector that the rules name; fields of other names', async () => {
  const { out } = await printed('elasticsearch', '-w', 'http://hooks.example.org/x');
  const [connector, ...rules] = requestsOf(out);
  const [to, body] = connector!;
  const [, id] = /^POST kbn:\/api\/actions\/connector\/(.*)$/.exec(to)!;
  assert.equal(KIBANA_CONNECTOR.parse(body).config.url, 'http://hooks.example.org/x');
  for (const [, rule] of rules) assert.equal(KIBANA_RULE.parse(rule).actions[0]!.id, id);

  const options = ['index', 'time', 'source_type', 'rule', 'message', 'app', 'host'];
  const fields = options.flatMap((name) => ['--field', `${name}=my.${name}`]);
  const other = await printed('elasticsearch', ...fields);
  assert.doesNotMatch(
    other.out,
    /varvel_rule|source_type":|@timestamp|"message"|\.appname|\.hostname/,
  );
  for (const name of options) assert.ok(other.out.includes(`my.${name}`), name);
});

test('Elasticsearch: ES|QL’s strings and patterns hold what was given', async () => {
  const { params } = (await kibana('--space', 'a*"b\\?', '--source-type', 'x*y'))[3]!;
  assert.ok(params.searchType === 'esqlQuery');
  const { esql } = params.esqlQuery;
  const strings = [...esql.matchAll(/"(?:[^"\\]|\\.)*"/g)].map(([it]) => JSON.parse(it) as string);
  assert.ok(strings.includes('[X\\*Y/*'), esql);
  assert.ok(strings.includes('[X*Y]'), esql);
  // The pattern's escapes are off: what is left is JSON, as the line has it.
  const pattern = strings.find((it) => it.includes('"space"'))!;
  const text = pattern.slice(1, -1).replace(/\\([\\*?])/g, '$1');
  assert.deepEqual(JSON.parse(`{${text}}`), { space: 'a*"b\\?' });
});
