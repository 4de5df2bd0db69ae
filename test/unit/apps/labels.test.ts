import assert from 'node:assert/strict';
import { test } from 'node:test';
import { appFromLabels, boundedLabels, invalidAppLabels } from '../../../src/apps/labels.ts';

test('labels name the app; the container’s name stands in', () => {
  assert.deepEqual(appFromLabels({}, 'web-1'), {
    name: 'web-1',
    guid: undefined,
    space: undefined,
    org: undefined,
    processType: undefined,
    instance: undefined,
  });
  const labels = {
    'varvel.app': 'shop',
    'varvel.app-guid': 'g',
    'varvel.space': 's',
    'varvel.org': 'o',
    'varvel.process-type': 'worker',
    'varvel.instance': '0',
    'com.docker.compose.service': 'not this',
  };
  assert.deepEqual(appFromLabels(labels, 'web-1'), {
    name: 'shop',
    guid: 'g',
    space: 's',
    org: 'o',
    processType: 'worker',
    instance: '0',
  });
});

test('a value that breaks the bounds counts as absent, and is named', () => {
  for (const value of [
    '',
    '  ',
    'a\nb',
    'a\u001b[31m',
    'a\u202eb',
    'a\u2028b',
    'a\u0000',
    '\ud800',
    'x'.repeat(257),
  ]) {
    const labels = { 'varvel.app': value };
    assert.equal(appFromLabels(labels, 'web-1').name, 'web-1', JSON.stringify(value));
    assert.deepEqual(invalidAppLabels(labels), ['varvel.app']);
  }
  const longest = 'é'.repeat(256);
  assert.equal(appFromLabels({ 'varvel.app': longest }, 'web-1').name, longest);
  assert.deepEqual(invalidAppLabels({ 'varvel.app': longest }), []);
});

test('hostile label objects', () => {
  const labels = boundedLabels(JSON.parse('{"__proto__":"p","constructor":"c","n":1,"o":{}}'));
  assert.deepEqual(Object.entries(labels), [
    ['__proto__', 'p'],
    ['constructor', 'c'],
  ]);
  assert.equal('toString' in labels, false);
  assert.ok(Object.isFrozen(labels));
  for (const raw of [undefined, null, 'x', 7, []]) {
    assert.deepEqual(Object.keys(boundedLabels(raw)), []);
  }
});

test('bounded, ours first', () => {
  const raw: Record<string, string> = {};
  for (let at = 0; at < 500; at++) raw[`label-${at}`] = 'x'.repeat(5000);
  raw['varvel.enable'] = 'true';
  raw['k'.repeat(257)] = 'left out';
  const labels = boundedLabels(raw);
  assert.equal(Object.keys(labels).length, 128);
  assert.equal(labels['varvel.enable'], 'true');
  assert.equal(labels['label-0']?.length, 4096);
});
