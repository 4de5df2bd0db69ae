import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { test } from 'node:test';
import { cloneFlagsText } from '../../../src/events/call-names.ts';
import { execFlagsText, openFlagsText, resolveFlagsText } from '../../../src/events/flags.ts';
import { FILE_FLAGS } from '../../../src/events/table.gen.ts';

const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NONBLOCK } = constants;
const { O_DSYNC, O_SYNC, O_DIRECTORY, O_DIRECT } = constants;

test('open flags: each by its own name, always with the access mode', () => {
  const cases: [number, string][] = [
    [O_RDONLY, 'O_RDONLY'],
    [O_WRONLY, 'O_WRONLY'],
    [O_RDWR, 'O_RDWR'],
    [3, 'O_NONE'],
    [O_CREAT | O_RDONLY, 'O_CREAT|O_RDONLY'],
    [O_WRONLY | O_CREAT | O_TRUNC, 'O_TRUNC|O_CREAT|O_WRONLY'],
    [O_RDWR | O_CREAT | O_EXCL | 0o2000000, 'O_EXCL|O_CREAT|O_RDWR|O_CLOEXEC'],
    [O_WRONLY | O_APPEND, 'O_APPEND|O_WRONLY'],
    [O_NONBLOCK, 'O_NONBLOCK|O_RDONLY'],
    [O_DSYNC | O_WRONLY, 'O_DSYNC|O_WRONLY'],
    [O_SYNC | O_WRONLY, 'O_SYNC|O_DSYNC|O_WRONLY'],
    [O_DIRECTORY, 'O_DIRECTORY|O_RDONLY'],
    [O_DIRECT, 'O_DIRECT|O_RDONLY'],
    [0o20200000 | O_RDWR, 'O_DIRECTORY|O_RDWR|O_TMPFILE'],
    [0o100000, 'O_LARGEFILE|O_RDONLY'],
  ];
  for (const [flags, text] of cases) assert.equal(openFlagsText(flags, 0), text);
});

test('open flags: what the kernel knows of the file', () => {
  const { FILE_CREATED, FILE_UPPER_LAYER, FILE_LOWER_LAYER } = FILE_FLAGS;
  assert.equal(
    openFlagsText(O_CREAT | O_WRONLY, FILE_CREATED | FILE_UPPER_LAYER),
    'O_CREAT|O_WRONLY|O_F_CREATED|FD_UPPER_LAYER',
  );
  assert.equal(openFlagsText(0, FILE_LOWER_LAYER), 'O_RDONLY|FD_LOWER_LAYER');
});

test('resolve flags', () => {
  assert.equal(resolveFlagsText(0), '');
  assert.equal(
    resolveFlagsText(0x3f),
    'RESOLVE_BENEATH|RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS|RESOLVE_NO_XDEV|RESOLVE_CACHED',
  );
});

test('clone flags: without the exit signal, the highest bit included', () => {
  assert.equal(cloneFlagsText(17), '');
  assert.equal(cloneFlagsText(0x01200011), 'CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID');
  assert.equal(cloneFlagsText(0x80000000 | 0), 'CLONE_IO');
  assert.equal(cloneFlagsText(0x10000000 | 0x20000), 'CLONE_NEWNS|CLONE_NEWUSER');
  assert.equal(
    cloneFlagsText(0x3d0f00),
    'CLONE_FILES|CLONE_FS|CLONE_PARENT_SETTID|CLONE_SIGHAND|CLONE_SYSVSEM|CLONE_THREAD|CLONE_VM|CLONE_CHILD_CLEARTID|CLONE_SETTLS',
  );
});

test('exec flags', () => {
  const { FILE_MEMFD, FILE_UPPER_LAYER, FILE_LOWER_LAYER } = FILE_FLAGS;
  assert.equal(execFlagsText(0, false), '');
  assert.equal(execFlagsText(FILE_UPPER_LAYER, true), 'EXE_WRITABLE|EXE_UPPER_LAYER');
  assert.equal(execFlagsText(FILE_MEMFD, true), 'EXE_WRITABLE|EXE_FROM_MEMFD');
  assert.equal(execFlagsText(FILE_LOWER_LAYER, false), 'EXE_LOWER_LAYER');
});
