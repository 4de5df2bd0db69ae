import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ArraySplitter } from '../../../../src/apps/runtimes/array-splitter.ts';
import {
  containerFromCreate,
  mergeContainer,
  parseCutEvent,
  parseDockerEvent,
  renamedContainer,
} from '../../../../src/apps/runtimes/docker-container.ts';
import { LineSplitter } from '../../../../src/apps/runtimes/line-splitter.ts';

const ID = '5e4d5f079db72b334d60f7c86eb3510c7be08cfc8ecdf7c3fb88887a6b1acf99';

function line(action: string, attributes: unknown, more = ''): string {
  return `{"Type":"container","Action":"${action}","Actor":{"ID":"${ID}","Attributes":${JSON.stringify(attributes)}},"time":1795569538,"timeNano":1795569538005740866${more}}`;
}

test('a create event: every digit of its time, name, image and labels', () => {
  const event = parseDockerEvent(
    line('create', { name: 'real', image: 'reg:5000/app:1', 'varvel.app': 'shop', x: 'y' }),
  );
  assert.ok(event);
  assert.equal(event.since, '1795569538.005740866');
  assert.equal(event.timeMs, 1795569538005);
  const container = containerFromCreate(event);
  assert.equal(container.fullId, ID);
  assert.equal(container.id, '5e4d5f079db7');
  assert.equal(container.name, 'real');
  assert.equal(container.app?.name, 'shop');
  assert.deepEqual(
    [container.image, container.imageRepository, container.imageTag],
    ['reg:5000/app:1', 'reg:5000/app', '1'],
  );
  assert.deepEqual(Object.entries(container.labels), [
    ['varvel.app', 'shop'],
    ['x', 'y'],
  ]);
});

test('what is no container’s event, or no event at all', () => {
  for (const text of [
    '',
    'null',
    '[]',
    '7',
    '{',
    '{"Type":"image","Action":"create","Actor":{"ID":"x"}}',
    '{"Type":"container","Action":"create"}',
    '{"Type":"container","Action":"create","Actor":{"ID":"../../etc"}}',
    '{"Type":"container","Action":7,"Actor":{"ID":"x"}}',
  ]) {
    assert.equal(parseDockerEvent(text), undefined, text);
  }
  assert.deepEqual(parseDockerEvent(line('create', null))?.attributes, {});
});

test('hostile attributes become a container that prints', () => {
  const event = parseDockerEvent(
    line('create', { name: 'a\nb', image: '\u001b[2J', 'varvel.app': 7 }),
  );
  const container = containerFromCreate(event!);
  assert.equal(container.name, container.id);
  assert.equal(container.app?.name, container.id);
  assert.equal(container.image, undefined);
});

test('a newer word completes the older and does not undo it', () => {
  const older = {
    ...containerFromCreate(parseDockerEvent(line('create', { name: 'a', image: 'i' }))!),
    initPid: 7,
    tty: true,
    imageId: 'sha256:x',
  };
  const newer = containerFromCreate(parseDockerEvent(line('create', { name: 'b' }))!);
  const merged = mergeContainer(older, newer);
  assert.deepEqual(
    [merged.name, merged.image, merged.initPid, merged.tty, merged.imageId],
    ['b', 'i', 7, true, 'sha256:x'],
  );
});

test('a rename changes the app’s name only where no label gives it', () => {
  const plain = containerFromCreate(parseDockerEvent(line('create', { name: 'a' }))!);
  assert.deepEqual(renamedContainer(plain, '/b').app?.name, 'b');
  const labelled = containerFromCreate(
    parseDockerEvent(line('create', { name: 'a', 'varvel.app': 'shop' }))!,
  );
  const renamed = renamedContainer(labelled, 'b');
  assert.deepEqual([renamed.name, renamed.app?.name], ['b', 'shop']);
});

const cutAt = (text: string, step: number): Buffer[] => {
  const bytes = Buffer.from(text);
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += step) chunks.push(bytes.subarray(at, at + step));
  return chunks;
};

test('lines across chunks, also inside a character', () => {
  const splitter = new LineSplitter(16, 4);
  const lines = cutAt('aé\n\nb\nrest', 1).flatMap((chunk) => splitter.push(chunk));
  assert.deepEqual(
    lines.map(({ text }) => text),
    ['aé', '', 'b'],
  );
  assert.deepEqual(splitter.push(Buffer.from('!\n')), [{ text: 'rest!', cut: false }]);
});

test('of a line over the bound the beginning is kept; the next line is whole', () => {
  const text = `${'x'.repeat(16)}\n${'y'.repeat(17)}\n${'z'.repeat(100_000)}\nnext\n`;
  for (const step of [1, 3, 16, 17, 1000, 200_000]) {
    const splitter = new LineSplitter(16, 4);
    assert.deepEqual(
      cutAt(text, step).flatMap((chunk) => splitter.push(chunk)),
      [
        { text: 'x'.repeat(16), cut: false },
        { text: 'yyyy', cut: true },
        { text: 'zzzz', cut: true },
        { text: 'next', cut: false },
      ],
      `chunks of ${step}`,
    );
  }
});

test('a list’s objects one by one, whatever their strings hold; of one over the bound the beginning', () => {
  const objects = [
    { Id: 'a', Labels: { x: '}{"[\\', é: '\\"}' }, Ports: [{ n: 1 }] },
    { Id: 'b', Labels: { x: 'x'.repeat(500) } },
    {},
    { Id: 'c' },
  ];
  const text = `${JSON.stringify(objects)}\n`;
  for (const step of [1, 2, 7, 64, 100_000]) {
    const splitter = new ArraySplitter(200, 12);
    const found = cutAt(text, step).flatMap((chunk) => splitter.push(chunk));
    assert.ok(splitter.isComplete);
    assert.deepEqual(
      found.map(({ text: one, cut }) => (cut ? one : (JSON.parse(one) as unknown))),
      [objects[0], '{"Id":"b","L', {}, { Id: 'c' }],
      `chunks of ${step}`,
    );
  }
  const splitter = new ArraySplitter(200, 12);
  splitter.push(Buffer.from('[{"Id":"a"'));
  assert.ok(!splitter.isComplete, 'one that was cut off on its way');
});

test('the beginning of an event names its container, whatever the app’s image and labels say', () => {
  const other = 'f'.repeat(64);
  const lie = `"Type":"container","Action":"destroy","Actor":{"ID":"${other}"`;
  const event = `{"status":"create","id":"${ID}","from":${JSON.stringify(lie)},${line('create', { a: lie, b: 'x'.repeat(9000) }).slice(1)}`;
  assert.equal(parseDockerEvent(event)?.id, ID);
  assert.deepEqual(parseCutEvent(event.slice(0, 4096)), { action: 'create', id: ID });
  assert.equal(parseCutEvent(event.slice(0, 100)), undefined);
  assert.equal(parseCutEvent('{"Type":"image","Action":"pull"'), undefined);
});
