import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { RulesWatcher, stampOf } from '../../../src/rules/loader/watch-rules.ts';

// Real files and real notices of the kernel. Only notices count: the poll is an hour away, except where it is tested.

const HOUR_MS = 3_600_000;

let folder = '';
let watcher: RulesWatcher | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'varvel-watch-'));
});
afterEach(() => {
  watcher?.stop();
  watcher = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const at = (...names: string[]): string => join(folder, ...names);
const write = (name: string, text: string): void => writeFileSync(at(name), text);
const replace = (name: string, text: string): void => {
  write(`.${name}.new`, text);
  renameSync(at(`.${name}.new`), at(name));
};

interface Watch {
  /** Resolves with the changes so far when there is another one; rejects after a minute. */
  next(): Promise<number>;
  /** Watches again, as after a reload. */
  again(): void;
  count(): number;
}

function watching(paths: readonly string[], pollMs = HOUR_MS): Watch {
  let count = 0;
  let seen = 0;
  const stamps = (): Map<string, string> => new Map(paths.map((path) => [path, stampOf(path)]));
  const made = new RulesWatcher(() => (count += 1), { debounceMs: 20, pollMs });
  watcher = made;
  made.watch(stamps());
  return {
    next: async () => {
      for (const end = performance.now() + 60_000; count === seen;) {
        assert.ok(performance.now() < end, 'a change is noticed');
        await delay(5);
      }
      seen = count;
      return count;
    },
    again: () => made.watch(stamps()),
    count: () => count,
  };
}

/** Long enough for any notice to have come. */
const quiet = (): Promise<void> => delay(120);

const CHANGES: readonly (readonly [what: string, change: () => void])[] = [
  ['written anew', () => write('r.yaml', 'longer')],
  ['appended to', () => appendFileSync(at('r.yaml'), '- x\n')],
  ['replaced by rename, as editors do', () => replace('r.yaml', 'b')],
  [
    'moved away and written again, as other editors do',
    () => {
      renameSync(at('r.yaml'), at('r.yaml~'));
      write('r.yaml', 'b');
    },
  ],
  ['deleted', () => unlinkSync(at('r.yaml'))],
];
for (const [what, change] of CHANGES) {
  test(`a rule file is ${what}: noticed, once`, async () => {
    write('r.yaml', 'a');
    const watch = watching([at('r.yaml')]);
    change();
    assert.equal(await watch.next(), 1);
    watch.again();
    await quiet();
    assert.equal(watch.count(), 1);
    // and the next time too
    replace('r.yaml', 'something else');
    assert.equal(await watch.next(), 2);
  });
}

test('a rule folder: files that appear, change and go', async () => {
  mkdirSync(at('rules.d'));
  const watch = watching([at('rules.d')]);
  const changes = [
    () => write('rules.d/a.yaml', 'a'),
    () => write('rules.d/b.yml', 'b'),
    () => write('rules.d/a.yaml', 'aa'),
    () => renameSync(at('rules.d/a.yaml'), at('rules.d/c.yaml')),
    () => unlinkSync(at('rules.d/b.yml')),
  ];
  for (const [index, change] of changes.entries()) {
    change();
    assert.equal(await watch.next(), index + 1);
    watch.again();
  }
});

test('what is no rule file changes nothing', async () => {
  mkdirSync(at('rules.d'));
  write('rules.d/a.yaml', 'a');
  write('varvel.yaml', '');
  const watch = watching([at('rules.d'), at('varvel.yaml')]);
  write('rules.d/.a.yaml.swp', 'an editor’s');
  write('rules.d/README', 'text');
  write('detections.log', 'a line');
  await quiet();
  assert.equal(watch.count(), 0);
});

test('a ConfigMap: the folder behind ..data is swapped', async () => {
  const version = (name: string, text: string): void => {
    mkdirSync(at('mount', name), { recursive: true });
    write(join('mount', name, 'a.yaml'), text);
    symlinkSync(name, at('mount/..data_tmp'));
    renameSync(at('mount/..data_tmp'), at('mount/..data'));
  };
  version('..2026_1', 'a');
  symlinkSync('..data/a.yaml', at('mount/a.yaml'));
  // Both ways to name it, and a file alone as with a subPath-less mount elsewhere.
  for (const path of [at('mount'), at('mount/a.yaml')]) {
    const watch = watching([path]);
    for (let n = 1; n <= 3; n++) {
      version(`..2026_${readdirSync(at('mount')).length}_${n}`, 'a');
      assert.equal(await watch.next(), n);
      watch.again();
    }
    watcher?.stop();
  }
});

test('a symlink on the way to the file leads elsewhere', async () => {
  for (const release of ['1', '2']) {
    mkdirSync(at('releases', release, 'rules'), { recursive: true });
    write(join('releases', release, 'rules/r.yaml'), release);
  }
  symlinkSync('releases/1', at('current'));
  const watch = watching([at('current/rules/r.yaml')]);
  symlinkSync('releases/2', at('next'));
  renameSync(at('next'), at('current'));
  assert.equal(await watch.next(), 1);
  watch.again();
  write('releases/2/rules/r.yaml', 'a change in the new place');
  assert.equal(await watch.next(), 2);
});

test('a file that is not there yet, in a folder that is not there yet', async () => {
  const watch = watching([at('later/r.yaml')]);
  mkdirSync(at('later'));
  await quiet();
  assert.equal(watch.count(), 0, 'the folder alone is no rule');
  write('later/r.yaml', 'a');
  assert.equal(await watch.next(), 1);
});

test('a rule folder that is replaced as a whole is followed', async () => {
  mkdirSync(at('rules.d'));
  write('rules.d/a.yaml', 'a');
  const watch = watching([at('rules.d')]);
  mkdirSync(at('new.d'));
  write('new.d/a.yaml', 'b');
  renameSync(at('rules.d'), at('old.d'));
  renameSync(at('new.d'), at('rules.d'));
  assert.equal(await watch.next(), 1);
  watch.again();
  write('rules.d/b.yaml', 'c');
  assert.equal(await watch.next(), 2);
  watch.again();
  write('old.d/a.yaml', 'nobody’s any more');
  await quiet();
  assert.equal(watch.count(), 2);
});

test('many changes in a row are one; what changes between the stamp and the watch is noticed', async () => {
  write('r.yaml', 'a');
  const watch = watching([at('r.yaml')]);
  for (let i = 0; i < 50; i++) replace('r.yaml', String(i));
  assert.equal(await watch.next(), 1);
  await quiet();
  assert.equal(watch.count(), 1, 'nothing more before it is watched again');

  const stamp = stampOf(at('r.yaml'));
  replace('r.yaml', 'during the reload');
  watcher!.watch(new Map([[at('r.yaml'), stamp]]));
  assert.equal(await watch.next(), 2);
});

test('without a notice the poll sees it: a folder above is renamed', async () => {
  mkdirSync(at('a/deep'), { recursive: true });
  write('a/deep/r.yaml', 'a');
  const watch = watching([at('a/deep/r.yaml')], 50);
  mkdirSync(at('b/deep'), { recursive: true });
  write('b/deep/r.yaml', 'b');
  renameSync(at('a'), at('old'));
  renameSync(at('b'), at('a'));
  assert.equal(await watch.next(), 1);
});

test('links in a circle and paths through a file end', () => {
  symlinkSync('y', at('x'));
  symlinkSync('x', at('y'));
  write('file', '');
  const watch = watching([at('x'), at('x/r.yaml'), at('file/r.yaml'), '/', '/proc/self/fd']);
  assert.equal(watch.count(), 0);
  assert.equal(stampOf(at('x')), 'none');
});
