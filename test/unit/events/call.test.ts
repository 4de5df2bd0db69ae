import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { namesOf } from '../../../src/events/call-names.ts';
import { RECORD_FLAGS, type EventName } from '../../../src/events/table.gen.ts';
import type { WireEvent } from '../../../src/events/wire-event.ts';
import { decodeText } from '../../../src/shared/text.ts';
import { path, u32, u64 } from './arbitraries.ts';
import { buildRecord, eventOf, type Values } from './record-builder.ts';

const { TUPLE_KNOWN, CONNECTED, PEER_CHANGED, RAW_TRUNCATED, CWD_TRUNCATED } = RECORD_FLAGS;

function call(
  name: EventName,
  fixed: Values = {},
  parts: Readonly<Record<string, string | Buffer>> = {},
  header: Values = {},
): WireEvent {
  const variable = Object.fromEntries(
    Object.entries(parts).map(([part, text]) => [part, Buffer.from(text)]),
  );
  return eventOf(buildRecord('call', name, header, { fd: -1, ...fixed }, variable));
}

test('a call comes back as it was written', () => {
  const args = fc.tuple(u64, u64, u64, u64, u64, u64);
  const texts = fc.tuple(path, path, path, path, path, path, path, path);
  fc.assert(
    fc.property(args, texts, u32, u32, (values, parts, size, queue) => {
      const [raw1, raw2, raw3, dir1, dir2, dir3, file, data] = parts;
      const fixed = Object.fromEntries(values.map((value, at) => [`arg${at + 1}`, value]));
      const event = eventOf(
        buildRecord(
          'call',
          'mount',
          {},
          { ...fixed, file_flags: 1, fd: 5, size, queue_len: queue, queue_max: size },
          { raw1, raw2, raw3, dir1, dir2, dir3, path: file, data },
        ),
      );
      const { call: details } = event;
      assert.ok(details);
      values.forEach((value, at) => {
        assert.equal(details.arg(at + 1), value);
        assert.equal(details.int(at + 1), Number(BigInt.asIntN(32, value)));
      });
      assert.deepEqual(
        [1, 2, 3].map((n) => details.text(n)),
        [raw1, raw2, raw3].map(decodeText),
      );
      assert.equal(details.file?.path, decodeText(file));
      assert.deepEqual(details.data, data);
      assert.deepEqual(
        [details.fd, details.size, details.queueLength, details.queueMax],
        [5, size, queue, size],
      );
      assert.equal(details.socket, undefined);
    }),
  );
});

test('a path is resolved by its own directory, or left', () => {
  const parts = { raw1: 'a/../b', raw2: '/x//./y', dir1: '/srv', dir2: '/nowhere' };
  const event = call('renameat', {}, parts);
  assert.deepEqual([event.call?.path(1), event.call?.path(2)], ['/srv/b', '/x/y']);
  assert.deepEqual(
    ['olddirfd', 'oldpath', 'newpath'].map((name) => event.param(name)),
    [0, '/srv/b', '/x/y'],
  );
  for (const [fixed, more] of [
    [{}, { dir1: '' }],
    [{}, { dir1: '[anon]' }],
    [{ flags: RAW_TRUNCATED }, {}],
    [{ flags: CWD_TRUNCATED }, {}],
  ] as const) {
    const unknown = call('renameat', fixed, { ...parts, ...more });
    assert.equal(unknown.call?.path(1), undefined);
    assert.equal(unknown.param('oldpath'), 'a/../b', 'what was passed');
  }
  assert.equal(call('unlinkat', { arg1: -100 }, { raw1: 'f' }).param('dirfd'), 'AT_FDCWD');
});

