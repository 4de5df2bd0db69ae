// Splunk, Datadog and Papertrail: no schema of theirs can be had offline, so that the documented shape is compared.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { z } from 'zod';

import { runCommand } from '../../support/run-command.ts';
import { HOSTILE, printed, VARIANTS } from './printed.ts';
import { DATADOG_MONITORS } from './shapes.ts';

/** A .conf file of Splunk's: stanzas with their settings. */
function stanzasOf(text: string): Map<string, Map<string, string>> {
  const stanzas = new Map<string, Map<string, string>>();
  let settings: Map<string, string> | undefined;
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    assert.ok(!line.endsWith('\\'), 'a backslash at the end would continue the line');
    const [, name] = /^\[([^\]]+)\]$/.exec(line) ?? [];
    if (name !== undefined) stanzas.set(name, (settings = new Map<string, string>()));
    else {
      const [, key, value] = /^([A-Za-z_.]+) = (.+)$/.exec(line)!;
      assert.ok(!settings!.has(key!), key);
      settings!.set(key!, value!);
    }
  }
  return stanzas;
}

for (const options of [...VARIANTS, ...HOSTILE]) {
  test(`Splunk: four searches, each throttled by app and rule: ${JSON.stringify(options)}`, async () => {
    const stanzas = stanzasOf((await printed('splunk', ...options)).out);
    assert.deepEqual(
      [...stanzas.keys()].map((name) => name.split(' ')[1]),
      ['detection', 'loss', 'tail', 'silence'],
    );
    for (const [name, settings] of stanzas) {
      const search = settings.get('search')!;
      assert.match(search, /^search index=\* source_type=(?:VARVEL|\*) \| where 'source_type' = /);
      // What is in quotes is only what cannot be anything else.
      for (const [, text] of search.matchAll(/"([^"]*)"/g))
        assert.match(text!, /^[A-Za-z0-9 _.:/%-]*$/);
      assert.doesNotMatch(search, /[`$\\]/);
      for (const [key, value] of [
        ['enableSched', '1'],
        ['counttype', 'number of events'],
        ['relation', 'greater than'],
        ['quantity', '0'],
        ['alert.suppress', '1'],
        ['alert.digest_mode', '0'],
      ] as const)
        assert.equal(settings.get(key), value);
      for (const field of settings.get('alert.suppress.fields')!.split(','))
        assert.match(search, new RegExp(`(?: by .*\\b${field}\\b|eval ${field}=)`), name);
      assert.match(settings.get('cron_schedule')!, /^(?:\*|\*\/5) \* \* \* \*$/);
    }
  });
}

test('Splunk: values come back from the function that decodes them', async () => {
  const app = 'x"y\\`z$t$*\n\u2028é%41';
  const stanzas = stanzasOf((await printed('splunk', '--app', app)).out);
  for (const settings of stanzas.values()) {
    const [, encoded] = /'cf_app_name' = urldecode\("([^"]*)"\)/.exec(settings.get('search')!)!;
    assert.equal(decodeURIComponent(encoded!), app);
  }
  const hook = stanzasOf((await printed('splunk', '-w', 'https://h.example/?a=$b$')).out);
  assert.equal(
    hook.get('varvel detection')!.get('action.webhook.param.url'),
    'https://h.example/?a=%24b%24',
  );
});

type Monitor = z.infer<typeof DATADOG_MONITORS>[number];

async function monitors(...options: readonly string[]): Promise<Monitor[]> {
  const { out, err } = await printed('datadog', ...options);
  assert.match(err, /^Where: each element is the body of POST \/api\/v1\/monitor/);
  return DATADOG_MONITORS.parse(JSON.parse(out));
}

/** The search within a monitor's query, and the condition. */
function searchOf({ query }: Monitor): { search: string; rest: string } {
  const [, text, rest] = /^logs\(("(?:[^"\\]|\\.)*")\)(.*)$/.exec(query)!;
  return { search: JSON.parse(text!) as string, rest: rest! };
}

for (const options of [...VARIANTS, ...HOSTILE]) {
  test(`Datadog: log monitors as its API takes them: ${JSON.stringify(options)}`, async () => {
    const all = await monitors(...options);
    assert.equal(all.length, 3);
    for (const monitor of all) {
      const { name, message, options: settings } = monitor;
      assert.doesNotMatch(name, /[{}@]/);
      const { search, rest } = searchOf(monitor);
      assert.match(search, /^source_type:"/);
      const [, by, condition, threshold] =
        /^\.index\("\*"\)\.rollup\("count"\)(\.by\("[^"]+"\))?\.last\("15m"\) ([<>]) ([01])$/.exec(
          rest,
        )!;
      assert.equal(settings.thresholds.critical, Number(threshold));
      assert.equal(condition, name.startsWith('varvel silence') ? '<' : '>');
      for (const [, of] of message.matchAll(/\{\{\[([^\]]+)\]\.name\}\}/g))
        assert.ok(by?.includes(of!), of);
    }
  });
}

test('Datadog: quotes and backslashes are escaped at both levels', async () => {
  const [detection] = await monitors('--app', 'a"b\\', '--rule', 'x OR y*');
  const { search } = searchOf(detection!);
  assert.ok(search.includes('@app.name:"a\\"b\\\\"'), search);
  assert.ok(search.includes('@rule:"x OR y*"'), search);
});

test('Papertrail: three entries; what its searches cannot say is refused', async () => {
  const { out } = await printed('papertrail', '--app', 'shop "x"', '-w', 'https://h.example/x');
  const searches = [...out.matchAll(/^ {3}Search: (.*)$/gm)].map(([, search]) => search!);
  assert.equal(searches.length, 3);
  for (const search of searches) {
    assert.ok(search.startsWith(`program:VARVEL '"name":"shop \\"x\\""' `), search);
  }
  assert.ok(searches[0]!.includes(`'"priority":"Critical"' OR`));
  assert.ok(searches[2]!.endsWith(`'"rule":"Varvel: coverage"'`));
  assert.match(out, /inactivity/);
  const { code, err } = await runCommand('alerts', 'papertrail', '--rule', "it's");
  assert.equal(code, 2);
  assert.match(err, /no way to write a '/);
});
