import assert from 'node:assert/strict';
import { test } from 'node:test';

import { PRIORITIES } from '../../../src/rules/detection.ts';
import { MAX_FRAME_BYTES, renderRfc5424 } from '../../../src/streams/syslog/rfc5424.ts';
import { parseRfc5424 } from '../../support/rfc5424-parser.ts';
import { appOf, lineOf } from './outgoing-line-fixture.ts';

const VARVEL = { sourceType: 'VARVEL' };

function parsed(overrides: Parameters<typeof lineOf>[0], options = VARVEL) {
  const rendered = renderRfc5424(lineOf(overrides), options);
  const message = parseRfc5424(Buffer.from(rendered.text));
  const params = message.structuredData.get('tags@47450') ?? assert.fail('no tags');
  return { ...rendered, message, params, tags: Object.fromEntries(params) };
}

test('an app of Cloud Foundry’s, byte for byte', () => {
  const tags = {
    app_id: '4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70',
    app_name: 'shop',
    process_id: 'd5b0',
    source_type: 'APP/PROC/WEB',
    team: 'payments',
  };
  assert.deepEqual(renderRfc5424(lineOf({ app: appOf({ tags }) }), VARVEL), {
    text:
      '<14>1 2026-01-31T08:15:04.123456+00:00 acme.prod.shop 4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70 [VARVEL/0] - ' +
      '[tags@47450 process_id="d5b0" team="payments" app_id="4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70" ' +
      'source_id="4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70" app_name="shop" ' +
      'organization_name="acme" space_name="prod" process_type="web" instance_id="0" source_type="VARVEL" ' +
      'varvel_priority="Warning" varvel_rule="Shell in an app container" varvel_incident="k3x9abcd" varvel_seq="7" varvel_id="01JGQ0000000000000000000AB"] ' +
      '{"rule":"Shell in an app container","output":"sh"}',
    droppedTags: 0,
    cut: false,
  });
});

test('a platform that knows less, and a line without an app', () => {
  const unknown = {
    guid: undefined,
    org: undefined,
    space: undefined,
    processType: undefined,
    instance: undefined,
  };
  const docker = parsed({ app: appOf(unknown) }).message;
  assert.deepEqual(
    [docker.hostname, docker.appName, docker.procId],
    ['cell-1', 'shop', '[VARVEL]'],
  );
  const none = parsed({ app: undefined, hostname: '' }).message;
  assert.deepEqual([none.hostname, none.appName, none.procId], [undefined, 'varvel', '[VARVEL]']);
  const spaceOnly = parsed({ app: appOf({ ...unknown, space: 'dev' }) }).message;
  assert.equal(spaceOnly.hostname, '.dev.shop');
  const fromTags = parsed({
    app: appOf({ ...unknown, tags: { organization_name: 'o', space_name: 's', app_id: 'g' } }),
  });
  assert.equal(fromTags.message.hostname, 'o.s.shop');
  assert.equal(fromTags.tags['app_id'], 'g');
});

test('names become what the platform makes of them', () => {
  const { message } = parsed(
    {
      app: appOf({
        name: 'The \t Shop!-',
        space: 'x'.repeat(70),
        org: 'Ünder_score ',
        guid: 'é'.repeat(3) + 'g'.repeat(60),
        instance: '1 2\n3',
      }),
    },
    { sourceType: 'my watch dog' },
  );
  assert.equal(message.hostname, `nderscore.${'x'.repeat(63)}.The-Shop`);
  assert.equal(message.appName, 'g'.repeat(48));
  assert.equal(message.procId, '[MY-WATCH-DOG/1-2-3]');
});

test('Error and above are the platform’s ERR', () => {
  const pris = PRIORITIES.map((priority) => parsed({ priority }).message.pri);
  assert.deepEqual(pris, [11, 11, 11, 11, 14, 14, 14, 14]);
});

test('microseconds, also none', () => {
  assert.equal(parsed({ timeNs: 0n }).message.timestamp, '1970-01-01T00:00:00.000000+00:00');
  assert.equal(parsed({ timeNs: 999n }).message.timestamp, '1970-01-01T00:00:00.000000+00:00');
});

