import assert from 'node:assert/strict';
import { test } from 'node:test';

import { formatListenAddress, parseListenAddress } from '../../../src/config/listen-address.ts';
import { VALUE_PATHS, valueAt, variableOf } from '../../../src/config/schema.ts';
import { formatDurationMs, parseBytes, parseDurationMs } from '../../../src/config/units.ts';
import { nearestWord } from '../../../src/shared/nearest.ts';
import { load } from './load-fixture.ts';

test('durations', () => {
  assert.equal(parseDurationMs('500ms'), 500);
  assert.equal(parseDurationMs(' 1.5s '), 1500);
  assert.equal(parseDurationMs('2 m'), 120_000);
  for (const text of ['', '5', 's', '-1s', '1d', '1s2s', '1e3s', '0x1s'])
    assert.equal(parseDurationMs(text), undefined, text);
});

test('a duration reads back as it was written', () => {
  for (const text of ['1ms', '1500ms', '20s', '90s', '2m', '1h'])
    assert.equal(formatDurationMs(parseDurationMs(text)!), text);
});

test('bytes', () => {
  assert.equal(parseBytes('65536'), 65_536);
  assert.equal(parseBytes('8MiB'), 8 * 1024 ** 2);
  for (const text of ['', '8MB', '-1', '1.5KiB', '999999999999999GiB'])
    assert.equal(parseBytes(text), undefined, text);
});

test('listen addresses: a socket, loopback, nothing else', () => {
  for (const text of ['off', 'unix:/run/x.sock', '127.0.0.1:0', '127.9.9.9:80', '[::1]:9464']) {
    const address = parseListenAddress(text);
    assert.equal(typeof address, 'object', text);
    if (typeof address === 'object') assert.equal(formatListenAddress(address), text);
  }
  assert.deepEqual(parseListenAddress('localhost:1'), { kind: 'tcp', host: '127.0.0.1', port: 1 });
  for (const text of [
    '',
    '9464',
    ':9464',
    'unix:relative',
    `unix:/${'x'.repeat(107)}`,
    '127.0.0.1:65536',
    '0.0.0.0:80',
    '[::]:80',
    '[::ffff:127.0.0.1]:80',
    '127.0.0.1.evil.example:80',
    '10.0.0.1:80',
  ])
    assert.equal(typeof parseListenAddress(text), 'string', text);
});

test('every value has a variable of its own', () => {
  const variables = VALUE_PATHS.map(variableOf);
  assert.equal(new Set(variables).size, variables.length);
  assert.ok(variables.includes('VARVEL_STREAMS_FILE_PATH'));
  for (const path of VALUE_PATHS) assert.ok(valueAt(path)?.expected, path.join('.'));
});

test('the nearest word', () => {
  const words = ['agent', 'status', 'check', 'demo', 'doctor', 'fields'];
  assert.equal(nearestWord('agnet', words), 'agent');
  assert.equal(nearestWord('Stauts', words), 'status');
  assert.equal(nearestWord('chekc', words), 'check');
  assert.equal(nearestWord('zzz', words), undefined);
  assert.equal(nearestWord('x'.repeat(100_000), words), undefined);
});

test('what is denied without an agent ends with it, after a time, or never by itself', () => {
  const read = (value: string): unknown =>
    load(`probe: {deny_without_agent: ${value}}\n`).config.probe.denyWithoutAgentMs;
  assert.deepEqual(['0s', '10m', 'keep'].map(read), [0, 600_000, 'keep']);
});
