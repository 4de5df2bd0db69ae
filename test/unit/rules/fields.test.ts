import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FIELD_CLASSES, FIELD_NAMES, findField } from '../../../src/rules/fields/registry.ts';
import { all, read } from '../../support/rules-field-reads.ts';
import {
  BOOT_NS,
  CREDENTIALS,
  makeConnect,
  makeRefused,
  makeEvent,
  makeFile,
  makeOpen,
  makeProcess,
  makeSubject,
  openForRead,
  RUNTIME,
  TIME_NS,
} from '../../support/rules-subject.ts';

describe('fields', () => {
  test('each has a name of its own, a sentence and a class', () => {
    assert.equal(new Set(FIELD_NAMES).size, FIELD_NAMES.length);
    for (const { name, fields } of FIELD_CLASSES) {
      for (const field of fields) {
        assert.match(field.description, /^[\S\s]+\.$/, `${name}: ${field.name}`);
      }
    }
    assert.equal(findField('evt.arg.flags')?.dotArgument, 'flags');
    assert.equal(findField('proc.name.x'), undefined);
    assert.equal(findField('toString'), undefined);
    assert.equal(findField('__proto__.x'), undefined);
  });

  test('evt', () => {
    const subject = makeSubject(
      makeEvent('openat', {
        result: -13,
        open: makeOpen('/x', {
          file: undefined,
          flags: 0o101,
          mode: 0o755,
          created: false,
          forWrite: true,
        }),
        params: { name: '/x', flags: 'O_CREAT|O_WRONLY', mode: 493 },
      }),
    );
    all(subject, {
      'evt.num': 7,
      'evt.type': 'openat',
      'syscall.type': 'openat',
      'evt.category': 'file',
      'evt.rawtime': TIME_NS,
      'evt.rawtime.s': 1_764_033_409n,
      'evt.rawtime.ns': 123_456_789n,
      'evt.time.iso8601': '2025-11-25T01:16:49.123456789+0000',
      'evt.hostname': 'cell-1',
      'evt.cpu': 1,
      'evt.dir': '<',
      'evt.res': 'EACCES',
      'evt.rawres': -13,
      'evt.failed': true,
      'evt.is_open_write': true,
      'evt.is_open_exec': true,
      'evt.is_open_create': false,
      'evt.arg.flags': 'O_CREAT|O_WRONLY',
      'evt.arg.mode': '0755',
      'evt.arg[flags]': 'O_CREAT|O_WRONLY',
      'evt.arg.dev': undefined,
    });
    assert.match(String(read('evt.time', subject)), /^\d\d:\d\d:\d\d\.123456789$/);
    assert.match(String(read('evt.datetime', subject)), /^2025-11-2\d \d\d:\d\d:\d\d\.123456789$/);
    assert.match(
      String(read('evt.args', subject)),
      /name=\/x flags=6\(O_CREAT\|O_WRONLY\) mode=0755/,
    );
    // S8: users and errors by their names.
    all(makeSubject(makeEvent('execve', { params: { uid: 1000, gid: 0, res: -2 } })), {
      'evt.arg.uid': 'vcap',
      'evt.arg.gid': 'root',
      'evt.arg.res': 'ENOENT',
    });
  });

  test('proc', () => {
    const parent = makeProcess({
      pid: 4200,
      vpid: 1,
      vsid: 1,
      sid: 4242,
      startBootNs: BOOT_NS - 200n,
      image: { name: 'npm', exe: 'npm', args: ['start'] },
      parent: RUNTIME,
    });
    const subject = makeSubject(makeEvent('execve'), {
      process: makeProcess({
        parent,
        tty: 34816,
        image: { args: ['a b', 'c'], exeUpperLayer: true },
      }),
    });
    all(subject, {
      'proc.pid': 4242,
      'proc.vpid': 17,
      'proc.ppid': 4200,
      'proc.pvpid': 1,
      'proc.name': 'node',
      'proc.args': 'a b c',
      'proc.cmdline': 'node a b c',
      'proc.exeline': '/usr/local/bin/node a b c',
      'proc.pcmdline': 'npm start',
      'proc.cmdnargs': 2,
      'proc.cmdlenargs': 4,
      'proc.cwd': '/app/',
      'proc.tty': 34816,
      'proc.duration': 100_000_000_000n,
      'proc.ppid.duration': 200n,
      'proc.pid.ts': TIME_NS - 100_000_000_000n,
      'proc.aname': ['npm', 'containerd-shim'],
      'proc.apid': [4200, 900],
      'proc.aname[2]': 'containerd-shim',
      'proc.aname[3]': undefined,
      'proc.acmdline[0]': 'node a b c',
      'proc.is_exe_upper_layer': true,
      'proc.is_exe_from_memfd': false,
      'proc.exe_ino': 4711,
      'proc.sid': 17,
      'proc.sname': 'npm',
      'proc.is_vpgid_leader': true,
      'proc.is_from_outside': false,
    });
    all(makeSubject(makeEvent('execve'), { process: parent }), {
      'proc.is_from_outside': true,
      'proc.cmdline': 'npm start',
    });
    const orphan = makeSubject(makeEvent('execve'), {
      process: makeProcess({ image: { args: [] } }),
    });
    all(orphan, {
      'proc.cmdline': 'node',
      'proc.pname': undefined,
      'proc.aname': [],
      'proc.ppid.duration': undefined,
      'proc.is_from_outside': undefined,
      'proc.prev_exepath': undefined,
    });
    const previousImage = parent.image;
    all(makeSubject(makeEvent('execve'), { process: makeProcess({ previousImage }) }), {
      'proc.prev_exepath': parent.image.exePath,
    });
  });

  test('a ring or an endless line of ancestors ends', () => {
    const ring: { parent?: unknown } & ReturnType<typeof makeProcess> = makeProcess();
    Object.assign(ring, { parent: ring });
    const subject = makeSubject(makeEvent('execve'), { process: ring });
    assert.equal((read('proc.aname', subject) as unknown[]).length, 64);
    assert.equal(read('proc.sname', subject), 'node');
  });

  test('user, group, thread', () => {
    const subject = makeSubject(
      makeEvent('execve', { credentials: { ...CREDENTIALS, uid: 0, euid: 1000, loginUid: -1 } }),
    );
    all(subject, {
      'user.uid': 1000,
      'user.name': 'vcap',
      'user.homedir': '/home/vcap',
      'user.shell': '/bin/bash',
      'user.loginuid': -1,
      'user.loginname': '<NA>',
      'group.gid': 1000,
      'group.name': 'vcap',
      'thread.tid': 4243,
      'thread.vtid': 18,
      'thread.ismain': false,
      'thread.cap_effective': 'CAP_CHOWN CAP_KILL',
      'thread.cap_permitted': '',
    });
    all(
      makeSubject(
        makeEvent('execve', {
          credentials: { ...CREDENTIALS, euid: 0, egid: 7, capEffective: 1n << 21n },
        }),
      ),
      {
        'user.name': 'root',
        'user.homedir': '/root',
        'user.shell': '<NA>',
        'group.name': '<NA>',
        'thread.cap_effective': 'CAP_SYS_ADMIN',
      },
    );
  });

  test('fd of files', () => {
    const subject = makeSubject(
      openForRead('/etc/shadow', {
        file: makeFile('/etc/shadow', { upperLayer: true, devMajor: 8, devMinor: 300 }),
      }),
    );
    all(subject, {
      'fd.num': 3,
      'fd.type': 'file',
      'fd.typechar': 'f',
      'fd.name': '/etc/shadow',
      'fd.nameraw': '/etc/shadow',
      'fd.directory': '/etc',
      'fd.filename': 'shadow',
      'fd.raced': false,
      'fd.ino': 99,
      'fd.dev': (300 & 0xff) | (8 << 8) | (256 << 12),
      'fd.dev.major': 8,
      'fd.dev.minor': 300,
      'fd.is_upper_layer': true,
      'fd.sip': undefined,
      'fd.containername': '3ad7b26ded6d:/etc/shadow',
      'fd.proc_pid': undefined,
    });
    all(makeSubject(openForRead('/proc/123/environ')), { 'fd.proc_pid': 123 });
    all(makeSubject(openForRead('/host/proc/1/task/1/environ')), { 'fd.proc_pid': 1 });
    all(makeSubject(openForRead('/process/1/x')), { 'fd.proc_pid': undefined });
    all(makeSubject(openForRead('/tmp', { directory: true })), {
      'fd.type': 'directory',
      'fd.typechar': 'd',
    });
    all(makeSubject(makeEvent('execve')), {
      'fd.name': undefined,
      'fd.type': undefined,
      'fd.raced': undefined,
    });
  });

  test('fd of a failed open is the path as passed, where that says where', () => {
    const failed = (rawPath: string, directoryPath = '') =>
      makeSubject(
        makeEvent('openat', {
          result: -2,
          open: makeOpen('/', { file: undefined, rawPath, directoryPath }),
        }),
      );
    assert.equal(read('fd.name', failed('/etc//x/../shadow')), '/etc/shadow');
    assert.equal(read('fd.name', failed('../etc/shadow', '/app')), '/etc/shadow');
    assert.equal(read('fd.name', failed('shadow')), undefined);
    assert.equal(read('fd.name', failed('shadow', 'anon_inode')), undefined);
    assert.equal(read('fd.name', failed('')), undefined);
    assert.equal(read('fd.num', failed('/x')), -1);
  });

  test('fd.raced compares where it can', () => {
    const raced = (rawPath: string, path: string, more = {}) =>
      read('fd.raced', makeSubject(openForRead(path, { rawPath, file: makeFile(path), ...more })));
    assert.equal(raced('/etc/shadow', '/tmp/x'), true);
    assert.equal(raced('/etc/../etc//shadow', '/etc/shadow'), false);
    assert.equal(raced('/etc/../tmp', '/etc'), true);
    assert.equal(raced('shadow', '/etc/shadow'), false);
    assert.equal(raced('shadow', '/etc/hostname', { directoryPath: '/etc' }), true);
    assert.equal(raced('../etc/shadow', '/etc/shadow', { directoryPath: '/tmp' }), false);
    assert.equal(raced('/etc/sha', '/etc/shadow', { rawPathTruncated: true }), false);
  });

  test("the claimed path replaces the kernel's, and what the kernel's file is", () => {
    const subject = makeSubject(openForRead('/tmp', { rawPath: '/etc/shadow', directory: true }));
    assert.equal(read('fd.name', subject, true), '/etc/shadow');
    assert.equal(read('fd.directory', subject, true), '/etc');
    assert.equal(read('fd.filename', subject, true), 'shadow');
    assert.equal(read('fd.typechar', subject, true), 'f');
    assert.equal(read('fd.typechar', subject, false), 'd');
  });

  test('fd of sockets', () => {
    const subject = makeSubject(makeEvent('connect', { call: makeConnect() }));
    all(subject, {
      'fd.num': 9,
      'fd.type': 'ipv4',
      'fd.typechar': '4',
      'fd.name': '172.17.0.2:40000->93.184.216.34:443',
      'fd.cip': '172.17.0.2',
      'fd.sip': '93.184.216.34',
      'fd.lip': '172.17.0.2',
      'fd.rip': '93.184.216.34',
      'fd.ip': ['172.17.0.2', '93.184.216.34'],
      'fd.port': [40_000, 443],
      'fd.l4proto': 'tcp',
      'fd.sockfamily': 'ip',
      'fd.is_server': false,
      'fd.connected': true,
      'fd.directory': undefined,
    });
    // S18
    all(
      makeSubject(
        makeEvent('connect', {
          result: -111,
          call: makeRefused(4),
        }),
      ),
      {
        'fd.num': 4,
        'fd.sip': undefined,
        'fd.name': undefined,
      },
    );
  });

  test('container and app, known and pending', () => {
    const subject = makeSubject(makeEvent('execve'));
    all(subject, {
      'container.id': '3ad7b26ded6d',
      'container.name': 'shop-web-1',
      'container.image': 'registry/shop:1.4',
      'container.image.repository': 'registry/shop',
      'container.image.tag': '1.4',
      'container.type': 'docker',
      'container.privileged': false,
      'container.duration': 120_000_456_789n,
      'container.label[team]': 'checkout',
      'container.label.team': 'checkout',
      'container.label[toString]': undefined,
      'app.name': 'shop',
      'app.guid': 'a-guid',
      'app.space': 'prod',
      'app.org': 'acme',
      'app.process_type': 'web',
      'app.instance': '0',
      'app.runtime': 'docker',
    });
    all(makeSubject(makeEvent('execve'), { container: undefined }), {
      'container.id': '<pending>',
      'container.name': '<pending>',
      'container.image': undefined,
      'app.name': '<pending>',
      'app.guid': undefined,
    });
  });
});