test('a tag named like one of ours stands in for none, and ours are last', () => {
  const tags = {
    app_name: 'bank',
    source_id: 'another',
    varvel_id: 'forged',
    varvel_priority: 'Debug',
    varvel_rule: 'nothing to see',
    varvel_seq: '0',
    source_type: 'APP',
    varvel_truncated: 'true',
    varvel_new: 'x',
    instance_id: '9',
  };
  const { params, droppedTags } = parsed({ app: appOf({ tags: { ...tags, zone: 'z1' } }) });
  assert.deepEqual(params.map(([name]) => name).slice(0, 2), ['zone', 'app_id']);
  for (const [name, forged] of Object.entries(tags)) {
    const values = params.filter(([it]) => it === name).map(([, value]) => value);
    assert.ok(values.length <= 1 && values[0] !== forged, `${name}: ${values.join()}`);
  }
  assert.equal(droppedTags, 0);
});

test('names that are no SD-NAME are dropped and counted', () => {
  const invalid = ['', 'a b', 'a=b', 'a]b', 'a"b', 'é', 'a\n', '\x7f', 'n'.repeat(33)];
  const valid = ['n'.repeat(32), 'a.b/c', "!#'~[\\"];
  const tags = Object.fromEntries([...invalid, ...valid].map((name) => [name, 'v']));
  const result = parsed({ app: appOf({ tags }) });
  assert.equal(result.droppedTags, invalid.length);
  for (const name of valid) assert.equal(result.tags[name], 'v', name);
});

test('hostile values: quoted, visible, given back', () => {
  const { text, tags } = parsed({
    rule: 'a"]\\ [b',
    app: appOf({
      tags: {
        quote: '"] [tags@47450 priority="Debug"]',
        lines: 'a\nb\r\0\x1b[2J',
        bidi: '\u202eabc',
      },
    }),
    text: 'x\ny',
  });
  assert.equal(tags['varvel_rule'], 'a"]\\ [b');
  assert.equal(tags['quote'], '"] [tags@47450 priority="Debug"]');
  assert.equal(tags['lines'], 'a\\nb\\r\\x00\\x1b[2J');
  assert.equal(tags['bidi'], '\\u202eabc');
  assert.equal(tags['varvel_priority'], 'Warning');
  assert.ok(text.endsWith('] x\\ny'));
});

test('whatever is too long ends with a mark, and the frame keeps its bound', () => {
  const long = (letter: string) => letter.repeat(65_536);
  const app = appOf({
    name: long('n'),
    space: long('s'),
    org: long('o'),
    guid: long('g'),
    processType: long('"'),
    instance: long('\\'),
    tags: Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`t${at}`, long(']')])),
  });
  const result = parsed({
    app,
    rule: long('r'),
    id: long('i'),
    hostname: long('h'),
    text: long('€'),
  });
  const bytes = Buffer.byteLength(result.text);
  assert.ok(`${bytes} `.length + bytes <= MAX_FRAME_BYTES, `${bytes}`);
  assert.ok(bytes > 12_000, 'what has room is there');
  assert.equal(result.tags['varvel_truncated'], 'true');
  assert.ok(result.cut && result.message.message!.endsWith('…'));
  assert.ok(result.droppedTags > 90);
  assert.equal(result.tags['varvel_rule'], `${'r'.repeat(253)}…`);
  assert.equal(result.tags['varvel_priority'], 'Warning');
});

test('what is left of a frame is filled with the app’s tags, and no byte more', () => {
  for (let length = 100; length < 200; length++) {
    const tags = Object.fromEntries(
      Array.from({ length: 64 }, (_, index) => [`t${index}`, '€'.repeat(length)]),
    );
    const { text, droppedTags } = renderRfc5424(
      lineOf({ app: appOf({ tags }), text: 'x'.repeat(8192) }),
      VARVEL,
    );
    const frame = Buffer.byteLength(text) + '16384 '.length;
    const room = MAX_FRAME_BYTES - frame;
    assert.ok(room >= 0 && room < 3 * length + 40, `${length}: ${room} bytes are left`);
    assert.ok(droppedTags > 0);
  }
});
