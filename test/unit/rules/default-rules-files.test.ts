import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SECOND, YOUNG, names, started } from '../../support/default-rules.ts';
import {
  BOOT_NS,
  makeEvent,
  makeOpen,
  makeProcess,
  openForRead,
  openForWrite,
} from '../../support/rules-subject.ts';

describe('the default rules about files that are written', () => {
  test('Log cleared', () => {
    const rule = 'Log cleared';
    const emptied = (path: string) => names(openForWrite(path, { flags: 0o1001 }));
    for (const path of ['/var/log/wtmp', '/var/log/auth.log', '/var/log/nginx/access.log'])
      assert.deepEqual(emptied(path), [rule], path);
    for (const path of ['/app/log/access.log', '/data/messages', '/var/log/shop/error.log'])
      assert.deepEqual(emptied(path), [], path);
    assert.deepEqual(names(openForWrite('/var/log/wtmp')), []);
  });

  test('Write below a system directory', () => {
    const rule = 'Write below a system directory';
    for (const path of [
      '/bin/x',
      '/usr/bin/x',
      '/usr/lib/x86_64-linux-gnu/libc.so.6',
      '/lib/x',
      '/etc/crontab',
      '/usr/local/bin/x',
    ]) {
      const more = path === '/etc/crontab' ? ['Scheduled job written'] : [];
      assert.deepEqual(names(openForWrite(path)), [...more, rule], path);
    }
    for (const path of ['/app/bin/x', '/tmp/etc/x', '/var/lib/x', '/binary']) {
      assert.deepEqual(names(openForWrite(path)), [], path);
    }
    const creat = makeEvent('creat', {
      result: 3,
      open: makeOpen('/bin/x', { forRead: false, forWrite: true }),
    });
    assert.deepEqual(names(creat), [rule]);
    // Start scripts write configuration, but no programs.
    const script = started('/bin/bash', [], {
      parent: makeProcess({ startBootNs: BOOT_NS - SECOND }),
    });
    assert.deepEqual(names(openForWrite('/etc/nginx/nginx.conf'), script, YOUNG), []);
    assert.deepEqual(names(openForWrite('/usr/bin/x'), script, YOUNG), [rule]);
    const pyc = '/usr/local/lib/python3.12/__pycache__/json.cpython-312.pyc.123';
    assert.deepEqual(names(openForWrite(pyc), started('/usr/local/bin/python3.12')), []);
    assert.deepEqual(names(openForWrite(pyc), started('/usr/bin/wget')), [rule]);
  });

  test('Container escape file opened for writing', () => {
    const rule = 'Container escape file opened for writing';
    for (const path of [
      '/tmp/cg/release_agent',
      '/proc/sys/kernel/core_pattern',
      '/sys/kernel/uevent_helper',
    ]) {
      const more = path.startsWith('/proc/sys/') ? ['Kernel setting written'] : [];
      assert.deepEqual(names(openForWrite(path)), [rule, ...more], path);
      const refused = makeEvent('openat', {
        result: -30,
        open: makeOpen(path, { file: undefined, forRead: false, forWrite: true }),
      });
      assert.deepEqual(names(refused), [rule], path);
      assert.deepEqual(names(openForRead(path)), [], path);
    }
  });

  test('SSH authorized keys written', () => {
    assert.deepEqual(names(openForWrite('/root/.ssh/authorized_keys')), [
      'SSH authorized keys written',
    ]);
    assert.deepEqual(names(openForRead('/root/.ssh/authorized_keys')), []);
  });

  test('Shell history tampered with', () => {
    const rule = 'Shell history tampered with';
    const path = '/root/.bash_history';
    const bash = started('/bin/bash');
    assert.deepEqual(names(openForWrite(path)), [rule]);
    assert.deepEqual(names(openForWrite(path, { flags: 0o1001 }), bash), [rule]);
    // What a shell does at its end.
    assert.deepEqual(names(openForWrite(path, { flags: 0o2001 }), bash), []);
    assert.deepEqual(names(openForWrite(path, { flags: 0o1101, created: true }), bash), []);
  });
});
