import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BoundedFileError, readAtMost, readRegularFile } from '../../../src/shared/bounded-file.ts';

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'varvel-bounded-'));
});
after(() => rmSync(dir, { recursive: true, force: true }));

const reasonOf = (path: string, maxBytes: number): string => {
  try {
    readRegularFile(path, maxBytes, { followLinks: false });
    return 'read';
  } catch (error) {
    if (error instanceof BoundedFileError) return error.reason;
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
};

test('a file up to its bound, whatever the chunks; not one byte more', () => {
  const path = join(dir, 'file');
  for (const size of [0, 1, 65_536, 65_537, 200_000]) {
    const bytes = Buffer.alloc(size, 'abc');
    writeFileSync(path, bytes);
    assert.deepEqual(readRegularFile(path, size), bytes);
    assert.deepEqual(readRegularFile(path, 1 << 20), bytes);
    if (size > 0) assert.equal(reasonOf(path, size - 1), 'too large');
  }
});

test('no folder, no pipe, no device; a link only where it is to be followed', () => {
  writeFileSync(join(dir, 'target'), 'text');
  symlinkSync('target', join(dir, 'link'));
  execFileSync('mkfifo', [join(dir, 'pipe')]);
  assert.equal(reasonOf(dir, 10), 'not a regular file');
  assert.equal(reasonOf(join(dir, 'pipe'), 10), 'not a regular file');
  assert.equal(reasonOf('/dev/zero', 10), 'not a regular file');
  assert.equal(reasonOf(join(dir, 'link'), 10), 'ELOOP');
  assert.equal(reasonOf(join(dir, 'none'), 10), 'ENOENT');
  assert.equal(readRegularFile(join(dir, 'link'), 10).toString(), 'text');
});

test('what is left of an open file that never ends', () => {
  const fd = openSync('/dev/zero', 'r');
  try {
    assert.equal(readAtMost(fd, 1_000_000), undefined);
  } finally {
    closeSync(fd);
  }
});
