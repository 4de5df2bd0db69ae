// Fields of what is remembered of a process, a container and an address.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { all, EXEC, read } from '../../support/rules-field-reads.ts';
import {
  BOOT_NS,
  CONTAINER,
  makeCall,
  makeConnect,
  makeEvent,
  makeFile,
  makeProcess,
  makeSubject,
  openForRead,
  TIME_NS,
} from '../../support/rules-subject.ts';

describe('environments', () => {
  const parent = makeProcess({ pid: 7, image: { env: ['A=1', 'B='] } });
  const grandparent = makeProcess({
    pid: 6,
    inScope: false,
    image: { env: ['C=3', 'A=0'] },
  });
  const subject = makeSubject(makeEvent('execve'), {
    process: makeProcess({
      image: { env: ['PATH=/bin', 'GLIBC_TUNABLES=x=y', 'PA=no'] },
      parent: { ...parent, parent: grandparent },
    }),
  });

  test('as one text, and one variable', () => {
    all(subject, {
      'proc.env': 'PATH=/bin GLIBC_TUNABLES=x=y PA=no',
      'proc.env[PATH]': '/bin',
      'proc.env[GLIBC_TUNABLES]': 'x=y',
      'proc.env[GLIBC]': '',
    });
  });

  test('S1: not known is absent, a variable that is not there is empty', () => {
    all(EXEC, { 'proc.env': undefined, 'proc.env[PATH]': undefined, 'proc.aenv': undefined });
  });

  test('of ancestors: all, one, the nearest that has the variable', () => {
    all(subject, {
      'proc.aenv': 'A=1 B= C=3 A=0',
      'proc.aenv[1]': 'A=1 B=',
      'proc.aenv[2]': 'C=3 A=0',
      'proc.aenv[9]': undefined,
      'proc.aenv[A]': '1',
      'proc.aenv[C]': '3',
      'proc.aenv[PATH]': '',
    });
    // The runtime above them is none of the container's own.
    all(subject, {
      'proc.container_aenv': 'A=1 B=',
      'proc.container_aenv[0]': 'PATH=/bin GLIBC_TUNABLES=x=y PA=no',
      'proc.container_aenv[1]': 'A=1 B=',
      'proc.container_aenv[2]': undefined,
      'proc.container_aenv[A]': '1',
      'proc.container_aenv[C]': '',
    });
  });
});

test('times of the running file', () => {
  const start = TIME_NS - 100_000_000_000n;
  const process = makeProcess({
    pidNamespaceStartBootNs: BOOT_NS - 300_000_000_000n,
    image: { exeCtimeNs: start - 5n, exeMtimeNs: 77n },
  });
  all(makeSubject(makeEvent('execve'), { process }), {
    'proc.exe_ino.ctime': start - 5n,
    'proc.exe_ino.mtime': 77n,
    'proc.exe_ino.ctime_duration_proc_start': 5n,
    'proc.exe_ino.ctime_duration_pidns_start': 200_000_000_000n - 5n,
    'proc.pidns_init_start_ts': Number(TIME_NS - 300_000_000_000n),
  });
  const later = makeProcess({ image: { exeCtimeNs: TIME_NS } });
  all(makeSubject(makeEvent('execve'), { process: later }), {
    'proc.exe_ino.ctime_duration_proc_start': undefined,
    'proc.exe_ino.ctime_duration_pidns_start': undefined,
    'proc.exe_ino.mtime': undefined,
    'proc.pidns_init_start_ts': undefined,
  });
});

describe('mounts', () => {
  test('by number, by path and by glob', () => {
    all(EXEC, {
      'container.mounts': '/srv/data:/data:ro:false:rprivate /proc/1:/p::true:rslave',
      'container.mount[0]': '/srv/data:/data:ro:false:rprivate',
      'container.mount[/proc/*]': '/proc/1:/p::true:rslave',
      'container.mount[/nothing]': 'none',
      'container.mount.source[/data]': '/srv/data',
      'container.mount.dest[1]': '/p',
      'container.mount.dest[/srv/data]': '/data',
      'container.mount.dest[/proc*]': undefined,
      'container.mount.dest[/*/*]': '/data',
      'container.mount.dest[2]': undefined,
      'container.mount.mode[/srv/data]': 'ro',
      'container.mount.rdwr[/srv/data]': 'false',
      'container.mount.rdwr[1]': 'true',
      'container.mount.propagation[1]': 'rslave',
    });
  });

  test('absent while they are not known', () => {
    const unknown = makeSubject(makeEvent('execve'), {
      container: { ...CONTAINER, details: undefined },
    });
    all(unknown, {
      'container.mounts': undefined,
      'container.mount[0]': undefined,
      'container.mount.dest[/etc]': undefined,
      'container.host_pid': undefined,
      'container.ip': undefined,
    });
  });

  test('namespaces of the host, address, digest', () => {
    all(EXEC, {
      'container.host_pid': false,
      'container.host_network': true,
      'container.host_ipc': false,
      'container.ip': '172.17.0.2',
      'container.image.id': '0123',
      'container.image.digest': 'sha256:4567',
    });
  });
});

