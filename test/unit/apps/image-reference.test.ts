import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseImageReference } from '../../../src/apps/image-reference.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

test('image references', () => {
  const table: [string, string | undefined, string | undefined, string | undefined][] = [
    ['app', 'app', undefined, undefined],
    ['app:1', 'app', '1', undefined],
    ['registry/app:1', 'registry/app', '1', undefined],
    ['registry:5000/app', 'registry:5000/app', undefined, undefined],
    ['registry:5000/a/b:x', 'registry:5000/a/b', 'x', undefined],
    [`app@${DIGEST}`, 'app', undefined, DIGEST],
    [`r:1/app:2@${DIGEST}`, 'r:1/app', '2', DIGEST],
    [DIGEST, undefined, undefined, DIGEST],
    ['a'.repeat(64), undefined, undefined, DIGEST],
    ['', undefined, undefined, undefined],
  ];
  for (const [reference, repository, tag, digest] of table) {
    assert.deepEqual(parseImageReference(reference), { repository, tag, digest }, reference);
  }
});
