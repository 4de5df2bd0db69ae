import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAbsent } from '../../../src/apps/absent-runtime.ts';
import type { RuntimeStatus } from '../../../src/apps/runtimes/runtime.ts';

const counters = { connects: 0, questions: 0, failures: 0, refused: 0 };
const docker: RuntimeStatus = { name: 'docker', connected: false, message: '', counters };
const missing = { enabled: 'auto', socket: '/nope/docker.sock' } as const;

test('a host without Docker lacks nothing, if nobody asked for Docker', () => {
  assert.ok(isAbsent(docker, { docker: missing }));
  assert.ok(!isAbsent(docker, { docker: { ...missing, enabled: true } }), 'it is wanted');
  assert.ok(!isAbsent(docker, { docker: { ...missing, socket: '/dev/null' } }), 'it is there');
  const before = { ...docker, counters: { ...counters, connects: 1 } };
  assert.ok(!isAbsent(before, { docker: missing }), 'it was here');
  assert.ok(!isAbsent({ ...docker, name: 'garden' }, { docker: missing }), 'another runtime');
});
