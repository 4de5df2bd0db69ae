// What a program could do to have a request missed, or taken for another.
import assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { isRaced, pathOf } from '../../src/rules/fields/descriptor.ts';
import type { View } from '../../src/rules/fields/field.ts';
import {
  assertOpen,
  dir,
  forbidden,
  isUnknown,
  openOf,
  run,
  uringSuite,
} from '../support/kernel-uring.ts';

const AT_FDCWD = -100;
const SILENT = 77;
const ENOENT = -2;
const SOCK_DGRAM = 2;
/** URING_WAITING_MAX in native/probe/hooks/uring.bpf.c */
const WAITING_MAX = 1024;

describe('io_uring misused', { skip: forbidden() && 'io_uring is disabled on this host' }, () => {
  uringSuite();

  test('paths and addresses are the kernel’s copy, whatever memory says afterwards', async () => {
    const { made, events } = await run(
      'plain',
      ['late', 'openat', AT_FDCWD, '/etc/shadow', 0, 0, 0],
      ['late', 'openat', AT_FDCWD, 'none', 0, 0, 0],
      ['late', 'connect', SOCK_DGRAM, '127.0.0.1', 9],
      ['late', 'renameat', AT_FDCWD, 'file', AT_FDCWD, 'other', 0],
    );
    assertOpen(events[0], made[0], '/etc/shadow');
    assert.equal(openOf(events[0]).rawPath, '/etc/shadow');
    assert.equal(events[1]!.result, ENOENT);
    assert.equal(openOf(events[1]).rawPath, 'none');
    assert.equal(events[2]!.param('addr'), '127.0.0.1:9');
    assert.equal(events[3]!.result, 0);
    assert.equal(events[3]!.param('newpath'), join(dir, 'other'));
    assert.equal(existsSync(join(dir, 'other')), true);
  });

  test('no way to hide the end of a request: it is reported as if it had succeeded', async () => {
    const { made, events } = await run(
      'plain',
      ['silent', 'openat', AT_FDCWD, '/etc/shadow', 0, 0, 1],
      ['silent', 'unlinkat', AT_FDCWD, 'link', 0],
      ['silent', 'openat', AT_FDCWD, '/proc/self/cwd/file', 0, 0, 1],
      ['silent', 'unlinkat', AT_FDCWD, '/proc/self/cwd/file', 0],
    );
    assert.deepEqual(
      made.map(({ ret }) => ret),
      [SILENT, SILENT, SILENT, SILENT],
    );
    assert.deepEqual(
      events.map((event) => [event.type, event.result, isUnknown(event)]),
      [
        ['openat', 0, true],
        ['unlinkat', 0, true],
        ['openat', 0, true],
        ['unlinkat', 0, true],
      ],
    );
    assert.equal(pathOf({ event: events[2] } as unknown as View), join(dir, 'file'));
    assert.equal(events[3]!.param('name'), join(dir, 'file'));
    writeFileSync(join(dir, 'file'), 'text');
    assert.equal(openOf(events[0]).rawPath, '/etc/shadow');
    assert.equal(openOf(events[0]).file, undefined);
    assert.equal(events[1]!.param('name'), join(dir, 'link'));

    const full = await run(
      'small',
      ['full', 'openat', AT_FDCWD, '/etc/shadow', 0, 0, 0],
      ['openat', AT_FDCWD, 'file', 0, 0, 0],
    );
    assert.deepEqual(
      full.events.map((event) => openOf(event).rawPath),
      ['/etc/shadow', 'file'],
    );
    // Linux 6.1 says the end of such a request like any other
    const [shadow, file] = full.events;
    if (!isUnknown(shadow!)) assertOpen(shadow, full.made[0], '/etc/shadow');
    assertOpen(file, full.made[1], join(dir, 'file'));
    assert.ok(full.made[0]!.ret > 2, 'it did open');
  });

  test('a descriptor that is another file’s before the completion: the claim is whole', async () => {
    const { made, events } = await run('plain', ['swap', 'file', '/etc/hostname']);
    assert.ok(made[0]!.ret > 2);
    assert.deepEqual(
      events.map((event) => [event.result, event.open?.rawPath, event.open?.directoryPath]),
      [
        [made[0]!.ret, 'file', dir],
        [made[0]!.ret, '/etc/hostname', ''],
      ],
    );
    const raced = (view: object): boolean => isRaced(view as View);
    assert.equal(openOf(events[1]).file?.path, '/etc/hostname');
    assert.equal(raced({ event: events[0] }), openOf(events[0]).file?.path !== join(dir, 'file'));
    assert.equal(raced({ event: events[1] }), false);
  });

  test('more requests at once than can be waited for: none is missed', async () => {
    const { made, events } = await run('large', ['pile', 1500, 'file']);
    assert.equal(made[0]?.ret, 0);
    assert.equal(events.length, 1500);
    assert.equal(events.filter(isUnknown).length, 1500 - WAITING_MAX);
    for (const event of events) assert.equal(event.open?.rawPath, 'file');
    const known = events.filter((event) => !isUnknown(event));
    assert.equal(
      known.filter((event) => event.open?.file?.path === join(dir, 'file')).length,
      WAITING_MAX,
    );
    // they have all gone: as many fit again
    const again = await run('large', ['pile', 1000, 'file']);
    assert.equal(again.events.length, 1000);
    assert.equal(again.events.filter(isUnknown).length, 0);
  });
});
