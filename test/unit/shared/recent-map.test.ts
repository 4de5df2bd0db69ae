import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecentMap } from '../../../src/shared/recent-map.ts';

test('beyond its limit the entry goes that was set least recently', () => {
  const map = new RecentMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  map.set('a', 3);
  map.set('c', 4);
  assert.deepEqual(
    [...map.entries()],
    [
      ['a', 3],
      ['c', 4],
    ],
  );
  assert.equal(map.size, 2);
  assert.equal(map.has('b'), false);
  assert.equal(map.get('a'), 3);
});

test('an entry whose value is replaced keeps its age, and none is made', () => {
  const map = new RecentMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  map.replace('a', 3);
  map.replace('none', 9);
  assert.deepEqual([...map.keys()], ['a', 'b']);
  map.set('c', 4);
  assert.deepEqual([...map.keys()], ['b', 'c']);
});

test('a deleted entry can be set again at once, as the newest', () => {
  const map = new RecentMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  map.delete('b');
  map.set('b', 3);
  map.set('c', 4);
  assert.deepEqual([...map.keys()], ['b', 'c']);
});
