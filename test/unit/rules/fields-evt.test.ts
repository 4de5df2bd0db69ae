import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readOperand } from '../../../src/rules/compile/read.ts';
import { FIELD_CLASSES, findField, longestFieldAt } from '../../../src/rules/fields/registry.ts';
import { parse } from '../../../src/rules/language/parser.ts';
import type { Subject } from '../../../src/rules/subject.ts';
import {
  CONTAINER,
  makeConnect,
  makeEvent,
  makeExec,
  makeFile,
  makeOpen,
  makeProcess,
  makeSubject,
  openForRead,
  RUNTIME,
} from '../../support/rules-subject.ts';

function operand(field: string) {
  const node = parse(`${field} exists`);
  assert.ok(node.kind === 'exists');
  return readOperand(node.left);
}

function read(field: string, subject: Subject, claimedPath = false): unknown {
  const value = operand(field).reader.read({ ...subject, claimedPath });
  return Array.isArray(value) ? [...(value as unknown[])] : value;
}

function all(subject: Subject, fields: Record<string, unknown>): void {
  for (const [field, value] of Object.entries(fields)) {
    assert.deepEqual(read(field, subject), value, field);
  }
}

const EXEC = makeSubject(
  makeEvent('execve', {
    tid: 4242,
    exec: makeExec({ filename: '../bin/tool', cwd: '/app', argv: ['tool', '-c', 'é\u0001'] }),
    params: {
      res: 0,
      exe: 'tool',
      args: ['-c', 'é\u0001'],
      tid: 4242,
      pid: 4242,
      ptid: 4200,
      cwd: '/app',
      comm: 'tool',
      tty: 34816,
      vpgid: 4242,
      loginuid: -1,
      flags: 'EXE_WRITABLE|EXE_UPPER_LAYER',
      cap_effective: 0x1ffn,
      exe_ino: 4711,
      uid: 1000,
      gid: 77,
      trusted_exepath: '/bin/tool',
      filename: '../bin/tool',
    },
  }),
  { process: makeProcess({ parent: makeProcess({ pid: 4200, image: { name: 'npm' } }) }) },
);

const OPEN = makeSubject(
  makeEvent('openat', {
    result: 5,
    open: makeOpen('/etc/passwd', { rawPath: '../etc//passwd', created: true }),
    params: {
      fd: 5,
      dirfd: 'AT_FDCWD',
      name: '/etc/passwd',
      flags: 'O_CREAT|O_RDWR|O_CLOEXEC',
      mode: 0o644,
      dev: 0xfd01,
      ino: 99,
    },
  }),
);

const CONNECT = makeSubject(
  makeEvent('connect', {
    result: -115,
    connect: makeConnect(),
    params: { res: -115, tuple: '172.17.0.2:40000->93.184.216.34:443', fd: 9 },
  }),
);

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
    // Text here, a number elsewhere: of another kind than the rule was compiled for.
    assert.equal(read('evt.rawarg.addr', CONNECT), undefined);
    assert.equal(read('evt.rawarg.tuple', CONNECT), undefined);
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

