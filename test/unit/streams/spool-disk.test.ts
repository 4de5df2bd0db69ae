import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { Spool } from '../../../src/streams/spool/spool.ts';
import type { SpoolOptions } from '../../../src/streams/spool/spool-types.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { SmallDisk } from '../../support/small-disk.ts';
import { drain, next, put } from './spool-fixture.ts';
import { lacks } from '../../support/needs.ts';

let folder: string;
let open: Spool[] = [];

afterEach(() => {
  for (const spool of open) spool.close();
  open = [];
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

describe('a spool on a disk that takes nothing', () => {
  test('a full disk: records wait in memory, in order with the others, until the disk takes them again', (t) => {
    if (lacks(t, 'mount')) return;
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

  test('memory is bounded; what has no room is refused and counted; at the end the log says what is lost', (t) => {
    if (lacks(t, 'mount')) return;
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

  test('on a full disk, the lane that fills memory gives way there to others; what is on the disk stays', (t) => {
    if (lacks(t, 'mount')) return;
    using disk = new SmallDisk(64);
    folder = join(disk.path, 'syslog');
    const nowMs = 0;
    const dropped: string[] = [];
    const spool = openSpool({
      maxBytes: 64 * 1024 * 1024,
      memoryBytes: 200_000,
      nowMs: () => nowMs,
      onDropped: (payload) => dropped.push(payload.toString()),
    });
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

  test('memory is not made room in by dropping what is on the disk, and the longest waiting is told of either', (t) => {
    if (lacks(t, 'mount')) return;
    using disk = new SmallDisk(1024);
    folder = join(disk.path, 'syslog');
    disk.fill();
    let nowMs = 0;
    const dropped: string[] = [];
    const spool = openSpool({
      maxBytes: 64 * 1024 * 1024,
      memoryBytes: 100_000,
      nowMs: () => nowMs,
      onDropped: (payload) => dropped.push(payload.toString().slice(0, 6)),
    });
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

  test('a read-only disk: what is on it stays there for later, and nothing is refused', async (t) => {
    if (lacks(t, 'mount')) return;
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
});
