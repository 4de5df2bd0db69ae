import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Process } from '../../../src/context/process.ts';
import { lineageOf, MAX_LINEAGE_ANCESTORS } from '../../../src/rules/lineage.ts';
import { makeProcess, RUNTIME } from '../../support/rules-subject.ts';

test('the process, then its ancestors in the container, by number and start', () => {
  const node = makeProcess({ vpid: 1, parent: RUNTIME, startBootNs: 900_000_000_000n });
  const sh = makeProcess({
    vpid: 30,
    parent: node,
    startBootNs: 923_009_999_999n,
    image: { name: 'sh' },
  });
  assert.deepEqual(lineageOf(sh), {
    processes: [
      { pid: 30, start: 92_300, name: 'sh' },
      { pid: 1, start: 90_000, name: 'node' },
    ],
    above: 'outside',
  });
});

test('what is above is not guessed: an unknown parent, and more ancestors than are told', () => {
  const lone = makeProcess({ parent: undefined });
  assert.equal(lineageOf(lone).above, 'unknown');

  const chain = (ancestors: number): Process => {
    let process = makeProcess({ vpid: 1, parent: RUNTIME });
    for (let vpid = 2; vpid <= ancestors + 1; vpid++)
      process = makeProcess({ vpid, parent: process });
    return process;
  };
  const full = lineageOf(chain(MAX_LINEAGE_ANCESTORS));
  assert.equal(full.processes.length, MAX_LINEAGE_ANCESTORS + 1);
  assert.equal(full.above, 'outside');
  const deep = lineageOf(chain(MAX_LINEAGE_ANCESTORS + 1));
  assert.equal(deep.processes.length, MAX_LINEAGE_ANCESTORS + 1);
  assert.equal(deep.above, 'more');
});

test('what the rest of an ancestor is, is not looked up: names alone need no read of /proc', () => {
  const silent = new Proxy(makeProcess().image, {
    get: (image, key) => {
      assert.equal(key, 'name');
      return image.name;
    },
  });
  const parent = { ...makeProcess({ vpid: 1, parent: RUNTIME }), image: silent };
  assert.equal(lineageOf(makeProcess({ parent })).processes.length, 2);
});