describe('evt', () => {
  test('evt.type.is', () => {
    all(OPEN, { 'evt.type.is.openat': 1, 'evt.type.is.open': 0, 'evt.type.is[openat]': 1 });
    assert.throws(() => operand('evt.type.is.opnat'), /not 'opnat': did you mean 'openat'\?/);
  });

  test('counts', () => {
    const failed = makeSubject(
      makeEvent('openat', { result: -2, open: makeOpen('/x', { file: undefined }) }),
    );
    all(failed, {
      'evt.count': 1,
      'evt.count.error': 1,
      'evt.count.error.file': 1,
      'evt.count.error.net': undefined,
      'evt.count.error.memory': undefined,
      'evt.count.error.other': undefined,
      'evt.count.exit': 1,
    });
    all(CONNECT, { 'evt.count.error.net': 1, 'evt.count.error.file': undefined });
    all(EXEC, { 'evt.count.error': 0, 'evt.count.error.other': 0 });
    all(makeSubject(makeEvent('procexit')), {
      'evt.count.error': undefined,
      'evt.count.error.other': undefined,
      'evt.count.exit': undefined,
      'evt.failed': undefined,
      'syscall.type': undefined,
      'evt.category': 'process',
    });
  });

  test('S20 and what never is', () => {
    all(OPEN, {
      'evt.dir': '<',
      'evt.is_io': false,
      'evt.is_io_read': false,
      'evt.is_io_write': false,
      'evt.io_dir': undefined,
      'evt.is_wait': false,
      'evt.is_syslog': false,
      'evt.latency': 0n,
      'evt.latency.human': '0ns',
      'evt.wait_latency': 0n,
      'evt.buflen.in': undefined,
      'evt.pluginname': undefined,
      'thread.exectime': 0n,
      'thread.nametid': 'node4243',
    });
    assert.equal(findField('evt.dir')?.field.deprecated, true);
  });

  test('paths', () => {
    all(OPEN, {
      'evt.abspath': '/etc/passwd',
      'evt.abspath.src': '/etc/passwd',
      'evt.abspath.dst': '/etc/passwd',
      'fs.path.name': '/etc/passwd',
      'fs.path.nameraw': '../etc//passwd',
      'fd.nameraw': '../etc/passwd',
      'fs.path.source': undefined,
    });
    const refused = { result: -1, open: makeOpen('/x', { file: undefined }) };
    all(makeSubject(makeEvent('open', refused)), {
      'evt.abspath': undefined,
      'fs.path.name': undefined,
      'fd.name': '/x',
    });
    all(makeSubject(makeEvent('open', { ...refused, result: -2 })), { 'fs.path.name': '/x' });
    all(makeSubject(makeEvent('creat', { open: makeOpen('/x') })), { 'fs.path.name': undefined });
    all(EXEC, { 'fs.path.name': undefined, 'evt.abspath': undefined });
  });
});

describe('fd', () => {
  test('E5: ports of either end, by their services', () => {
    all(CONNECT, {
      'fd.proto': [40_000, 443],
      'fd.cproto': '40000',
      'fd.sproto': '443',
      'fd.lproto': '40000',
      'fd.rproto': '443',
    });
    for (const name of ['fd.ip', 'fd.port', 'fd.proto', 'fd.net', 'fd.cnet', 'fd.snet']) {
      const field = findField(name)?.field;
      assert.deepEqual(
        [name, field?.noVal, field?.noTransformer, field?.filterOnly],
        [name, true, true, true],
      );
    }
  });

  test('S2: fd.ip exists for every descriptor, fd.sip for sockets of IP only', () => {
    const exists = (field: string, subject: Subject): boolean => {
      const { reader } = operand(field);
      assert.ok(reader.shape !== 'list');
      const view = { ...subject, claimedPath: false };
      if (reader.exists !== undefined) return reader.exists(view);
      return reader.read(view) !== undefined;
    };
    const unix = makeSubject(
      makeEvent('connect', { connect: makeConnect({ family: 1, unixPath: '/run/x.sock' }) }),
    );
    for (const field of ['fd.ip', 'fd.port', 'fd.net', 'fd.proto']) {
      assert.equal(exists(field, unix), true, field);
      assert.equal(exists(field, OPEN), true, field);
      assert.equal(exists(field, EXEC), false, field);
    }
    assert.equal(exists('fd.sip', unix), false);
    assert.equal(exists('fd.sport', unix), false);
    all(unix, { 'fd.l4proto': '<NA>', 'fd.typechar': 'u', 'fd.sockfamily': 'unix' });
  });

  test('S18: a failed open has no descriptor, a failed connect has', () => {
    const open = makeOpen('/etc/ssl', { file: undefined, directory: true });
    all(makeSubject(makeEvent('openat', { result: -2, open })), {
      'fd.num': -1,
      'fd.type': undefined,
      'fd.typechar': 'f',
      'fd.name': '/etc/ssl',
      'fd.directory': '/etc',
      'fd.l4proto': undefined,
      'fd.is_server': undefined,
      'fd.connected': undefined,
    });
    const connect = { fd: 4, tuple: undefined, address: undefined };
    all(makeSubject(makeEvent('connect', { result: -111, connect })), {
      'fd.connected': false,
      'fd.sip': undefined,
      'fd.ip': [],
    });
  });

  test('files and directories', () => {
    all(OPEN, {
      'fd.l4proto': '<NA>',
      'fd.is_server': false,
      'fd.connected': false,
      'fd.uid': '42435',
    });
    const folder = makeSubject(openForRead('/etc/ssl', { directory: true }));
    all(folder, { 'fd.directory': '/etc/ssl', 'fd.filename': undefined });
    const memfd = makeSubject(openForRead('memfd:x', { file: makeFile('memfd:x') }));
    all(memfd, { 'fd.directory': '/' });
  });
});

