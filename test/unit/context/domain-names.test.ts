import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainNames } from '../../../src/context/domain-names.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';

const ANSWERS: Record<string, readonly string[]> = {
  'api.internal': ['10.0.0.1', 'fd00::1'],
  'alias.internal': ['10.0.0.1'],
};

test('addresses have the names that lead to them', async () => {
  const names = new DomainNames(SILENT_LOGGER, (name) =>
    name in ANSWERS ? Promise.resolve(ANSWERS[name] ?? []) : Promise.reject(new Error('no')),
  );
  await names.watch(['api.internal', 'nowhere.internal', 'alias.internal', 'api.internal']);
  assert.deepEqual(names.namesOf('10.0.0.1'), ['api.internal', 'alias.internal']);
  assert.deepEqual(names.namesOf('fd00::1'), ['api.internal']);
  assert.deepEqual(names.namesOf('10.0.0.2'), []);
  await names.watch(['alias.internal']);
  assert.deepEqual(names.namesOf('10.0.0.1'), ['alias.internal']);
  assert.deepEqual(names.namesOf('fd00::1'), []);
  names.stop();
});

test('what cannot be resolved any more keeps its last addresses', async () => {
  let down = false;
  const names = new DomainNames(SILENT_LOGGER, () =>
    down ? Promise.reject(new Error('timed out')) : Promise.resolve(['10.0.0.1']),
  );
  await names.watch(['a']);
  down = true;
  await names.watch(['a', 'b']);
  assert.deepEqual(names.namesOf('10.0.0.1'), ['a']);
  names.stop();
});

test('a round that others have overtaken changes nothing', async () => {
  let answer: (addresses: string[]) => void = () => undefined;
  const names = new DomainNames(SILENT_LOGGER, (name) =>
    name === 'slow' ? new Promise((resolve) => (answer = resolve)) : Promise.resolve(['10.0.0.2']),
  );
  const first = names.watch(['slow']);
  await names.watch(['quick']);
  answer(['10.0.0.1']);
  await first;
  assert.deepEqual([names.namesOf('10.0.0.1'), names.namesOf('10.0.0.2')], [[], ['quick']]);
  names.stop();
});

test('a name server of its own: the host’s file counts', async () => {
  const names = new DomainNames(SILENT_LOGGER);
  await names.watch(['localhost']);
  assert.deepEqual(names.namesOf('127.0.0.1'), ['localhost']);
  names.stop();
});

test('a name is not known until it was looked up, whatever the answer, or has had ten seconds', async () => {
  let nowMs = 0;
  let answer: () => void = () => undefined;
  const names = new DomainNames(
    SILENT_LOGGER,
    (name) =>
      name === 'never'
        ? new Promise(() => undefined)
        : new Promise((_, reject) => (answer = () => reject(new Error('no such name')))),
    () => nowMs,
  );
  assert.ok(names.areKnown(['nobody asked for it']));
  const looked = names.watch(['nowhere']);
  assert.equal(names.areKnown(['nowhere', 'other']), false);
  answer();
  await looked;
  assert.ok(names.areKnown(['nowhere']));
  void names.watch(['never', 'nowhere']);
  nowMs = 9999;
  assert.equal(names.areKnown(['nowhere', 'never']), false);
  nowMs = 10_000;
  assert.ok(names.areKnown(['never']), 'a server that does not answer silences nobody for long');
  names.stop();
});

test('new names do not wait for those that are known, and the same ones begin no round', async () => {
  const asked: string[] = [];
  let nowMs = 0;
  const names = new DomainNames(
    SILENT_LOGGER,
    (name) => {
      asked.push(name);
      nowMs += 1;
      return Promise.resolve([]);
    },
    () => nowMs,
  );
  await names.watch(['a', 'b']);
  await names.watch(['b', 'a']);
  assert.deepEqual(asked, ['a', 'b']);
  await names.watch(['a', 'b', 'c']);
  assert.deepEqual(asked.slice(2), ['c', 'a', 'b']);
  names.stop();
});
