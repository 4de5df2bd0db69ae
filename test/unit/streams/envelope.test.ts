import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { OutgoingLine } from '../../../src/streams/receiver.ts';
import { envelopeOf } from '../../../src/streams/loggregator/envelope.ts';
import { MAX_FRAME_BYTES, renderRfc5424 } from '../../../src/streams/syslog/rfc5424.ts';
import { renderAsPlatform } from '../../support/platform-syslog.ts';
import { parseRfc5424 } from '../../support/rfc5424-parser.ts';
import { appOf, lineOf } from './outgoing-line-fixture.ts';

const GUID = '4cd2b3c3-9f3c-4f8a-9a3e-1f0a4d3f6b70';

const envelope = (overrides: Partial<OutgoingLine>) =>
  envelopeOf(lineOf(overrides), 'VARVEL')?.envelope ?? assert.fail('no envelope');

const tagged = (tags: Record<string, string>) => envelope({ app: appOf({ tags }) });

/** What the platform's agents put in where it is absent. */
const AGENT_TAGS = { deployment: 'cf', job: 'diego-cell', index: 'i'.repeat(36), ip: '10.0.0.1' };

test('a tag is valid text, wherever it had to be cut: the platform refuses all that comes with one that is not', () => {
  for (const length of [254, 255, 256, 511, 1023]) {
    const { tags } = tagged({ team: `${'x'.repeat(length)}🦅🦅`, half: 'a\ud800b' });
    for (const [name, value] of Object.entries(tags)) assert.ok(isWellFormed(value), name);
  }
  const { tags } = envelope({ rule: `${'r'.repeat(255)}🦅` });
  assert.ok(isWellFormed(tags['varvel_rule'] ?? ''));
});

test('hidden characters in tags are made visible: the platform passes them on', () => {
  const { tags } = envelope({
    rule: 'a\nb',
    app: appOf({ tags: { team: 'x\x1b[2J\0', quote: 'a"]\\ b' } }),
  });
  assert.equal(tags['varvel_rule'], 'a\\nb');
  assert.equal(tags['team'], 'x\\x1b[2J\\x00');
  assert.equal(tags['quote'], 'a"]\\ b');
});

test('a tag whose name syslog cannot have is left out and counted: the platform’s drain, or Log Cache, stands still before it', () => {
  const invalid = ['a b', 'a=b', 'a"b', 'a]', 'é', 'n'.repeat(33)];
  const valid = ['n'.repeat(32), 'a.b/c'];
  const tags = Object.fromEntries([...invalid, ...valid].map((name) => [name, 'given']));
  const made = envelopeOf(lineOf({ app: appOf({ tags }) }), 'VARVEL');
  const given = Object.entries(made?.envelope.tags ?? {}).filter(([, value]) => value === 'given');
  assert.deepEqual(given.map(([name]) => name).toSorted(), valid.toSorted());
  assert.equal(made?.droppedTags, invalid.length);
});

test('the line’s own text is one visible line, whatever the disk held', () => {
  assert.equal(String(envelope({ text: 'a\nb\0\x1b[31m' }).log.payload), 'a\\nb\\x00\\x1b[31m');
});

test('whose it is, is ASCII: the platform’s drain stands still before anything else', () => {
  for (const guid of ['', 'a b', 'é', 'a\n']) {
    assert.equal(envelopeOf(lineOf({ app: appOf({ guid }) }), 'VARVEL'), undefined, guid);
  }
  assert.equal(envelope({ app: appOf({ instance: '1 2\né' }) }).instanceId, '1-2-');
});

test('however much an app has, its line is no longer on the platform than Log Cache can take', () => {
  const tags = Object.fromEntries(
    Array.from({ length: 64 }, (_, at) => [`${'t'.repeat(30)}${at}`, ']'.repeat(5000)]),
  );
  const line = lineOf({
    app: appOf({ tags, name: 'n'.repeat(500), space: 's'.repeat(500), org: 'o'.repeat(500) }),
    text: '€'.repeat(10_000),
  });
  const { length } = renderAsPlatform(envelopeOf(line, 'VARVEL')!.envelope, AGENT_TAGS);
  assert.ok(length <= MAX_FRAME_BYTES, `${length}`);
  assert.ok(length > 12_000, 'what has room is there');
});

test('what the platform makes of an envelope is what the syslog stream sends', () => {
  const line = lineOf({
    priority: 'Critical',
    rule: 'a"]\\ b\n',
    app: appOf({
      name: 'The Shop!',
      org: 'Acme "Inc]\\',
      tags: { app_id: 'forged', process_id: 'p', source_type: 'APP/PROC/WEB', team: 'x\x1b' },
    }),
  });
  const theirs = parseRfc5424(renderAsPlatform(envelopeOf(line, 'VARVEL')!.envelope, AGENT_TAGS));
  const ours = parseRfc5424(Buffer.from(renderRfc5424(line, { sourceType: 'VARVEL' }).text));
  const tags = Object.fromEntries(ours.structuredData.get('tags@47450') ?? []);
  assert.deepEqual(Object.fromEntries(theirs.structuredData.get('tags@47450') ?? []), {
    ...tags,
    ...AGENT_TAGS,
  });
  assert.equal(theirs.message, `${ours.message ?? ''}\n`);
  for (const field of ['pri', 'version', 'hostname', 'appName', 'procId', 'msgId'] as const) {
    assert.equal(theirs[field], ours[field], field);
  }
  assert.equal(theirs.timestamp, ours.timestamp);
  assert.deepEqual([ours.appName, ours.procId], [GUID, '[VARVEL/0]']);
});

const isWellFormed = (text: string): boolean => !/\p{Cs}/u.test(text);
