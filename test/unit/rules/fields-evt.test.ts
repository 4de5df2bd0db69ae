import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FIELD_CLASSES, findField, longestFieldAt } from '../../../src/rules/fields/registry.ts';
import type { Subject } from '../../../src/rules/subject.ts';
import type { EventName } from '../../../src/events/table.gen.ts';
import { normalizePath } from '../../../src/shared/path.ts';
import { all, CONNECT, EXEC, OPEN, operand, read } from '../../support/rules-field-reads.ts';
import {
  CONTAINER,
  makeCall,
  makeConnect,
  makeRefused,
  makeEvent,
  makeFile,
  makeOpen,
  makeSubject,
  openForRead,
} from '../../support/rules-subject.ts';

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
      'thread.name': 'node',
      'thread.nametid': 'node4243',
    });
    // A thread that has renamed itself: the process keeps the name of its exec.
    const renamed = makeSubject(makeEvent('openat', { comm: 'kworker/0:1' }));
    all(renamed, { 'thread.name': 'kworker/0:1', 'proc.name': 'node' });
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
    const another = { result: -2, open: makeOpen('/proc/self/root/x', { file: undefined }) };
    all(makeSubject(makeEvent('open', another)), { 'fd.name': '/x' });
    all(makeSubject(makeEvent('creat', { open: makeOpen('/x') })), { 'fs.path.name': undefined });
    all(EXEC, { 'fs.path.name': undefined, 'evt.abspath': undefined });
  });

  test('paths of calls that name one, and of those that name two', () => {
    /** Strings by number, relative to /work. */
    const called = (type: EventName, texts: readonly string[], result = 0) =>
      makeSubject(
        makeEvent(type, {
          result,
          call: makeCall({
            text: (n) => texts[n - 1] ?? '',
            path: (n) => normalizePath(`/srv/${texts[n - 1] ?? ''}`),
          }),
        }),
      );
    for (const type of [
      'mkdir',
      'mkdirat',
      'rmdir',
      'unlink',
      'unlinkat',
      'chmod',
      'fchmodat',
      'chown',
      'lchown',
      'fchownat',
      'umount2',
    ] as const) {
      all(called(type, ['../a']), {
        'fs.path.name': '/a',
        'fs.path.nameraw': '../a',
        'fs.path.source': undefined,
      });
      all(called(type, ['../a'], -2), { 'fs.path.name': undefined, 'fs.path.nameraw': undefined });
    }
    for (const type of ['rename', 'renameat', 'renameat2'] as const) {
      all(called(type, ['old', 'new']), {
        'fs.path.name': undefined,
        'fs.path.source': '/srv/old',
        'fs.path.sourceraw': 'old',
        'fs.path.target': '/srv/new',
        'fs.path.targetraw': 'new',
      });
    }
    for (const type of ['link', 'linkat'] as const)
      all(called(type, ['old', 'new']), {
        'fs.path.source': '/srv/new',
        'fs.path.target': '/srv/old',
      });
    for (const type of ['symlink', 'symlinkat'] as const) {
      const link = { 'fs.path.source': '/srv/d/new', 'fs.path.sourceraw': 'd/new' };
      all(called(type, ['../x', 'd/new']), {
        ...link,
        'fs.path.target': '/srv/x',
        'fs.path.targetraw': '../x',
      });
      all(called(type, ['/x//y', 'd/new']), { ...link, 'fs.path.target': '/x/y' });
      all(called(type, ['/proc/self/root/x', 'd/new']), { ...link, 'fs.path.target': '/x' });
    }
    const placed = (type: EventName, flags = 0, result = 0) => {
      const { call } = called(type, ['old', 'new']).event;
      const event = makeEvent(type, {
        result,
        call: { ...call!, int: (n) => (n === 5 ? flags : 0) },
      });
      return read('fs.path.placed', makeSubject(event));
    };
    assert.deepEqual(placed('rename'), ['/srv/new']);
    assert.deepEqual(placed('renameat2', 1), ['/srv/new']);
    assert.deepEqual(placed('renameat2', 2), ['/srv/new', '/srv/old'], 'RENAME_EXCHANGE');
    assert.deepEqual(placed('renameat2', 2, -2), []);
    assert.deepEqual(placed('linkat'), ['/srv/new']);
    assert.deepEqual(placed('symlink'), ['/srv/new']);
    assert.deepEqual(placed('mount'), []);
    assert.deepEqual(placed('unlink'), []);
    all(called('mount', ['none', 'm']), { 'fs.path.source': 'none', 'fs.path.target': '/srv/m' });
    const file = makeFile('/etc/x');
    const changed = makeEvent('fchmod', { result: 0, call: makeCall({ fd: 3, file }) });
    all(makeSubject(changed), { 'fs.path.name': '/etc/x', 'fs.path.nameraw': '/etc/x' });
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
      makeEvent('connect', { call: makeConnect({ family: 1, unixPath: '/run/x.sock' }) }),
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
    all(makeSubject(makeEvent('connect', { result: -111, call: makeRefused(4) })), {
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

test('k8s: labels and address of the pod', () => {
  const podLabels = { app: 'shop', 'app.kubernetes.io/name': 'x' };
  const container = { ...CONTAINER, runtime: 'cri' as const, podLabels };
  all(makeSubject(makeEvent('execve'), { container }), {
    'k8s.pod.label.app': 'shop',
    'k8s.pod.label[app.kubernetes.io/name]': 'x',
    'k8s.pod.label.toString': undefined,
    'k8s.pod.labels': 'app:shop,app.kubernetes.io/name:x',
    'k8s.pod.ip': '172.17.0.2',
  });
  all(EXEC, { 'k8s.pod.labels': undefined, 'k8s.pod.ip': undefined });
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
