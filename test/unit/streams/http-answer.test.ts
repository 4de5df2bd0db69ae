import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MAX_RETRY_AFTER_MS, verdictOf } from '../../../src/streams/http/answer.ts';

const NOW = Date.parse('2026-01-31T08:00:00Z');

function later(retryAfter: string | undefined): number | undefined {
  const headers = retryAfter === undefined ? {} : { 'retry-after': retryAfter };
  const verdict = verdictOf(503, headers, '', NOW);
  assert.ok(verdict.kind === 'later');
  return verdict.retryAfterMs;
}

test('each class of answers', () => {
  const kinds: Record<string, readonly number[]> = {
    taken: [200, 201, 202, 204, 299],
    refused: [300, 301, 302, 304, 307, 308, 400, 402, 404, 405, 410, 413, 415, 422, 451, 499],
    later: [401, 403, 407, 408, 425, 429, 500, 501, 502, 503, 504, 599, 600, 0],
  };
  for (const [kind, statuses] of Object.entries(kinds)) {
    for (const status of statuses)
      assert.equal(verdictOf(status, {}, '', NOW).kind, kind, String(status));
  }
});

test('Retry-After: seconds, dates, nonsense, too much', () => {
  assert.equal(later('0'), 0);
  assert.equal(later(' 120 '), 120_000);
  assert.equal(later('Sat, 31 Jan 2026 08:00:30 GMT'), 30_000);
  assert.equal(later('Saturday, 31-Jan-26 08:00:30 GMT'), 30_000);
  assert.equal(later('Sat Jan 31 08:00:30 2026 GMT'), 30_000);
  assert.equal(later('Sat, 31 Jan 2026 07:00:00 GMT'), 0, 'a date that is over');
  assert.equal(later('9999999999'), MAX_RETRY_AFTER_MS);
  assert.equal(later('Sat, 31 Jan 2099 07:00:00 GMT'), MAX_RETRY_AFTER_MS);
  for (const nonsense of ['-5', '1.5', '1e3', 'soon', '2026-01-31', '99999999999', '', undefined])
    assert.equal(later(nonsense), undefined, nonsense);
});

test('what a receiver says is in the sentence: one visible line, and not all of it', () => {
  const verdict = verdictOf(400, {}, `Please send\n a valid\x1b[2J\0 body ${'x'.repeat(500)}`, NOW);
  assert.ok(verdict.kind === 'refused');
  assert.match(
    verdict.reason,
    /^it refuses the request \(400: Please send a valid\\x1b\[2J\\x00 body x{100,150}…\)$/,
  );
  const elsewhere = verdictOf(307, { location: 'https://evil.test/\x1b' }, '', NOW);
  assert.deepEqual(elsewhere, {
    kind: 'refused',
    reason: 'it redirects the request (307 to https://evil.test/\\x1b); redirects are not followed',
  });
});
