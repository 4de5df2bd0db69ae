import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SILENT_LOGGER } from '../../src/shared/logger.ts';
import { AppendFile } from '../../src/streams/file/append-file.ts';

/** A file system of its own with room for 8 pages. */
function smallDisk(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'varvel-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32k', 'varvel-test', folder]);
  context.after(() => {
    execFileSync('umount', ['--lazy', folder]);
    rmdirSync(folder);
  });
  return folder;
}

test('a full disk: the sentence once, nothing glued, and writing goes on when there is room', async (context) => {
  const disk = smallDisk(context);
  const path = join(disk, 'log');
  const sentences: string[] = [];
  const logger = {
    ...SILENT_LOGGER,
    warn: (_: object, message: string) => void sentences.push(message),
  };
  const file = new AppendFile(path, { logger, shared: false });
  assert.ok(await file.append(`first ${'a'.repeat(4000)}`));
  writeFileSync(join(disk, 'filler'), Buffer.alloc(6 * 4096));

  // One page is left, so this one is torn at its end.
  const torn = file.append(`second ${'b'.repeat(7000)}`);
  const next = file.append('third');
  const sizeNow = (): number => statSync(path).size;
  for (const end = Date.now() + 60_000; sizeNow() <= 4007 && Date.now() < end;) await delay(5);
  await delay(600); // and is tried again
  const size = sizeNow();
  assert.ok(size > 4007 && size < 4007 + 7008, 'part of the line is on the disk');
  rmSync(join(disk, 'filler'));
  assert.deepEqual(await Promise.all([torn, next]), [true, true]);
  await file.close();

  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  assert.equal(lines.at(-1), 'third');
  assert.equal(lines.at(-2), `second ${'b'.repeat(7000)}`);
  assert.ok(
    lines.slice(1, -2).every((line) => `second ${'b'.repeat(7000)}`.startsWith(line)),
    'only torn starts of it before',
  );
  assert.equal(lines[0], `first ${'a'.repeat(4000)}`);
  assert.equal(sentences.length, 1);
  assert.match(sentences[0]!, /the disk is full\. Make room/);
  assert.deepEqual(file.counters(), { delivered: 3, failed: 0, dropped: 0 });
});

test('a disk that stays full: given up after its time, counted', async (context) => {
  const disk = smallDisk(context);
  writeFileSync(join(disk, 'log'), '');
  assert.throws(() => writeFileSync(join(disk, 'filler'), Buffer.alloc(64 * 1024)), {
    code: 'ENOSPC',
  });
  const file = new AppendFile(join(disk, 'log'), { logger: SILENT_LOGGER, shared: true });
  const startedMs = performance.now();
  const results = await Promise.all(['one', 'two', 'three'].map((line) => file.append(line)));
  assert.deepEqual(results, [false, false, false]);
  assert.ok(performance.now() - startedMs < 10_000, 'all three together');
  assert.deepEqual(file.counters(), { delivered: 0, failed: 3, dropped: 0 });
  const late = file.append('four');
  await file.close();
  assert.equal(await late, false);
});
