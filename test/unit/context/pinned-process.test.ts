import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LineagePins, pinProcess } from '../../../src/context/pinned-process.ts';
import type { Process } from '../../../src/context/process.ts';
import { makeImage, makeProcess } from '../../support/rules-subject.ts';

type Living = { -readonly [Key in keyof Process]: Process[Key] };

/** A process with so many ancestors, itself first. */
function lineage(ancestors: number): Living[] {
  const found: Living[] = [];
  for (let n = ancestors; n >= 0; n--) {
    const image = makeImage({ name: `p${n}` });
    found.unshift({ ...pinProcess(makeProcess()), image, parent: found[0], pid: 100 + n });
  }
  return found;
}

function namesOf(process: Process): string[] {
  const names: string[] = [];
  for (let at: Process | undefined = process; at !== undefined; at = at.parent)
    names.push(at.image.name);
  return names;
}

test('what is pinned stays as it was, with eight ancestors', () => {
  const living = lineage(10);
  const before = namesOf(living[0]!);
  const { process } = new LineagePins().pin(living[0]!);
  for (const one of living) one.image = makeImage({ name: 'other' });
  assert.deepEqual(namesOf(process), [...before.slice(0, 9), 'other', 'other']);
});

test('a process that has not changed is pinned once', () => {
  const [process] = lineage(3);
  const pins = new LineagePins();
  const first = pins.pin(process!);
  const second = pins.pin(process!);
  assert.deepEqual([first.isNew, second.isNew], [true, false]);
  assert.equal(second.process, first.process);
  assert.equal(pins.pin(makeProcess()).isNew, true);
});

test('each change of a process, and of an ancestor that is pinned with it, is seen', () => {
  const sample = lineage(1)[0]!;
  const keys = (Object.keys(pinProcess(sample)) as (keyof Process)[]).filter(
    (key) => key !== 'parent',
  );
  assert.equal(keys.length, 17);
  for (const key of keys) {
    for (const at of [0, 1, 8]) {
      const living = lineage(9);
      const pins = new LineagePins();
      pins.pin(living[0]!);
      (living[at] as Record<string, unknown>)[key] = Symbol('changed');
      const again = pins.pin(living[0]!);
      assert.equal(again.isNew, true, `${key} of ancestor ${at}`);
      let found: Process | undefined = again.process;
      for (let n = 0; n < at; n++) found = found?.parent;
      assert.equal(found?.[key], living[at]![key]);
    }
  }
});

test('another parent is seen, and none', () => {
  for (const at of [0, 3, 8]) {
    for (const parent of [makeProcess({ pid: 7 }), undefined]) {
      const living = lineage(9);
      const pins = new LineagePins();
      pins.pin(living[0]!);
      living[at]!.parent = parent;
      assert.equal(pins.pin(living[0]!).isNew, true);
    }
  }
});