test('a file that the kernel has no name for has the one that was passed, never that of the root', () => {
  const nameless = (rawPath: string) =>
    makeSubject(openForRead('/', { rawPath, file: makeFile('/', { detached: true }) }));
  all(nameless('/proc/self/ns/uts'), {
    'fd.name': '/proc/self/ns/uts',
    'fd.directory': '/proc/self/ns',
    'fd.filename': 'uts',
  });
  all(nameless('uts'), { 'fd.name': undefined, 'fd.filename': undefined });
  all(makeSubject(openForRead('/')), { 'fd.name': '/' });
  const call = makeCall({ file: makeFile('/', { detached: true }), fd: 3 });
  all(makeSubject(makeEvent('setns', { call })), { 'fd.name': undefined });
});

test('domain names: each of the rules’ that leads to the address', () => {
  const subject = makeSubject(makeEvent('connect', { call: makeConnect() }));
  all(subject, {
    'fd.sip.name': ['example.com', 'www.example.com'],
    'fd.rip.name': ['example.com', 'www.example.com'],
    'fd.cip.name': [],
  });
});

describe('sockets by their role', () => {
  const ends = { localIp: '10.0.0.2', localPort: 8080, remoteIp: '10.0.0.9', remotePort: 50_000 };
  const event = (type: 'accept' | 'recvfrom' | 'sendto' | 'dup2', socket = {}, tuple = {}) =>
    makeSubject(makeEvent(type, { call: makeConnect({ ...ends, ...tuple }, socket) }));

  test('who accepts is the server', () => {
    all(event('accept'), {
      'fd.name': '10.0.0.9:50000->10.0.0.2:8080',
      'fd.sip': '10.0.0.2',
      'fd.cip': '10.0.0.9',
      'fd.sport': 8080,
      'fd.cport': 50_000,
      'fd.lip': '10.0.0.2',
      'fd.rport': 50_000,
      'fd.is_server': true,
      'fd.connected': true,
    });
  });

  test('of a message: who receives, when nobody is connected; else the ports tell', () => {
    const udp = { connected: false, peerChanged: true };
    all(event('recvfrom', udp), { 'fd.is_server': true, 'fd.name_changed': true });
    all(event('sendto', udp), { 'fd.is_server': false, 'fd.connected': false });
    all(event('recvfrom'), { 'fd.is_server': true, 'fd.name_changed': false });
    const out = { localPort: 40_000, remotePort: 443 };
    all(event('recvfrom', {}, out), { 'fd.is_server': false, 'fd.sport': 443 });
    all(event('dup2', {}, out), { 'fd.sip': '10.0.0.9', 'fd.num': 9 });
  });

  test('a socket that listens has one end', () => {
    const listening = makeConnect(
      { localIp: '0.0.0.0', localPort: 80, remoteIp: '0.0.0.0', remotePort: 0 },
      { connected: false },
    );
    all(makeSubject(makeEvent('listen', { call: listening })), {
      'fd.name': '0.0.0.0:80',
      'fd.sip': '0.0.0.0',
      'fd.sport': 80,
      'fd.cip': undefined,
      'fd.rip': undefined,
      'fd.typechar': '4',
      'fd.is_server': true,
    });
  });

  test('no socket and no file', () => {
    all(makeSubject(makeEvent('kill', { call: makeCall() })), {
      'fd.num': undefined,
      'fd.name': undefined,
      'fd.type': undefined,
      'fd.connected': undefined,
      'fd.name_changed': undefined,
    });
  });
});

test('the bytes of a message, and how many there were', () => {
  const call = { ...makeConnect(), data: Buffer.from([0xca, 0xfe, 0xba, 0xbe]) };
  all(makeSubject(makeEvent('recvfrom', { result: 1500, call })), {
    'evt.buffer': '\xca\xfe\xba\xbe',
    'evt.buflen': 1500,
    'evt.buflen.in': 1500,
    'evt.buflen.out': undefined,
    'evt.buflen.net': 1500,
    'evt.buflen.file': undefined,
    'evt.category': 'net',
    'evt.is_io_read': true,
  });
  const failed = makeSubject(makeEvent('recvfrom', { result: -11, call: makeConnect() }));
  assert.equal(read('evt.buflen', failed), undefined);
  assert.equal(read('evt.buffer', EXEC), undefined);
});

test('when a container started, before its runtime tells: with its first process', () => {
  const shim = makeProcess({ pid: 1, inScope: false, startBootNs: 1n });
  const init = makeProcess({ pid: 2, startBootNs: BOOT_NS - 3_000_000_000n, parent: shim });
  const process = makeProcess({ pid: 3, startBootNs: BOOT_NS - 1_000_000_000n, parent: init });
  const container = { ...CONTAINER, startedAtMs: undefined };
  all(makeSubject(makeEvent('execve'), { process, container }), {
    'container.start_ts': TIME_NS - 3_000_000_000n,
    'container.duration': 3_000_000_000n,
  });
  all(makeSubject(makeEvent('execve'), { process, container: undefined }), {
    'container.start_ts': undefined,
    'container.duration': undefined,
  });
});
