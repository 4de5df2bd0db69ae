import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  containerFromCreate,
  mergeContainer,
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

test('lines across chunks, also inside a character; bounded', () => {
  const splitter = new LineSplitter(16);
  const bytes = Buffer.from('aé\n\nb\nrest');
  const lines = [...bytes].flatMap((byte) => splitter.push(Buffer.from([byte])));
  assert.deepEqual(lines, ['aé', '', 'b']);
  assert.deepEqual(splitter.push(Buffer.from('!\n')), ['rest!']);
  assert.throws(() => splitter.push(Buffer.alloc(17, 'x')), RangeError);
});
