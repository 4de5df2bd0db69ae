import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENT_NAMES } from '../../../src/events/table.gen.ts';
import { hooksFor } from '../../../src/plan/hooks.ts';

test('only what the rules need is attached', () => {
  assert.deepEqual(hooksFor(new Set()), []);
  assert.deepEqual(hooksFor(new Set(['connect'])), ['io_uring', 'sys_connect', 'tcp_connect']);
  assert.deepEqual(hooksFor(new Set(['open', 'unlink'])), ['sys_open', 'sys_unlink']);
  assert.deepEqual(hooksFor(new Set(['execve', 'openat'])), [
    'io_uring',
    'sys_execve',
    'sys_execveat',
    'sys_openat',
  ]);
});

test('process life comes from hooks that stay attached', () => {
  assert.deepEqual(hooksFor(new Set(['clone', 'vfork', 'procexit'])), []);
});

test('every event of the table has its hooks', () => {
  const hooks = hooksFor(new Set(EVENT_NAMES));
  for (const name of EVENT_NAMES) {
    if (['clone', 'clone3', 'fork', 'vfork', 'procexit'].includes(name)) continue;
    // The kernel's name of the call is the older one.
    assert.ok(hooks.includes(`sys_${name === 'umount2' ? 'umount' : name}`), name);
  }
  assert.ok(hooks.includes('sys_fchmodat2'), 'a newer call that is reported as an older one');
  assert.equal(new Set(hooks).size, hooks.length);
});
