import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parser } from '@grafana/lezer-logql';
import fc from 'fast-check';
import { parse } from 'yaml';

import { LOG_READERS } from '../../src/alerts/alert-request.ts';
import type { AlertRequest } from '../../src/alerts/alert-request.ts';
import { PLATFORMS } from '../../src/alerts/platforms.ts';
import { asTag, goString, jsonDocument } from '../../src/alerts/quoting.ts';
import { UserError } from '../../src/shared/user-error.ts';
import { runs } from '../support/runs.ts';

/** Any text, with more than its share of what languages read something in. */
const text = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
  fc
    .array(
      fc.constantFrom(
        '"',
        "'",
        '\\',
        '\n',
        '\r',
        '\0',
        '\u2028',
        '\u202e',
        '\ud800',
        '`',
        '$',
        '$(x)',
        '{{',
        '}}',
        '*',
        '|',
        '%',
        '#',
        '[',
        ']',
        '(',
        ')',
        ';',
        '&&',
        '//',
        '--',
        'VARVEL_END',
        "'''",
        ' ',
        'a',
        'é',
      ),
      { minLength: 1, maxLength: 12 },
    )
    .map((parts) => parts.join('')),
);

const request: fc.Arbitrary<AlertRequest> = fc.record({
  minimum: fc.constantFrom('Critical', 'Warning', 'Notice', 'Debug'),
  rules: fc.array(text, { maxLength: 3 }),
  app: fc.option(fc.record({ by: fc.constantFrom('guid', 'name'), value: text }), {
    nil: undefined,
  }),
  space: fc.option(text, { nil: undefined }),
  webhook: fc.option(
    text.map((it) => {
      const url = new URL('https://hooks.example.org');
      url.search = it;
      url.hash = it;
      return url.href;
    }),
    { nil: undefined },
  ),
  from: fc.constantFrom(...LOG_READERS),
  sourceType: text,
  fields: fc.constant({}),
  version: fc.constant('1.2.3'),
});

/** What is printed; undefined where the platform says that it cannot. */
function printed(platform: string, given: AlertRequest): string | undefined {
  const found = PLATFORMS.find(({ name }) => name === platform)!;
  try {
    return found.render(given).text;
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return undefined;
  }
}

for (const { name } of PLATFORMS) {
  test(`${name}: no value can begin a line, or hide something in one`, () => {
    const plain: AlertRequest = {
      minimum: 'Warning',
      rules: ['r'],
      app: { by: 'name', value: 'a' },
      space: 's',
      webhook: 'https://h.example/',
      from: 'cf',
      sourceType: 'V',
      fields: {},
      version: '1.2.3',
    };
    const lines = printed(name, plain)!.split('\n').length;
    fc.assert(
      fc.property(text, text, text, text, (rule, app, space, sourceType) => {
        const given = {
          ...plain,
          rules: [rule],
          app: { by: 'name', value: app },
          space,
          from: 'cf',
          sourceType,
        };
        const out = printed(name, given as AlertRequest);
        if (out === undefined) return;
        assert.equal(out.split('\n').length, lines);
        assert.doesNotMatch(out, /[^\n\P{Cc}]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
      }),
    );
  });
}

test('a string of PromQL and LogQL is the value again', () => {
  fc.assert(
    fc.property(text, (value) => {
      const inner = goString(value).slice(1, -1);
      const read = inner.replace(
        /\\(?:U([0-9a-f]{8})|u([0-9a-f]{4})|(.))/g,
        (_, long?: string, short?: string, one?: string) =>
          one === undefined
            ? String.fromCodePoint(parseInt(long ?? short ?? '', 16))
            : ({ n: '\n', r: '\r', t: '\t' }[one] ?? one),
      );
      assert.equal(read, value.replace(/\p{Cs}/gu, '\ufffd'));
      assert.doesNotMatch(inner.replace(/\\./g, ''), /["\\]/);
    }),
  );
});

test('JSON is the value again', () => {
  fc.assert(
    fc.property(text, (value) => {
      assert.deepEqual(JSON.parse(jsonDocument({ [value]: [value] })), { [value]: [value] });
    }),
  );
});

test('loki and prometheus: YAML with expressions that parse, whatever the values', () => {
  fc.assert(
    fc.property(request, (given) => {
      for (const platform of ['loki', 'prometheus']) {
        const { groups } = parse(printed(platform, given)!) as {
          groups: { rules: { expr: string }[] }[];
        };
        assert.ok(groups[0]!.rules.length > 0);
        if (platform === 'prometheus') continue;
        for (const { expr } of groups[0]!.rules)
          parser.parse(expr).iterate({ enter: (node) => assert.ok(!node.type.isError, expr) });
      }
    }),
    { numRuns: runs(50) },
  );
});

test('rsyslog: the program’s settings are the tags that are looked for', () => {
  fc.assert(
    fc.property(request, (given) => {
      const out = printed('rsyslog', given)!;
      const [, settings] = /^SETTINGS = json\.loads\(r'''(.*)'''\)$/m.exec(out)!;
      assert.doesNotMatch(settings!, /'/);
      const read = JSON.parse(settings!) as Record<string, unknown>;
      assert.deepEqual(read['rules'], given.rules.map(asTag));
      const { app, space } = given;
      assert.equal(read['app_name'], app?.by === 'name' ? asTag(app.value) : null);
      assert.equal(read['app_id'], app?.by === 'guid' ? asTag(app.value) : null);
      assert.equal(read['space'], space === undefined ? null : asTag(space));
      // Four here-documents would be one too many, or a value ended one.
      assert.equal(out.split('\n').filter((line) => line === 'VARVEL_END').length, 3);
      const [url] = /(?<=--url ).*(?= >\/dev\/null$)/m.exec(out) ?? [];
      if (url !== undefined) assert.match(url, /^'[^'\0-\x20\x7f]*'$/);
      assert.equal(url === undefined, given.webhook === undefined);
    }),
  );
});

test('documents of JSON parse, whatever the values', () => {
  fc.assert(
    fc.property(request, (given) => {
      for (const platform of ['azure', 'cloudwatch', 'datadog']) {
        const out = printed(platform, given);
        if (out !== undefined) JSON.parse(out);
      }
    }),
    { numRuns: runs(50) },
  );
});
