import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { all, CONNECT, EXEC, OPEN, operand, read } from '../../support/rules-field-reads.ts';
import { makeEvent, makeExec, makeOpen, makeSubject } from '../../support/rules-subject.ts';

describe('evt.arg', () => {
  test('S8: ids are names, numbers are in evt.rawarg', () => {
    all(EXEC, {
      'evt.arg.uid': 'vcap',
      'evt.rawarg.uid': 1000,
      'evt.arg.gid': '<NA>',
      'evt.rawarg.gid': 77,
      'evt.arg.loginuid': '<NONE>',
      'evt.rawarg.loginuid': 4_294_967_295,
    });
    // Clones have them as plain numbers.
    all(makeSubject(makeEvent('clone', { params: { uid: 1000 } })), { 'evt.arg.uid': '1000' });
  });

  test('E8: errors and signals by their names, results that are none as numbers', () => {
    all(CONNECT, { 'evt.arg.res': 'EINPROGRESS', 'evt.rawarg.res': -115 });
    all(EXEC, { 'evt.arg.res': '0', 'evt.rawarg.res': 0 });
    all(makeSubject(makeEvent('procexit', { params: { status: 9, ret: 0, sig: 9 } })), {
      'evt.arg.sig': 'SIGKILL',
      'evt.rawarg.sig': 9,
      'evt.arg.status': '9',
      'evt.arg.res': undefined,
    });
    all(makeSubject(makeEvent('procexit', { params: { sig: 0 } })), { 'evt.arg.sig': '0' });
    all(makeSubject(makeEvent('execve', { result: -80 })), { 'evt.res': 'ELIBBAD' });
    all(makeSubject(makeEvent('execve', { result: -512 })), { 'evt.res': '-512' });
  });

  test('E8: descriptors with what they are of, where it is known', () => {
    all(OPEN, {
      'evt.arg.fd': '<f>/etc/passwd',
      'evt.rawarg.fd': 5,
      'evt.arg.dirfd': 'AT_FDCWD',
      'evt.rawarg.dirfd': -100,
    });
    all(CONNECT, { 'evt.arg.fd': '<4t>172.17.0.2:40000->93.184.216.34:443' });
    const failed = makeOpen('/x', { file: undefined });
    all(makeSubject(makeEvent('openat', { result: -2, open: failed, params: { fd: -2 } })), {
      'evt.arg.fd': 'ENOENT',
      'evt.rawarg.fd': -2,
    });
    all(makeSubject(makeEvent('openat', { open: failed, params: { dirfd: 7 } })), {
      'evt.arg.dirfd': '7',
    });
  });

  test('E8: processes by their names, where they are known', () => {
    all(EXEC, { 'evt.arg.pid': 'node', 'evt.arg.ptid': 'npm', 'evt.arg.vpgid': '4242' });
    all(makeSubject(makeEvent('clone', { params: { res: 99_999 } })), { 'evt.arg.res': '99999' });
  });

  test('E8: by number, in the order of Falco, not of the probe', () => {
    all(EXEC, {
      'evt.arg[0]': '0',
      'evt.arg[1]': 'tool',
      // fdlimit, which the probe does not have; then comm.
      'evt.arg[7]': undefined,
      'evt.arg[13]': 'tool',
      'evt.arg[30]': '/bin/tool',
      'evt.arg[999]': undefined,
      'evt.arg[flags]': 'EXE_WRITABLE|EXE_UPPER_LAYER',
    });
    all(CONNECT, { 'evt.arg[1]': '172.17.0.2:40000->93.184.216.34:443', 'evt.arg[4]': undefined });
  });

  test('E8: numbers as each is printed, and bytes', () => {
    all(OPEN, { 'evt.arg.mode': '0644', 'evt.arg.dev': 'FD01', 'evt.arg.ino': '99' });
    all(EXEC, {
      'evt.arg.cap_effective': '1FF',
      'evt.rawarg.cap_effective': 0x1ff,
      'evt.arg.args': '-c.....',
      'evt.rawarg.args': '-c\0\u00c3\u00a9\u0001\0',
    });
    all(makeSubject(makeEvent('execve', { params: { args: [] } })), { 'evt.arg.args': 'NULL' });
    all(makeSubject(makeEvent('creat', { params: { mode: 0 } })), { 'evt.arg.mode': '0' });
  });

  test("S9: paths are resolved, raw ones are the caller's", () => {
    all(OPEN, { 'evt.arg.name': '/etc/passwd', 'evt.rawarg.name': '../etc//passwd' });
    all(EXEC, { 'evt.arg.filename': '/bin/tool', 'evt.rawarg.filename': '../bin/tool' });
    // Falco's execveat has no such param; the probe's does.
    const at = makeEvent('execveat', { exec: makeExec(), params: { filename: '/bin/sh' } });
    all(makeSubject(at), { 'evt.arg.filename': '/bin/sh' });
    const raced = makeSubject(
      makeEvent('openat', {
        result: 3,
        open: makeOpen('/tmp/x', { rawPath: '/etc/shadow' }),
        params: { name: '/tmp/x', fd: 3 },
      }),
    );
    assert.equal(read('evt.arg.name', raced), '/tmp/x');
    assert.equal(read('evt.arg.name', raced, true), '/etc/shadow');
    assert.equal(read('evt.arg.fd', raced, true), '<f>/etc/shadow');
    assert.equal(operand('evt.arg.name').pathDependent, true);
  });

  test("E8: flags are compared with Falco's own bits", () => {
    all(OPEN, {
      'evt.arg.flags': 'O_CREAT|O_RDWR|O_CLOEXEC',
      'evt.rawarg.flags': 0b1_0000_0000_0111,
    });
    all(EXEC, { 'evt.rawarg.flags': 3 });
    all(makeSubject(makeEvent('execve', { params: { flags: '' } })), {
      'evt.arg.flags': '0',
      'evt.rawarg.flags': 0,
    });
    // Falco adds bits of its own to a clone's.
    all(makeSubject(makeEvent('clone', { params: { flags: 'CLONE_VM' } })), {
      'evt.arg.flags': 'CLONE_VM',
      'evt.rawarg.flags': undefined,
    });
  });

  test('E8: evt.rawarg has the type of the first such param', () => {
    for (const [name, type] of [
      ['res', 'INT64'],
      ['fd', 'INT64'],
      ['uid', 'UINT32'],
      ['flags', 'UINT32'],
      ['name', 'CHARBUF'],
      ['data', 'BYTEBUF'],
      ['request', 'UINT64'],
      ['interval', 'RELTIME'],
      ['tags', 'DYNAMIC'],
    ]) {
      const { type: found, noVal, noTransformer } = operand(`evt.rawarg.${name ?? ''}`);
      assert.deepEqual([name, found, noVal, noTransformer], [name, type, true, true]);
    }
    // Nothing that can be compared, but it is there.
    for (const name of ['addr', 'tuple', 'val', 'tags', 'fds']) {
      assert.equal(operand(`evt.rawarg.${name}`).kind, 'opaque', name);
    }
    assert.equal(read('evt.rawarg.tuple', CONNECT), '172.17.0.2:40000->93.184.216.34:443');
  });

  test('C1: a param that no event has', () => {
    assert.throws(
      () => operand('evt.arg.flgs'),
      /evt\.arg has no param 'flgs' in any event: did you mean 'flags'\?/,
    );
    assert.throws(() => operand('evt.rawarg.nonesuch'), /evt\.rawarg has no param 'nonesuch'/);
    assert.throws(() => operand('evt.arg.uid_x'), /has no param/);
    assert.throws(() => operand('evt.rawarg[0]'), /has no param '0'/);
    assert.throws(() => operand('evt.arg'), /needs an argument/);
    assert.throws(() => operand('evt.arg.toString'), /has no param/);
  });

  test('evt.args: all that the probe has, in the order of Falco, with numbers and names', () => {
    assert.equal(
      read('evt.args', OPEN),
      'fd=5(<f>/etc/passwd) dirfd=-100(AT_FDCWD) name=../etc//passwd(/etc/passwd) ' +
        'flags=4103(O_CREAT|O_RDWR|O_CLOEXEC) mode=0644 dev=FD01 ino=99',
    );
    assert.equal(
      read('evt.info', CONNECT),
      'res=-115(EINPROGRESS) tuple=172.17.0.2:40000->93.184.216.34:443 ' +
        'fd=9(<4t>172.17.0.2:40000->93.184.216.34:443) addr=<NA>',
    );
  });
});
