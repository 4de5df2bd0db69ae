import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  absolutePath,
  directoryOf,
  normalizePath,
  withoutProcRoot,
} from '../../../src/shared/path.ts';

test('paths', () => {
  assert.equal(normalizePath('/a/./b//c/../d/'), '/a/b/d');
  assert.equal(normalizePath('/../..'), '/');
  assert.equal(normalizePath('/a/..b/.c'), '/a/..b/.c');
  assert.equal(directoryOf('/x'), '/');
  assert.equal(directoryOf('x'), undefined);
});

test('a detour by a process’s root is left out, however it is written', () => {
  const cases: Readonly<Record<string, string>> = {
    '/proc/self/root/etc/passwd': '/etc/passwd',
    '//proc/.//self/./root/etc/passwd': '/etc/passwd',
    '/x/../proc/1/root/etc/passwd': '/etc/passwd',
    '/proc/thread-self/root/etc': '/etc',
    '/proc/self/task/12/root/etc': '/etc',
    '/proc/7/task/12/root': '/',
    // The root's own parent is the root.
    '/proc/self/root/../etc/passwd': '/etc/passwd',
    '/proc/self/root/proc/2/root/../proc/self/root/x': '/x',
    '/proc/self/root/proc/self/fd/3': '/proc/self/fd/3',
    '/proc/self/rootx/a': '/proc/self/rootx/a',
    '/a/proc/self/root/x': '/a/proc/self/root/x',
    '/proc/self/cwd/x': '/proc/self/cwd/x',
    // Where the kernel goes up from a descriptor, the text cannot say.
    '/proc/40/fd/3/../../../../ssh_host_rsa_key': '/proc/40/fd/3/../../../../ssh_host_rsa_key',
    '//proc/./self/fd/3/../..': '/proc/self/fd/3/../..',
    '/x/../proc/self/root/proc/40/cwd/./../x': '/proc/40/cwd/../x',
    '/proc/40/cwd/../root/x': '/proc/40/cwd/../root/x',
    '/proc/thread-self/../../cwd/x': '/proc/thread-self/../../cwd/x',
    '/proc/net/../../40/cwd/x': '/proc/net/../../40/cwd/x',
    '/dev/fd/../cwd/x': '/dev/fd/../cwd/x',
    '/dev//fd/3/../x': '/dev/fd/3/../x',
    '/dev/stdin/../x': '/dev/stdin/../x',
    '/proc/self/task/41/fd/3/../x': '/proc/self/task/41/fd/3/../x',
    // There it can.
    '/proc/self/../../etc/x': '/etc/x',
    '/proc/40/../40/root/../etc/x': '/etc/x',
    '/proc/40/fd/../../sys/x': '/proc/sys/x',
    '/dev/shm/../x': '/dev/x',
    '/proc/../etc/x': '/etc/x',
    '/': '/',
  };
  for (const [path, expected] of Object.entries(cases))
    assert.equal(withoutProcRoot(path), expected);
});

test('any path: the same again, and what normalizePath makes where there is no detour', () => {
  const part = fc.constantFrom('proc', 'self', 'root', 'task', '1', '..', '.', '', 'etc');
  const path = fc.array(part, { maxLength: 12 }).map((parts) => `/${parts.join('/')}`);
  fc.assert(
    fc.property(path, (text) => {
      const found = withoutProcRoot(text);
      assert.equal(withoutProcRoot(found), found);
      assert.doesNotMatch(found, /^\/proc\/(?:self|1)\/root(?:\/|$)/);
      if (!text.includes('proc')) assert.equal(found, normalizePath(text));
    }),
  );
  const long = '/proc/self/root'.repeat(273);
  assert.equal(withoutProcRoot(`${long}/etc`), '/etc');
});

test('a passed path, from where it starts or where its detour leads', () => {
  const cases: readonly (readonly [passed: string, start: string, path: string | undefined])[] = [
    ['x', '/srv', '/srv/x'],
    ['../etc/shadow', '/srv', '/etc/shadow'],
    ['', '/etc/shadow', '/etc/shadow'],
    ['x', '', undefined],
    ['/proc/self/root/etc/x', '', '/etc/x'],
    ['/proc/self/fd/3', '/etc/shadow', '/etc/shadow'],
    ['/proc/thread-self/fd/3/../x', '/etc/ssh', '/etc/x'],
    ['/proc/self/cwd/shadow', '/etc', '/etc/shadow'],
    ['/dev/fd/12/$&', '/etc', '/etc/$&'],
    ['/proc/self/fd/3', '', '/proc/self/fd/3'],
    // What the probe does not take for one.
    ['/proc/self/fd/3x', '/etc', '/proc/self/fd/3x'],
    ['/proc/7/fd/3', '/etc', '/proc/7/fd/3'],
    ['40/fd/3/../../x', '/proc', '/proc/40/fd/3/../../x'],
  ];
  for (const [passed, start, path] of cases)
    assert.equal(absolutePath(passed, start), path, `${passed} from ${start}`);
});
