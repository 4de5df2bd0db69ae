import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { normalizePath, withoutProcRoot } from '../../../src/shared/path.ts';

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
      if (!text.includes('root')) assert.equal(found, normalizePath(text));
    }),
  );
  const long = '/proc/self/root'.repeat(273);
  assert.equal(withoutProcRoot(`${long}/etc`), '/etc');
});
