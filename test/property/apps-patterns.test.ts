import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  compilePattern,
  CRI_PATTERNS,
  DOCKER_PATTERNS,
  GARDEN_PATTERNS,
  matchPath,
  PODMAN_PATTERNS,
} from '../../src/apps/patterns.ts';
import type { ScopePattern } from '../../src/probe/scope.ts';
import { UserError } from '../../src/shared/user-error.ts';
import { runs } from '../support/runs.ts';

const PATTERNS: readonly ScopePattern[] = [
  ...DOCKER_PATTERNS,
  ...GARDEN_PATTERNS,
  ...CRI_PATTERNS,
  ...PODMAN_PATTERNS,
  compilePattern('/demo/*'),
  compilePattern('/apps/**/web-*.scope'),
];

const id = fc.stringMatching(/^[0-9a-f]{64}$/);
const component = fc.oneof(
  { weight: 4, arbitrary: id },
  fc.constantFrom('docker', 'system.slice', 'garden', 'good', 'bad', 'kubepods', 'demo', 'apps'),
  fc.constantFrom('kubepods.slice', 'machine.slice', 'libpod_parent', 'init', 'web-1.scope', '..'),
  id.map((hex) => `docker-${hex}.scope`),
  id.map((hex) => `cri-containerd-${hex}.scope`),
  fc
    .string({ minLength: 1, maxLength: 20, unit: 'binary' })
    .filter((name) => !name.includes('/') && !name.includes('\0')),
);
const path = fc.array(component, { minLength: 1, maxLength: 6 }).map((all) => `/${all.join('/')}`);

/** A pattern against one whole path, as a regular expression: written apart from the code under test. */
function expressionOf(pattern: ScopePattern): RegExp {
  const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
  const handle = { hex64: '[0-9a-f]{64}', any: '[^/]+', none: '' }[pattern.handle];
  const between = pattern.deep ? '(?:[^/]+/)*' : '';
  return new RegExp(
    `^${literal(pattern.prefix)}${between}${literal(pattern.leafPrefix)}(${handle})${literal(pattern.leafSuffix)}$`,
    's',
  );
}

/** The kernel's way: each mkdir looks at its parent's entry, then at the patterns in order. */
function kernelRoot(target: string): string | undefined {
  const roots = new Map<string, string>();
  const components = target.slice(1).split('/');
  for (let depth = 1; depth <= components.length; depth++) {
    const made = `/${components.slice(0, depth).join('/')}`;
    const above = roots.get(made.slice(0, made.lastIndexOf('/')));
    if (above !== undefined) {
      roots.set(made, above);
      continue;
    }
    const first = PATTERNS.find((pattern) => expressionOf(pattern).test(made));
    if (first !== undefined && first.negative !== true) roots.set(made, made);
  }
  return roots.get(target);
}

test('matching a path is what the kernel decides from mkdir to mkdir', () => {
  fc.assert(
    fc.property(path, (target) => {
      assert.equal(matchPath(PATTERNS, target)?.rootPath, kernelRoot(target));
    }),
    { numRuns: runs(2000) },
  );
});

test('no name nested below a container changes whose it is', () => {
  const base = fc.oneof(
    id.map((hex) => `/docker/${hex}`),
    id.map((hex) => `/system.slice/docker-${hex}.scope`),
    id.map((hex) => `/kubepods/burstable/pod1/${hex}`),
    fc.constant('/garden/bad/h1'),
    fc.constant('/demo/x'),
  );
  fc.assert(
    fc.property(base, path, (container, nested) => {
      const outer = matchPath(PATTERNS, container);
      assert.equal(outer?.rootPath, container);
      assert.deepEqual(matchPath(PATTERNS, container + nested), outer);
    }),
    { numRuns: runs(1000) },
  );
});

test('the handle and the literals around it are the last component of the root', () => {
  fc.assert(
    fc.property(path, (target) => {
      const match = matchPath(PATTERNS, target);
      if (match === undefined) return;
      const { pattern, handle, rootPath } = match;
      assert.ok(target === rootPath || target.startsWith(`${rootPath}/`));
      assert.ok(rootPath.endsWith(`/${pattern.leafPrefix}${handle}${pattern.leafSuffix}`));
      assert.ok(handle !== '' && !handle.includes('/'));
    }),
    { numRuns: runs(1000) },
  );
});

test('any text compiles, or is a UserError', () => {
  const text = fc.oneof(
    fc.string({ maxLength: 80, unit: 'binary' }),
    fc
      .array(fc.constantFrom('/', '*', '**', 'a', 'b-', '.scope', '..', 'é'), { maxLength: 9 })
      .map((all) => all.join('')),
  );
  fc.assert(
    fc.property(text, (pattern) => {
      try {
        const compiled = compilePattern(pattern);
        assert.ok(Buffer.byteLength(compiled.prefix) <= 63);
        const example = pattern.replace('/**/', '/').replace('*', 'handle');
        assert.equal(matchPath([compiled], example)?.handle, 'handle');
      } catch (error) {
        assert.ok(error instanceof UserError, String(error));
      }
    }),
    { numRuns: runs(2000) },
  );
});
