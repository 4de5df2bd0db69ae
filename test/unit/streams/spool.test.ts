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
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { UserError } from '../../../src/shared/user-error.ts';
import { SmallDisk } from '../../support/small-disk.ts';

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

const put = (spool: Spool, text: string, lane = 'app', urgent = false): boolean =>
  spool.append({ lane, urgent }, Buffer.from(text));

const next = (spool: Spool, max = 100): string[] =>
  spool.peek(max).map(({ payload }) => payload.toString());

/** All that waits, in the order in which it is sent. */
function drain(spool: Spool, max = 3): string[] {
  const all: string[] = [];
  for (let some = next(spool, max); some.length > 0; some = next(spool, max)) {
    all.push(...some);
    spool.settle(some.length);
  }
  return all;
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
    const spool = openSpool({ maxBytes: 200_000 });
    const dropped: string[] = [];
    spool.onDropped((payload) => dropped.push(payload.toString()));
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

  test('a full disk: records wait in memory, in order with the others, until the disk takes them again', () => {
    using disk = new SmallDisk(64);
    folder = join(disk.path, 'syslog');
    const troubles: unknown[] = [];
    let nowMs = 0;
    const spool = openSpool({
      maxBytes: 64 * 1024 * 1024,
      nowMs: () => nowMs,
      onTrouble: (error) => troubles.push(error),
    });
    const long = 'x'.repeat(5000);
    let taken = 0;
    while (spool.counters().inMemory < 3) put(spool, `${++taken} ${long}`);
    assert.ok(taken > 8 && taken < 20, String(taken));
    assert.match(String(troubles[0]), /ENOSPC|a part only/);
    assert.deepEqual(
      drain(spool).map((text) => text.split(' ')[0]),
      Array.from({ length: taken }, (_, index) => String(index + 1)),
    );
    assert.equal(spool.counters().inMemory, 0);
    put(spool, 'in memory, as the disk is not tried again yet');
    assert.deepEqual([spool.counters().inMemory, troubles.length], [1, 1]);
    nowMs += 10_000;
    put(spool, 'on the disk');
    assert.deepEqual([spool.counters().inMemory, troubles.at(-1)], [1, undefined]);
    const records = next(spool);
    assert.deepEqual(records, ['in memory, as the disk is not tried again yet', 'on the disk']);
    // Killed: what was in memory is lost.
    killed(spool);
    rmSync(join(folder, 'owner'));
    assert.deepEqual(drain(openSpool()), ['on the disk']);
    for (const one of open) one.close();
    open = [];
  });

  test('memory is bounded; what has no room is refused and counted; at the end the log says what is lost', () => {
    using disk = new SmallDisk(64);
    disk.fill();
    folder = join(disk.path, 'syslog');
    const said: string[] = [];
    const spool = openSpool({
      maxBytes: 64 * 1024 * 1024,
      logger: { ...SILENT_LOGGER, error: (_, message) => said.push(message) },
    });
    const long = Buffer.alloc(60_000, 'x').toString();
    let taken = 0;
    while (put(spool, long)) taken++;
    // The last tenth is for urgent ones.
    assert.ok(taken * 60_000 <= 7.2 * 1024 * 1024 && taken > 120, String(taken));
    const { inMemory, refused, waiting } = spool.counters();
    assert.deepEqual([inMemory, refused, waiting], [taken, 1, taken]);
    spool.close();
    open = [];
    assert.match(said.join(), new RegExp(`^${taken} lines that waited in memory .* are lost`));
  });

  test('on a full disk, the lane that fills memory gives way there to others; what is on the disk stays', () => {
    using disk = new SmallDisk(64);
    folder = join(disk.path, 'syslog');
    const nowMs = 0;
    const spool = openSpool({
      maxBytes: 64 * 1024 * 1024,
      memoryBytes: 200_000,
      nowMs: () => nowMs,
    });
    const dropped: string[] = [];
    spool.onDropped((payload) => dropped.push(payload.toString()));
    const filler = 'x'.repeat(1000);
    let flood = 0;
    while (put(spool, `${flood} ${filler}`, 'flood')) flood++;
    const { inMemory } = spool.counters();
    assert.ok(inMemory > 130 && flood > inMemory + 20, `${inMemory} of ${flood}`);
    assert.ok(put(spool, 'alarm of the flood', 'flood', true));
    // Half of what memory has, and not more: then both have the same there.
    let quiet = 0;
    while (put(spool, `quiet ${quiet} ${filler}`, 'quiet')) quiet++;
    assert.ok(Math.abs(inMemory / 2 - quiet) <= 2, `${quiet} beside ${inMemory}`);
    assert.deepEqual(
      dropped.map((text) => Number(text.split(' ')[0])),
      dropped.map((_, nth) => flood - 1 - nth),
      'the newest first, none that is urgent and none from the disk',
    );
    assert.equal(spool.counters().dropped, dropped.length);
    const all = drain(spool);
    assert.deepEqual(
      all.filter((text) => /^\d/.test(text)).map((text) => Number(text.split(' ')[0])),
      Array.from({ length: flood - dropped.length }, (_, nth) => nth),
    );
    assert.equal(all.filter((text) => text.startsWith('quiet')).length, quiet);
    assert.equal(all[0], 'alarm of the flood');
    spool.close();
    open = [];
  });

  test('memory is not made room in by dropping what is on the disk, and the longest waiting is told of either', () => {
    using disk = new SmallDisk(1024);
    folder = join(disk.path, 'syslog');
    disk.fill();
    let nowMs = 0;
    const spool = openSpool({
      maxBytes: 64 * 1024 * 1024,
      memoryBytes: 100_000,
      nowMs: () => nowMs,
    });
    const dropped: string[] = [];
    spool.onDropped((payload) => dropped.push(payload.toString().slice(0, 6)));
    const filler = 'x'.repeat(1000);
    while (put(spool, `memory ${filler}`, 'flood'));
    disk.free();
    nowMs += 10_000;
    for (let n = 0; n < 20; n++) assert.ok(put(spool, `disk ${filler}`, 'flood'));
    disk.fill();
    // The page that the file ends in has some room yet.
    const { inMemory } = spool.counters();
    while (put(spool, `disk ${filler}`, 'flood') && spool.counters().inMemory === inMemory);
    for (let n = 0; n < 20; n++) assert.ok(put(spool, `quiet ${filler}`, 'quiet'));
    assert.ok(dropped.length >= 20, String(dropped.length));
    assert.deepEqual(new Set(dropped), new Set(['memory']));
    const oldest = (): string | undefined => spool.oldest()?.toString().split(' ')[0];
    assert.equal(oldest(), 'memory');
    const flood = drain(spool).filter((text) => !text.startsWith('quiet'));
    const first = flood.findIndex((text) => text.startsWith('disk'));
    assert.ok(first > 10 && flood.slice(0, first).every((text) => text.startsWith('memory')));
    assert.ok(flood.length - first >= 20 && flood.slice(first).every((x) => x.startsWith('disk')));
    spool.close();
    open = [];
  });

  test('a read-only disk: what is on it stays there for later, and nothing is refused', async () => {
    using disk = new SmallDisk(1024);
    folder = join(disk.path, 'syslog');
    const before = openSpool();
    put(before, 'from before');
    before.close();
    open = [];
    await disk.remount('ro');
    let nowMs = 0;
    const spool = openSpool({ nowMs: () => nowMs });
    put(spool, 'from memory');
    assert.deepEqual(drain(spool), ['from memory']);
    await disk.remount('rw');
    nowMs += 10_000;
    put(spool, 'on the disk');
    assert.deepEqual(drain(spool), ['from before', 'on the disk']);
    spool.close();
    open = [];
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
