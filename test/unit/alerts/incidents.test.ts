// One incident is one page: what each platform's detections are grouped by.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { formatLine } from '../../../src/streams/format.ts';
import { deliveryOf, containerOf } from '../streams/delivery-fixture.ts';
import { printed, requestsOf } from './printed.ts';
import { AZURE_TEMPLATE, DATADOG_MONITORS } from './shapes.ts';

const hook = ['--webhook', 'https://hooks.example.org/x'] as const;

async function lokiText(): Promise<string> {
  return (await printed('loki', ...hook)).out;
}

test('Loki: an alert for each rule of an incident, which Alertmanager makes one page', async () => {
  const text = await lokiText();
  const { groups } = parse(text) as { groups: [{ rules: { alert: string; expr: string }[] }] };
  const of = (name: string): string => groups[0].rules.find(({ alert }) => alert === name)!.expr;
  assert.match(
    of('VarvelDetection'),
    /^sum by \(host, app, varvel_incident, varvel_rule, varvel_priority\) \(/,
  );
  assert.match(of('VarvelLoss'), /^sum by \(host, app, varvel_rule\) \(/);
  const comment = text
    .slice(text.indexOf('For alertmanager.yml'))
    .split('\n')
    .slice(1)
    .map((line) => line.replace(/^# ?/, ''));
  const { route } = parse(comment.join('\n')) as { route: { routes: Record<string, unknown>[] } };
  assert.deepEqual(
    route.routes.map(({ matchers, group_by: by, group_interval: interval }) => [
      matchers,
      by,
      interval,
    ]),
    [
      [
        ['alertname="VarvelDetection"', 'varvel_incident!=""'],
        ['alertname', 'host', 'app', 'varvel_incident'],
        '24h',
      ],
      [['alertname=~"Varvel.*"'], ['alertname', 'host', 'app', 'varvel_rule'], '15m'],
    ],
  );
});

test('Loki: the incident is found where the agent writes it, whatever the line holds', async () => {
  const [, found] = /\| regexp `([^`]+)`/.exec(await lokiText())!;
  const pattern = new RegExp(found!.replace('(?P<', '(?<'));
  const claims = [
    'x',
    ' incident=zzzzzzzz ',
    '","incident":"zzzzzzzz","x":"',
    '] incident=zzzzzzzz',
    '{"incident":"zzzzzzzz"}',
    'a" incident=zzzzzzzz "b',
  ];
  for (const claim of claims) {
    const container = containerOf({}, { name: claim, instance: claim });
    const outputFields = { 'proc.name': claim, [claim]: claim };
    const hostile = { container, outputFields, output: claim, rule: claim };
    for (const format of ['json', 'text'] as const) {
      const line = formatLine(deliveryOf({ ...hostile, incident: 'k3x9abcd' }), { format });
      assert.equal(pattern.exec(line)?.groups?.['varvel_incident'], 'k3x9abcd', line);
      const none = formatLine(deliveryOf(hostile), { format });
      assert.equal(pattern.exec(none), null, none);
    }
  }
});

test('Azure: a row an incident, with the rule of its first line', async () => {
  const { resources } = AZURE_TEMPLATE.parse(JSON.parse((await printed('azure')).out));
  const [detection, loss] = resources.flatMap((it) =>
    'criteria' in it.properties ? [it.properties] : [],
  );
  const [{ dimensions, query }] = detection!.criteria.allOf;
  assert.deepEqual(
    dimensions.map(({ name }) => name),
    ['App', 'Incident', 'Rule'],
  );
  assert.match(query, /arg_min\(TimeGenerated, Rule, Priority\) by App, AppName, Incident$/);
  assert.equal(detection!.windowSize, 'PT30M', 'longer than an incident');
  assert.deepEqual(
    loss!.criteria.allOf[0].dimensions.map(({ name }) => name),
    ['App', 'Rule'],
  );
});

test('Splunk: the most severe line of an incident, once an hour', async () => {
  const { out } = await printed('splunk');
  const [, detection = '', loss = ''] = out.split(/^\[varvel (?:detection|loss)\]$/m);
  assert.match(detection, /first\(rule\) as rule .* by app_name app incident\n/);
  assert.match(detection, /case\(priority="Emergency", 0, .*\) \| sort 0 severity _time \| stats /);
  assert.match(detection, /^alert\.suppress\.fields = app,incident$/m);
  assert.match(loss.split('[')[0]!, /^alert\.suppress\.fields = app,rule$/m);
});

test('Datadog, OpenSearch and Elasticsearch: by app and incident', async () => {
  const [monitor] = DATADOG_MONITORS.parse(JSON.parse((await printed('datadog')).out));
  assert.match(monitor!.query, /\.by\("@app\.name,@incident"\)/);
  const [search] = requestsOf((await printed('opensearch')).out).map(([, body]) => body);
  assert.match(
    JSON.stringify(search),
    /"sources":\[\{"host":.*\},\{"app":.*\},\{"incident":\{"terms":\{"field":"tags@47450\.varvel_incident\.keyword"\}\}\}\]/,
  );
  const [rule] = requestsOf((await printed('elasticsearch')).out).map(([, body]) => body);
  assert.match(
    JSON.stringify(rule),
    /"termField":\["log\.syslog\.appname","log\.syslog\.structured_data\.tags@47450\.varvel_incident"\]/,
  );
});

test('where a platform cannot group by it, what is printed says so', async () => {
  assert.match((await printed('cloudwatch')).err, /cannot be by app or by incident/);
  assert.match((await printed('papertrail')).out, /groups neither by app nor by incident/);
});