test('a socket: its kind always, its ends when they are known', () => {
  const fixed = {
    fd: 7,
    family: 2,
    protocol: 6,
    socket_type: 1,
    lport: 65535,
    rport: 80,
    laddr: Buffer.from([10, 0, 0, 1]),
    raddr: Buffer.from([169, 254, 169, 254]),
  };
  const addr = Buffer.from([2, 0, 0, 80, 169, 254, 169, 254, 0, 0, 0, 0, 0, 0, 0, 0]);
  const event = call('connect', { ...fixed, flags: TUPLE_KNOWN | CONNECTED }, { addr });
  const kind = { family: 2, protocol: 6, socketType: 1 };
  assert.deepEqual(event.call?.socket, {
    ...kind,
    tuple: {
      ...kind,
      localIp: '10.0.0.1',
      localPort: 65535,
      remoteIp: '169.254.169.254',
      remotePort: 80,
      unixPath: '',
    },
    connected: true,
    peerChanged: false,
  });
  assert.deepEqual(event.call.address, {
    family: 2,
    ip: '169.254.169.254',
    port: 80,
    unixPath: '',
  });
  assert.equal(event.param('tuple'), '10.0.0.1:65535->169.254.169.254:80');
  const failed = call('connect', { ...fixed, flags: PEER_CHANGED });
  assert.deepEqual(failed.call?.socket, {
    ...kind,
    tuple: undefined,
    connected: false,
    peerChanged: true,
  });
  assert.deepEqual([failed.param('tuple'), failed.param('addr')], [undefined, undefined]);
  const unix = call(
    'connect',
    { fd: 1, family: 1, socket_type: 1, flags: TUPLE_KNOWN | CONNECTED },
    { addr: Buffer.from('\u0001\0name'), unix: '/run/name\0' },
  );
  assert.deepEqual([unix.param('tuple'), unix.param('addr')], ['/run/name', 'name']);
});

test('arguments by their sources', () => {
  const ptrace = call('ptrace', { arg1: 16, arg2: 42, arg3: 2n ** 63n, arg4: 5 }, {}, { ret: -1 });
  assert.deepEqual(
    ['res', 'request', 'pid', 'addr', 'data'].map((name) => ptrace.param(name)),
    [-1, 'PTRACE_ATTACH', 42, 2n ** 63n, 5n],
  );
  const setName = call('prctl', { arg1: 15, arg2: 0x7fff0000 }, { raw1: 'kworker' });
  const dumpable = call('prctl', { arg1: 4, arg2: -1n });
  assert.deepEqual(
    [setName, dumpable].map((event) =>
      ['option', 'arg2_str', 'arg2_int'].map((name) => event.param(name)),
    ),
    [
      ['PR_SET_NAME', 'kworker', 0n],
      ['PR_SET_DUMPABLE', undefined, -1n],
    ],
  );
  assert.equal(call('setuid', { arg1: -1 }).param('uid'), 0xffffffff);
  assert.equal(call('kill', { arg1: -1, arg2: 9 }).param('pid'), -1);
  const ring = Buffer.alloc(24);
  [8, 16, 2, 3, 4, 1].forEach((value, at) => ring.writeUInt32LE(value, 4 * at));
  const setup = call('io_uring_setup', { arg1: 8 }, { data: ring });
  assert.deepEqual(
    ['entries', 'sq_entries', 'cq_entries', 'flags', 'sq_thread_cpu', 'features'].map((name) =>
      setup.param(name),
    ),
    [8, 8, 16, 'IORING_SETUP_SQPOLL', 3, 'IORING_FEAT_SINGLE_MMAP'],
  );
  assert.equal(call('io_uring_setup').param('features'), undefined, 'not readable');
  const accept = call('accept', { queue_len: 3, queue_max: 8 });
  assert.deepEqual(
    ['queuelen', 'queuemax', 'queuepct'].map((name) => accept.param(name)),
    [3, 8, 37],
  );
  assert.equal(call('accept').param('queuepct'), 0);
  assert.deepEqual(call('sendto', {}, { data: 'GET /' }).param('data'), Buffer.from('GET /'));
  assert.equal(call('sendto').param('data'), undefined);
  assert.equal(call('sendto').param('nothing'), undefined);
});

test('names of flags and of enumerations', () => {
  assert.equal(namesOf('PROT', 7), 'PROT_READ|PROT_WRITE|PROT_EXEC');
  assert.equal(namesOf('PROT', 0), 'PROT_NONE');
  assert.equal(namesOf('MAP', 0), '');
  assert.equal(namesOf('MOUNT', 0x80005000), 'BIND|REC|NOUSER');
  assert.equal(namesOf('CLONE', 0x10020000), 'CLONE_NEWNS|CLONE_NEWUSER');
  assert.equal(namesOf('AF', 17), 'AF_PACKET');
  assert.equal(namesOf('AF', 999), '999');
  assert.equal(namesOf('PTRACE', 0), 'PTRACE_TRACEME');
  assert.equal(namesOf('PTRACE', 0x4206), 'PTRACE_SEIZE');
  assert.equal(namesOf('PTRACE', 77), 'PTRACE_UNKNOWN');
  assert.equal(namesOf('BPF', 5), 'BPF_PROG_LOAD');
  assert.equal(namesOf('KEYCTL', 32), 'KEYCTL_WATCH_KEY');
});