describe('proc', () => {
  test('S1: a missing word is empty; an environment that is not known is absent', () => {
    all(EXEC, {
      'proc.args[0]': 'server.js',
      'proc.args[99]': '',
      'proc.env': undefined,
      'proc.env[PATH]': undefined,
      'proc.aenv[2]': undefined,
    });
  });

  test('E6: ancestors', () => {
    const shell = makeProcess({ pid: 50, parent: RUNTIME, image: { name: 'bash', args: ['-l'] } });
    const inner = makeProcess({ pid: 60, parent: shell, image: { name: 'zsh', args: ['x', 'y'] } });
    const subject = makeSubject(makeEvent('execve'), {
      process: makeProcess({ parent: inner }),
    });
    all(subject, {
      // One text, not one for each: Falco compares it so.
      'proc.aargs': 'x y -l ',
      'proc.aargs[0]': 'server.js',
      'proc.aargs[2]': '-l',
      'proc.aargs[9]': undefined,
      'proc.loginshellid': 50,
      'proc.aname[2147483647]': undefined,
      'proc.exeline': '/usr/local/bin/node server.js',
    });
    assert.equal(read('proc.loginshellid', EXEC), undefined);
    for (const name of ['aname', 'aexe', 'aexepath', 'acmdline', 'apid', 'aenv', 'aargs']) {
      const field = findField(`proc.${name}`)?.field;
      const limited = name !== 'aargs';
      assert.deepEqual(
        [name, field?.noVal, field?.noTransformer, field?.argument],
        [name, limited, limited, 'optional'],
      );
    }
  });

  test('arguments that have to be numbers', () => {
    for (const name of ['proc.aname', 'proc.args', 'proc.aargs', 'proc.apid', 'fd.types']) {
      assert.throws(() => operand(`${name}[x]`), /takes an index/, name);
      assert.throws(() => operand(`${name}[2147483648]`), /takes an index/, name);
    }
    assert.throws(() => operand('evt.around[x]'), /takes a time/);
    assert.throws(() => operand('evt.around'), /needs an argument/);
    assert.throws(() => operand('proc.name[1]'), /takes no argument/);
    assert.throws(() => operand('thread.cgroup[c1]'), /takes a controller/);
    assert.throws(() => operand('container.mount'), /needs an argument/);
    assert.throws(() => operand('container.label'), /needs an argument/);
    for (const field of ['container.mount[/etc*]', 'container.mount.dest[0]', 'fd.types[0]']) {
      assert.equal(read(field, EXEC), undefined);
    }
    assert.equal(operand('fd.types').reader.shape, 'list');
  });
});

