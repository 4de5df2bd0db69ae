import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Spool } from '../../../src/streams/spool/spool.ts';
import type { SpoolOptions } from '../../../src/streams/spool/spool-types.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { drain, next, put } from './spool-fixture.ts';

let parent: string;
let folder: string;
let open: Spool[] = [];

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'varvel-spool-'));
  folder = join(parent, 'syslog');
});

afterEach(() => {
  for (const spool of open) spool.close();
  open = [];
  rmSync(parent, { recursive: true });
});

function openSpool(options: Partial<SpoolOptions> = {}): Spool {
  const spool = Spool.open({ folder, maxBytes: 1024 * 1024, ...options });
  open.push(spool);
  return spool;
}

/** As if the process had been killed: what it holds open stays as it is. */
function killed(spool: Spool): void {
  open = open.filter((one) => one !== spool);
}

const segments = (): string[] => readdirSync(folder).filter((name) => name.endsWith('.spool'));

describe('spool', () => {
  test('in order; the same again until it is settled', () => {
    const spool = openSpool();
    for (const text of ['a', 'b', 'c', 'd']) assert.ok(put(spool, text));
    assert.deepEqual(next(spool, 2), ['a', 'b']);
    assert.deepEqual(next(spool, 2), ['a', 'b']);
    spool.settle(1);
    assert.deepEqual(next(spool, 2), ['b', 'c']);
    assert.equal(spool.counters().waiting, 3);
    assert.deepEqual(drain(spool), ['b', 'c', 'd']);
    assert.deepEqual(next(spool), []);
  });

  test('lanes take turns, each in its order; urgent ones go first', () => {
    const spool = openSpool();
    for (let n = 0; n < 4; n++) put(spool, `flood ${n}`, 'flood');
    put(spool, 'quiet 0', 'quiet');
    put(spool, 'quiet 1', 'quiet');
    put(spool, 'alarm', 'other', true);
    assert.deepEqual(drain(spool, 1), [
      'alarm',
      'flood 0',
      'quiet 0',
      'flood 1',
      'quiet 1',
      'flood 2',
      'flood 3',
    ]);
  });

  test('what a killed process left comes again, but for what was settled', () => {
    const first = openSpool();
    for (let n = 0; n < 10; n++) put(first, `line ${n}`, n % 2 === 0 ? 'even' : 'odd');
    assert.deepEqual(next(first, 3), ['line 0', 'line 1', 'line 2']);
    first.settle(2);
    killed(first);
    const second = openSpool();
    assert.equal(second.counters().recovered, 8);
    put(second, 'line 10', 'even');
    const all = drain(second);
    assert.deepEqual(
      all.filter((text) => Number(text.slice(5)) % 2 === 0),
      ['line 2', 'line 4', 'line 6', 'line 8', 'line 10'],
    );
    assert.deepEqual(
      all.filter((text) => Number(text.slice(5)) % 2 === 1),
      ['line 3', 'line 5', 'line 7', 'line 9'],
    );
  });

  test('an end in order leaves what waits, and no file of what was sent', () => {
    const first = openSpool();
    put(first, 'sent');
    drain(first);
    put(first, 'waits');
    killed(first);
    first.close();
    assert.deepEqual(drain(openSpool()), ['waits']);
  });

  test('files are removed once all in them is settled', () => {
    const spool = openSpool({ maxBytes: 32 << 20, segmentBytes: 600_000 });
    const long = 'x'.repeat(60_000);
    for (let n = 0; n < 15; n++) put(spool, `${n} ${long}`);
    assert.equal(segments().length, 2);
    next(spool, 11);
    spool.settle(11);
    assert.equal(segments().length, 1);
    assert.ok(spool.counters().bytes < 400_000);
    assert.equal(drain(spool).length, 4);
  });

  test('a write that was cut off loses that record alone', () => {
    const first = openSpool();
    for (const text of ['one', 'two', 'three']) put(first, text);
    killed(first);
    const [name = ''] = segments();
    const path = join(folder, name);
    truncateSync(path, statSync(path).size - 2);
    const second = openSpool();
    assert.deepEqual([second.counters().recovered, drain(second)], [2, ['one', 'two']]);
    assert.ok(second.counters().unreadBytes > 0);
  });

  test('a damaged record ends its file; the next file is read', () => {
    const first = openSpool({ segmentBytes: 1 });
    for (const text of ['one', 'two', 'three']) put(first, text);
    killed(first);
    const [, middle = ''] = segments().sort();
    const bytes = readFileSync(join(folder, middle));
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(join(folder, middle), bytes);
    const second = openSpool();
    assert.deepEqual(drain(second), ['one', 'three']);
    assert.equal(second.counters().unreadBytes, bytes.length - 8);
  });

  test('one damaged while it waits is left out and counted', () => {
    const spool = openSpool();
    for (const text of ['one', 'two', 'three']) put(spool, text);
    const [name = ''] = segments();
    const bytes = readFileSync(join(folder, name));
    bytes[bytes.indexOf('two')]! ^= 1;
    writeFileSync(join(folder, name), bytes);
    assert.deepEqual(drain(spool, 10), ['one', 'three']);
    assert.ok(spool.counters().unreadBytes > 0);
    assert.equal(spool.counters().waiting, 0);
  });

  test('when it is full, new records are refused and counted; the last tenth is for urgent ones', () => {
    const spool = openSpool({ maxBytes: 20_000 });
    let taken = 0;
    while (put(spool, 'x'.repeat(980))) taken++;
    // Of 20,000 bytes 29 of 32 parts are for what waits, and nine tenths of that for what is not urgent.
    assert.equal(taken, 16);
    assert.ok(put(spool, 'urgent', 'app', true));
    assert.ok(!put(spool, 'x'.repeat(980)));
    assert.equal(spool.counters().refused, 2);
    assert.ok(spool.counters().bytes <= 20_000);
    assert.equal(drain(spool).length, 17);
  });

  test('when one lane has filled it, its newest records make room for another’s', () => {
    const dropped: string[] = [];
    const onDropped = (payload: Buffer): void => void dropped.push(payload.toString());
    const spool = openSpool({ maxBytes: 200_000, onDropped });
    const filler = 'x'.repeat(1000);
    let taken = 0;
    while (put(spool, `${taken} ${filler}`, 'flood')) taken++;
    assert.ok(taken > 150, String(taken));
    assert.ok(put(spool, 'alarm of the flood', 'flood', true));
    // Half of what there is, and not more: then both have the same.
    let quiet = 0;
    while (put(spool, `quiet ${quiet} ${filler}`, 'quiet')) quiet++;
    const { refused, dropped: count, bytes } = spool.counters();
    assert.deepEqual([refused, count], [2, dropped.length]);
    assert.ok(Math.abs(taken / 2 - quiet) <= 2, `${quiet} beside ${taken}`);
    assert.ok(bytes <= 200_000);
    const numbers = dropped.map((text) => Number(text.split(' ')[0]));
    assert.deepEqual(
      numbers,
      numbers.map((_, nth) => taken - 1 - nth),
      'the newest first, none that is urgent',
    );
    const all = drain(spool);
    assert.equal(all.length, taken + 1 + quiet - dropped.length);
    assert.equal(all[0], 'alarm of the flood');
  });

  test('an urgent record that finds all taken by urgent ones of another lane has room made too', () => {
    const spool = openSpool({ maxBytes: 50_000 });
    while (put(spool, 'x'.repeat(1000), 'flood', true));
    assert.ok(put(spool, 'alarm', 'quiet', true));
    assert.ok(put(spool, 'line', 'quiet'), 'as is one that is not urgent');
    const all = drain(spool);
    assert.equal(all.filter((text) => !text.startsWith('x')).length, 2);
  });

  test('records that are kept are not dropped: others of the lane are', () => {
    const spool = openSpool({ maxBytes: 50_000 });
    for (let n = 0; n < 5; n++)
      assert.ok(
        spool.append({ lane: 'flood', urgent: true, kept: true }, Buffer.from(`kept ${n}`)),
      );
    while (put(spool, 'x'.repeat(1000), 'flood', true));
    let quiet = 0;
    while (put(spool, `quiet ${quiet}`, 'quiet', true)) quiet++;
    const all = drain(spool);
    assert.equal(all.filter((text) => text.startsWith('kept')).length, 5);
    assert.equal(all.filter((text) => text.startsWith('quiet')).length, quiet);
  });

  test('files are tidied up as room is needed; order, and what was told of, outlive the process', () => {
    const maxBytes = 100_000;
    const first = openSpool({ maxBytes });
    const filler = 'x'.repeat(200);
    let flood = 0;
    // Both lanes in every file.
    for (let n = 0; put(first, `${n} ${filler}`, n % 8 === 0 ? 'quiet' : 'flood'); n++) flood = n;
    const lanes = new Map<string, number[]>();
    const onDisk = (): number =>
      readdirSync(folder).reduce((sum, name) => sum + lstatSync(join(folder, name)).size, 0);
    let most = 0;
    for (let n = 0; n < 60; n++) {
      assert.ok(put(first, `${flood + 1 + n} ${filler}`, 'late'));
      most = Math.max(most, onDisk());
    }
    assert.ok(most <= maxBytes, `${most} bytes`);
    const { waiting, dropped } = first.counters();
    assert.ok(dropped >= 60);
    killed(first);
    const second = openSpool({ maxBytes });
    assert.equal(second.counters().recovered, waiting);
    for (let items = second.peek(10); items.length > 0; items = second.peek(10)) {
      for (const { lane, payload } of items) {
        const numbers = lanes.get(lane) ?? [];
        numbers.push(Number(payload.toString().split(' ')[0]));
        lanes.set(lane, numbers);
      }
      second.settle(items.length);
    }
    for (const [lane, numbers] of lanes)
      assert.deepEqual(
        numbers,
        numbers.toSorted((one, other) => one - other),
        lane,
      );
    assert.equal([...lanes.values()].flat().length, waiting);
    assert.equal(lanes.get('late')?.length, 60);
  });

  const refused = (pattern: RegExp): void => {
    assert.throws(
      () => openSpool(),
      (error) => error instanceof UserError && pattern.test(error.message),
    );
  };

  test('a link, a file and a folder that others may write to are set aside, and never used', () => {
    const elsewhere = join(parent, 'elsewhere');
    mkdirSync(elsewhere, { mode: 0o700 });
    for (const make of [
      () => symlinkSync(elsewhere, folder),
      () => writeFileSync(folder, ''),
      () => {
        mkdirSync(folder);
        chmodSync(folder, 0o777);
      },
    ]) {
      make();
      Spool.verify(folder);
      const spool = openSpool();
      put(spool, 'one');
      assert.deepEqual([spool.counters().setAside, drain(spool)], [1, ['one']]);
      spool.close();
      open = [];
      rmSync(folder, { recursive: true });
    }
    assert.deepEqual(readdirSync(elsewhere), []);
  });

  test('of its files, a link, a folder and one that is too large are set aside and counted; the others are sent', () => {
    const first = openSpool({ segmentBytes: 1 });
    for (const text of ['one', 'two', 'three', 'four']) put(first, text);
    killed(first);
    const [one = '', two = '', three = ''] = segments().sort();
    for (const name of [one, two]) rmSync(join(folder, name));
    symlinkSync('/etc/passwd', join(folder, one));
    mkdirSync(join(folder, two, 'x'), { recursive: true });
    truncateSync(join(folder, three), 10 ** 12);
    const second = openSpool();
    assert.deepEqual(drain(second), ['four']);
    assert.equal(second.counters().setAside, 3);
    second.close();
    open = [];
    assert.equal(openSpool().counters().setAside, 0);
  });

  test('one process at a time', () => {
    openSpool();
    const owner = join(folder, 'owner');
    const [, start = ''] = readFileSync('/proc/1/stat', 'latin1').split(') ');
    rmSync(owner);
    writeFileSync(owner, `1 ${start.split(' ')[19] ?? ''}`);
    refused(/the process 1 uses it/);
    writeFileSync(owner, '1 12345678901'); // another process had that id
    openSpool();
  });
});
