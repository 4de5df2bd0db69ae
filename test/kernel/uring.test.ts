import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  assertOpen,
  dir,
  forbidden,
  isUnknown,
  openOf,
  probe,
  run,
  uringSuite,
} from '../support/kernel-uring.ts';

const AT_FDCWD = -100;
const O_RDWR_CREAT_EXCL = 0o302;
const AT_REMOVEDIR = 0x200;
const ENOENT = -2;
const ECONNREFUSED = -111;
const RESOLVE_NO_SYMLINKS = 4;
const AF_INET = 2;
const AF_PACKET = 17;
const EPROTONOSUPPORT = -93;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const RENAME_NOREPLACE = 1;

describe('io_uring', { skip: forbidden() && 'io_uring is disabled on this host' }, () => {
  uringSuite();

  for (const ring of ['plain', 'sqpoll'] as const) {
    test(`opens: ${ring}`, async () => {
      const file = join(dir, 'file');
      const { made, events } = await run(
        ring,
        ['openat', AT_FDCWD, '/etc/shadow', 0, 0, 0],
        ['openat', AT_FDCWD, 'sub', 0o200000, 0, 0],
        ['openat', '@1', '../file', 2, 0, 0],
        ['openat', AT_FDCWD, 'made', O_RDWR_CREAT_EXCL, 0o640, 0],
        ['async', 'openat', AT_FDCWD, file, 0, 0, 0],
        ['openat2', AT_FDCWD, 'file', 0, 0, RESOLVE_NO_SYMLINKS, 0],
        ['openat', AT_FDCWD, 'sub/none', 0, 0, 0],
        ['openat2', AT_FDCWD, 'link', 0, 0, RESOLVE_NO_SYMLINKS, 0],
      );
      assert.deepEqual(
        events.map(({ type }) => type),
        made.map(({ op }) => op),
      );
      assertOpen(events[0], made[0], '/etc/shadow');
      assertOpen(events[1], made[1], join(dir, 'sub'));
      assertOpen(events[2], made[2], file);
      assertOpen(events[3], made[3], join(dir, 'made'));
      assertOpen(events[4], made[4], file);
      assertOpen(events[5], made[5], file);
      const [shadow, , relative, created, , second, failed, loop] = events;
      assert.equal(openOf(shadow).rawPath, '/etc/shadow');
      assert.equal(shadow!.param('flags'), 'O_RDONLY');
      assert.equal(openOf(relative).rawPath, '../file');
      assert.equal(relative!.param('dirfd'), made[1]?.ret);
      assert.equal(relative!.param('flags'), 'O_RDWR');
      assert.equal(openOf(created).created, true);
      assert.equal(created!.param('mode'), 0o640);
      assert.equal(second!.param('resolve'), 'RESOLVE_NO_SYMLINKS');
      assert.equal(failed!.result, ENOENT);
      assert.equal(openOf(failed).file, undefined);
      assert.equal(openOf(failed).rawPath, 'sub/none');
      assert.equal(openOf(failed).directoryPath, dir);
      assert.equal(loop!.result, -40);
      for (const event of events) {
        assert.equal(event.tid, event.pid, 'not the thread that the kernel made');
        assert.equal(event.comm, 'uring-calls');
      }
    });

    test(`the file of a slot: ${ring}`, async () => {
      const { made, events } = await run(
        ring,
        ['openat', AT_FDCWD, 'file', 0, 0, 2],
        ['openat', AT_FDCWD, '/etc/shadow', 0, 0, 0xffffffff],
        ['openat', AT_FDCWD, 'none', 0, 0, 3],
      );
      assert.deepEqual(
        made.map(({ ret }) => ret),
        [0, 2, ENOENT],
      );
      assertOpen(events[0], made[0], join(dir, 'file'));
      assertOpen(events[1], made[1], '/etc/shadow');
      assert.equal(openOf(events[2]).file, undefined);
      assert.equal(events[2]!.result, ENOENT);
    });
  }

  test('connects', async () => {
    const { made, events } = await run(
      'plain',
      ['connect', SOCK_DGRAM, '127.0.0.1', 9],
      ['connect', SOCK_STREAM, '127.0.0.1', 1],
    );
    assert.deepEqual(
      events.map((event) => [event.type, event.result]),
      [
        ['connect', 0],
        ['connect', ECONNREFUSED],
      ],
    );
    const tuple = events[0]!.call?.socket?.tuple;
    assert.deepEqual(
      [tuple?.remoteIp, tuple?.remotePort, tuple?.localPort],
      ['127.0.0.1', 9, made[0]?.port],
    );
    assert.equal(events[0]!.param('fd'), made[0]?.fd);
    assert.equal(events[0]!.param('addr'), '127.0.0.1:9');
    assert.equal(events[1]!.call?.socket?.tuple, undefined);
    assert.equal(events[1]!.param('addr'), '127.0.0.1:1');
  });

  test('new sockets: by a descriptor, in a slot, and refused', async () => {
    const { made, events } = await run(
      'plain',
      ['socket', AF_PACKET, SOCK_DGRAM, 0x300, 0],
      ['socket', AF_INET, SOCK_STREAM, 0, 2],
      ['async', 'socket', AF_INET, SOCK_STREAM, 99, 0],
      ['silent', 'socket', AF_PACKET, SOCK_DGRAM, 0, 3],
    );
    assert.ok(made[0]!.ret > 2);
    assert.deepEqual(
      events.map((event) => [event.type, event.result, isUnknown(event)]),
      [
        ['socket', made[0]!.ret, false],
        ['socket', 0, false],
        ['socket', EPROTONOSUPPORT, false],
        ['socket', 0, true],
      ],
    );
    const [packet, stream, refused, silent] = events;
    assert.deepEqual(
      [packet!.param('domain'), packet!.param('type'), packet!.param('proto')],
      ['AF_PACKET', SOCK_DGRAM, 0x300],
    );
    assert.equal(packet!.call?.socket?.family, AF_PACKET);
    assert.deepEqual([packet!.call.fd, stream!.call?.fd], [made[0]!.ret, -1]);
    assert.equal(stream!.call?.socket?.family, AF_INET);
    assert.equal(refused!.call?.socket, undefined);
    assert.equal(silent!.param('domain'), 'AF_PACKET');
  });

  test('changes of names', async () => {
    const at = (name: string): string => join(dir, name);
    const { made, events } = await run(
      'plain',
      ['mkdirat', AT_FDCWD, 'new', 0o750],
      ['openat', AT_FDCWD, 'new', 0o200000, 0, 0],
      ['symlinkat', '/etc/shadow', '@1', 'soft'],
      ['linkat', AT_FDCWD, 'file', '@1', 'hard', 0],
      ['renameat', AT_FDCWD, 'file', '@1', 'moved', 0],
      ['renameat', '@1', 'moved', AT_FDCWD, at('back'), RENAME_NOREPLACE],
      ['unlinkat', '@1', 'hard', 0],
      ['unlinkat', AT_FDCWD, 'sub', AT_REMOVEDIR],
      ['unlinkat', AT_FDCWD, 'none', 0],
    );
    assert.deepEqual(
      events.map((event) => event.result),
      made.map(({ ret }) => ret),
    );
    const fd = made[1]!.ret;
    const expected: readonly (readonly [string, Record<string, unknown>])[] = [
      ['mkdirat', { res: 0, dirfd: AT_FDCWD, path: at('new'), mode: 0o750 }],
      ['openat', {}],
      ['symlinkat', { res: 0, target: '/etc/shadow', linkdirfd: fd, linkpath: at('new/soft') }],
      ['linkat', { res: 0, oldpath: at('file'), newdir: fd, newpath: at('new/hard'), flags: '' }],
      ['renameat', { res: 0, oldpath: at('file'), newdirfd: fd, newpath: at('new/moved') }],
      [
        'renameat2',
        {
          res: 0,
          olddirfd: fd,
          oldpath: at('new/moved'),
          newpath: at('back'),
          flags: 'RENAME_NOREPLACE',
        },
      ],
      ['unlinkat', { res: 0, dirfd: fd, name: at('new/hard'), flags: '' }],
      ['unlinkat', { res: 0, name: at('sub'), flags: 'AT_REMOVEDIR' }],
      ['unlinkat', { res: ENOENT, name: at('none') }],
    ];
    assert.deepEqual(
      events.map(({ type }) => type),
      expected.map(([type]) => type),
    );
    expected.forEach(([type, params], index) => {
      for (const [name, value] of Object.entries(params)) {
        const seen = events[index]!.param(name);
        const at = value === AT_FDCWD ? [AT_FDCWD, 'AT_FDCWD'] : [value];
        assert.ok(at.includes(seen), `${type} ${name}: ${String(seen)}, not ${String(value)}`);
      }
    });
  });

  test('only what is wanted: hooks, and opens that a rule can match', async () => {
    const requests = [
      ['openat', AT_FDCWD, '/etc/shadow', 0, 0, 0],
      ['openat', AT_FDCWD, 'none', 0, 0, 0],
      ['unlinkat', AT_FDCWD, 'none', 0],
    ] as const;
    const messages = { newPeer: true, other: true };
    const dups = { network: true, other: true };
    const sockets = { ordinary: true, local: true, other: true };
    probe.probe.setMasks({
      opens: { read: true, write: true, failed: false },
      messages,
      dups,
      sockets,
      env: false,
    });
    probe.probe.detach('sys_unlinkat');
    try {
      const { events } = await run('plain', ...requests);
      assert.deepEqual(
        events.map((event) => event.open?.rawPath),
        ['/etc/shadow'],
      );
      probe.probe.setMasks({
        opens: { read: false, write: true, failed: false },
        messages,
        dups,
        sockets,
        env: false,
      });
      assert.deepEqual((await run('plain', ...requests)).events, []);
    } finally {
      probe.probe.attach('sys_unlinkat');
      probe.probe.setMasks({
        opens: { read: true, write: true, failed: true },
        messages,
        dups,
        sockets,
        env: false,
      });
    }
    assert.equal((await run('plain', ...requests)).events.length, 3);
  });
});
