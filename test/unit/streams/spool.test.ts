import assert from 'node:assert/strict';
import {
  chmodSync,
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
import { Spool, type SpoolOptions } from '../../../src/streams/spool/spool.ts';
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
      ...['alarm', 'flood 0', 'quiet 0', 'flood 1', 'quiet 1', 'flood 2', 'flood 3'],
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
    const spool = openSpool({ segmentBytes: 600_000 });
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
    assert.equal(taken, 18);
    assert.ok(put(spool, 'urgent', 'app', true));
    assert.ok(!put(spool, 'x'.repeat(980)));
    assert.equal(spool.counters().refused, 2);
    assert.ok(spool.counters().bytes <= 20_000);
    assert.equal(drain(spool).length, 19);
  });

  test('a full disk: records wait in memory, in order with the others, until the disk takes them again', () => {
    using disk = new SmallDisk(64);
    folder = join(disk.path, 'syslog');
    const troubles: unknown[] = [];
    let nowMs = 0;
    const spool = openSpool({
      ...{ maxBytes: 64 * 1024 * 1024, nowMs: () => nowMs },
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
    assert.ok(taken * 60_000 <= 8 * 1024 * 1024 && taken > 130, String(taken));
    const { inMemory, refused, waiting } = spool.counters();
    assert.deepEqual([inMemory, refused, waiting], [taken, 1, taken]);
    spool.close();
    open = [];
    assert.match(said.join(), new RegExp(`^${taken} lines that waited in memory .* are lost`));
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
