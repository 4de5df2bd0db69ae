import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENT_NAMES } from '../../../src/events/table.gen.ts';
import { hooksFor } from '../../../src/plan/hooks.ts';

test('only what the rules need is attached', () => {
  assert.deepEqual(hooksFor(new Set()), []);
  assert.deepEqual(hooksFor(new Set(['connect'])), ['sys_connect']);
  assert.deepEqual(hooksFor(new Set(['execve', 'openat'])), [
    'sys_execve',
    'sys_execveat',
    'sys_openat',
  ]);
});

test('process life comes from hooks that stay attached', () => {
  assert.deepEqual(hooksFor(new Set(['clone', 'vfork', 'procexit'])), []);
});

test('every event of the table has its hooks', () => {
  assert.deepEqual(hooksFor(new Set(EVENT_NAMES)), [
    'sys_connect',
    'sys_creat',
    'sys_execve',
    'sys_execveat',
    'sys_open',
    'sys_openat',
    'sys_openat2',
  ]);
});