test('k8s: from the labels that the kubelet gives', () => {
  const labels = {
    'io.kubernetes.pod.name': 'shop-0',
    'io.kubernetes.pod.namespace': 'prod',
    'io.kubernetes.pod.uid': '3e41dc6b',
    'io.kubernetes.sandbox.id': '63060edc2d3aa803ab559f2393776b15',
  };
  const subject = makeSubject(makeEvent('execve'), { container: { ...CONTAINER, labels } });
  all(subject, {
    'k8s.pod.name': 'shop-0',
    'k8s.ns.name': 'prod',
    'k8s.pod.uid': '3e41dc6b',
    'k8s.pod.id': '3e41dc6b',
    'k8s.pod.sandbox_id': '63060edc2d3a',
    'k8s.pod.full_sandbox_id': '63060edc2d3aa803ab559f2393776b15',
    'k8s.pod.label.app': undefined,
    'k8s.rc.name': undefined,
    'container.label.io.kubernetes.pod.name': 'shop-0',
  });
  all(makeSubject(makeEvent('execve')), { 'k8s.pod.name': undefined, 'k8s.ns.name': undefined });
  all(makeSubject(makeEvent('execve'), { container: undefined }), { 'k8s.pod.name': undefined });
});

describe('names', () => {
  test('S13: the longest field, with the argument that it takes after a dot', () => {
    for (const [text, longest] of [
      ['proc.nameextra', 'proc.name'],
      ['proc.name.x', 'proc.name'],
      ['proc.aname[2]', 'proc.aname'],
      ['evt.args', 'evt.args'],
      ['evt.arg.flags', 'evt.arg.flags'],
      ['evt.arg.flagsx y', 'evt.arg.flags'],
      ['evt.arg.flags.', 'evt.arg.flags'],
      ['evt.rawarg.res)', 'evt.rawarg.res'],
      // Not a param: all of it, so that the error names it.
      ['evt.arg.zzz y', 'evt.arg.zzz'],
      ['evt.type.is.open and', 'evt.type.is.open'],
      ['evt.abspath.src', 'evt.abspath.src'],
      ['container.label.app.kubernetes.io/name-x. ', 'container.label.app.kubernetes.io/name-x'],
      ['container.label.a->b', 'container.label.a'],
      ['thread.cgroup.cpuacct1', 'thread.cgroup.cpuacct'],
      ['container.mount.source[0]', 'container.mount.source'],
      ['nothing.x', ''],
      ['', ''],
    ] as const) {
      assert.equal(longestFieldAt(`>${text}`, 1), longest.length, text);
    }
    const text = `%${'a'.repeat(100_000)}`;
    assert.equal(longestFieldAt(text, 1), 0);
  });

  test('C1: old and hidden names of Falco load', () => {
    for (const name of [
      'evt.latency.quantized',
      'evt.buflen.net.out',
      'evt.count.procinfo',
      'evt.infra.docker.container.image',
      'evt.outputtime',
      'thread.vmsize.b',
      'container.info',
      'util.cnt',
      'k8s.deployment.labels',
    ]) {
      assert.ok(operand(name), name);
    }
    assert.equal(findField('evt.nothing'), undefined);
    assert.equal(findField('proc.namex'), undefined);
  });

  test('every field reads every event without throwing', () => {
    const subjects = [EXEC, OPEN, CONNECT, makeSubject(makeEvent('procexit'))];
    for (const field of FIELD_CLASSES.flatMap(({ fields }) => fields)) {
      const argument = { none: undefined, optional: undefined, required: 'res' }[field.argument];
      for (const reader of [field.reader(argument), field.reader('1'), field.reader('open')]) {
        if ('problem' in reader) continue;
        for (const subject of [...subjects, { ...OPEN, container: undefined }]) {
          const view = { ...subject, claimedPath: false };
          const value: unknown = reader.read(view);
          if (field.status === 'not yet') assert.equal(value, undefined, field.name);
          if (reader.shape === 'any') reader.output(view);
        }
      }
    }
  });
});
