import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deniedOf } from '../../../src/evaluation/denied.ts';
import { makeEvent, makeExec, makeOpen } from '../../support/rules-subject.ts';

const EPERM = -1;

test('what the event says was denied, by what it is', () => {
  const open = makeOpen('/x');
  for (const [event, denied] of [
    [makeEvent('execve', { exec: makeExec(), denied: true }), 'program'],
    [makeEvent('connect', { result: EPERM, denied: true }), 'connection'],
    [makeEvent('openat', { result: EPERM, open, denied: true }), 'file'],
    [makeEvent('rename', { result: EPERM, denied: true }), 'change'],
    [makeEvent('openat', { result: EPERM, open }), undefined],
  ] as const)
    assert.equal(deniedOf(event, false), denied);
});

test('beside a former agent’s programs a refused call counts as denied, and no other', () => {
  const open = makeOpen('/x');
  for (const [event, denied] of [
    [makeEvent('connect', { result: EPERM }), 'connection'],
    [makeEvent('openat', { result: EPERM, open }), 'file'],
    [makeEvent('connect', { result: -111 }), undefined],
    [makeEvent('openat', { result: 3, open }), undefined],
    [makeEvent('unlink', { result: EPERM }), 'change'],
    [makeEvent('unlink', { result: -2 }), undefined],
    [makeEvent('mknod', { result: EPERM }), 'call'],
    [makeEvent('setns', { result: EPERM }), undefined],
  ] as const)
    assert.equal(deniedOf(event, true), denied);
});
