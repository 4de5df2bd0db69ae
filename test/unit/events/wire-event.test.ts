import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readCgroupChange } from '../../../src/events/cgroup-record.ts';
import {
  EVENT_NAMES,
  EVENT_TABLE,
  FILE_FLAGS,
  RECORD_FLAGS,
  type EventName,
} from '../../../src/events/table.gen.ts';
import { WireEvent } from '../../../src/events/wire-event.ts';
import { decodeText } from '../../../src/shared/text.ts';
import { buildRecord, eventOf, recordBytes } from './record-builder.ts';

const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const s32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const id = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
/** As the kernel has it: no NUL inside. */
const path = bytes(300).map((text) => Buffer.from(text.filter((byte) => byte !== 0)));
const bool = fc.boolean();

const headers = fc.record({
  ...{
    ts: u64,
    cgroup: id,
    pid: u32,
    tid: u32,
    start: u64,
    parent_start: u64,
    ppid: u32,
    cpu: u32,
  },
  ret: fc.integer({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }),
  ...{ vpid: u32, vtid: u32, host_uid: u32, host_gid: u32, host_euid: u32, host_egid: u32 },
  ...{ uid: u32, gid: u32, euid: u32, egid: u32, loginuid: s32, userns: u32 },
  ...{ cap_inheritable: u64, cap_permitted: u64, cap_effective: u64, tty: u32, mntns: u32 },
  comm: path.map((text) => text.subarray(0, 16)),
});

const flagBits = (values: Readonly<Record<string, number>>): fc.Arbitrary<number> =>
  fc.subarray(Object.values(values)).map((bits) => bits.reduce((all, bit) => all | bit, 0));

const files = fc.record({
  ...{ file_ino: id, file_dev: u32, file_uid: u32, file_gid: u32, file_mode: u32 },
  file_flags: flagBits(FILE_FLAGS),
});

function expectedFile(
  fixed: { file_ino: number; file_dev: number; file_flags: number },
  text: Buffer,
): object | undefined {
  const has = (bit: number): boolean => (fixed.file_flags & bit) !== 0;
  if (!has(FILE_FLAGS.FILE_KNOWN)) return undefined;
  return {
    path: decodeText(text),
    pathTruncated: has(FILE_FLAGS.FILE_PATH_TRUNCATED),
    detached: has(FILE_FLAGS.FILE_DETACHED),
    devMajor: Math.floor(fixed.file_dev / 2 ** 20),
    devMinor: fixed.file_dev % 2 ** 20,
    ino: fixed.file_ino,
    upperLayer: has(FILE_FLAGS.FILE_UPPER_LAYER),
    lowerLayer: has(FILE_FLAGS.FILE_LOWER_LAYER),
    memfd: has(FILE_FLAGS.FILE_MEMFD),
    unlinked: has(FILE_FLAGS.FILE_UNLINKED),
  };
}

test('the header comes back as it was written', () => {
  fc.assert(
    fc.property(headers, fc.constantFrom(...EVENT_NAMES), (header, name) => {
      const event = eventOf(buildRecord('exit', name, header, { status: 9 }), 5n);
      const { credentials: c } = event;
      assert.deepEqual(
        {
          ...{
            ts: event.bootNs,
            cgroup: event.cgroupId,
            pid: event.pid,
            tid: event.tid,
            start: event.startBootNs,
          },
          ...{
            parent_start: event.parentStartBootNs,
            ppid: event.ppid,
            cpu: event.cpu,
            ret: event.result + 0,
          },
          ...{
            vpid: event.vpid,
            vtid: event.vtid,
            host_uid: c.hostUid,
            host_gid: c.hostGid,
            host_euid: c.hostEuid,
          },
          ...{
            host_egid: c.hostEgid,
            uid: c.uid,
            gid: c.gid,
            euid: c.euid,
            egid: c.egid,
            loginuid: c.loginUid,
          },
          ...{
            userns: c.userNamespace,
            cap_inheritable: c.capInheritable,
            cap_permitted: c.capPermitted,
          },
          ...{
            cap_effective: c.capEffective,
            tty: event.tty,
            mntns: header.mntns,
            comm: event.comm,
          },
        },
        { ...header, ret: header.ret + 0, comm: decodeText(header.comm) },
      );
      assert.equal(event.type, name);
      assert.equal(event.timeNs, header.ts + 5n);
      assert.deepEqual(event.exit, { status: 9 });
      assert.deepEqual(
        [event.open, event.connect, event.exec, event.clone],
        Array(4).fill(undefined),
      );
    }),
  );
});

test('an open comes back as it was written', () => {
  const fixed = fc.tuple(
    files,
    fc.record({ dirfd: s32, open_flags: u32, mode: u32, resolve: u32, flags: u32 }),
  );
  fc.assert(
    fc.property(fixed, path, path, ([file, rest], raw, resolved) => {
      const event = eventOf(
        buildRecord('open', 'openat2', { ret: 3 }, { ...file, ...rest }, { raw, path: resolved }),
      );
      const { flags, mode, directory, forRead, forWrite, ...open } = event.open!;
      assert.deepEqual(open, {
        file: expectedFile(file, resolved),
        rawPath: decodeText(raw),
        rawPathTruncated: (rest.flags & RECORD_FLAGS.RAW_TRUNCATED) !== 0,
        dirFd: rest.dirfd,
        resolve: rest.resolve,
        created: (file.file_flags & FILE_FLAGS.FILE_CREATED) !== 0,
      });
      assert.equal(flags, rest.open_flags);
      assert.ok(mode === 0 || mode === rest.mode);
      assert.ok(!forRead || (flags & 1) === 0);
      if (file.file_flags & FILE_FLAGS.FILE_KNOWN) {
        assert.equal(directory, (file.file_mode & 0o170000) === 0o040000);
      }
      assert.ok(
        forWrite ||
          (rest.open_flags & 3) === 0 ||
          (rest.open_flags & 3) === 3 ||
          (rest.open_flags & 0o10000000) !== 0,
      );
    }),
  );
});

test('reading, writing, creating: from the flags as the kernel takes them', () => {
  const open = (flags: number, file: Record<string, number> = {}): object => {
    const { forRead, forWrite, mode, directory } = eventOf(
      buildRecord('open', 'open', {}, { open_flags: flags, mode: 0o755, ...file }),
    ).open!;
    return { forRead, forWrite, mode, directory };
  };
  const nothing = { forRead: false, forWrite: false, mode: 0, directory: false };
  assert.deepEqual(open(0), { ...nothing, forRead: true });
  assert.deepEqual(open(1), { ...nothing, forWrite: true });
  assert.deepEqual(open(2), { ...nothing, forRead: true, forWrite: true });
  assert.deepEqual(open(0o100), { ...nothing, forRead: true, forWrite: true, mode: 0o755 });
  assert.deepEqual(open(0o1000), { ...nothing, forRead: true, forWrite: true });
  assert.deepEqual(open(0o10000000 | 0o102), nothing, 'O_PATH ignores the rest');
  assert.deepEqual(open(0o200000), { ...nothing, forRead: true, directory: true });
  assert.deepEqual(open(0o20200002), { ...nothing, forRead: true, forWrite: true, mode: 0o755 });
  const known = { file_flags: FILE_FLAGS.FILE_KNOWN };
  assert.deepEqual(open(0, { ...known, file_mode: 0o040755 }), {
    ...nothing,
    forRead: true,
    directory: true,
  });
  assert.deepEqual(open(0o200000, { ...known, file_mode: 0o100644 }), {
    ...nothing,
    forRead: true,
  });
});

test('an exec comes back as it was written', () => {
  const ancestor = fc.record({
    start: u64,
    pid: u32,
    scoped: bool,
    comm: path.map((text) => text.subarray(0, 16)),
  });
  const fixed = fc.tuple(
    files,
    fc.record({ pgid: u32, vpgid: u32, sid: u32, vsid: u32, flags: u32 }),
  );
  fc.assert(
    fc.property(
      fixed,
      fc.array(ancestor, { maxLength: 8 }),
      path,
      path,
      path,
      fc.array(path, { maxLength: 12 }),
      bool,
      ([file, rest], ancestors, raw, resolved, cwd, argv, failed) => {
        const parts = {
          ancestors: Buffer.concat(
            ancestors.map((one) => {
              const buffer = Buffer.alloc(32);
              buffer.writeBigUInt64LE(one.start, 0);
              buffer.writeUInt32LE(one.pid, 8);
              buffer.writeUInt32LE(one.scoped ? 1 : 0, 12);
              one.comm.copy(buffer, 16);
              return buffer;
            }),
          ),
          raw,
          path: resolved,
          cwd,
          argv: Buffer.concat(argv.map((arg) => Buffer.concat([arg, Buffer.of(0)]))),
        };
        const event = eventOf(
          buildRecord('exec', 'execve', { ret: failed ? -2 : 0 }, { ...file, ...rest }, parts),
        );
        const { writable, ...exec } = event.exec!;
        assert.deepEqual(exec, {
          file: expectedFile(file, resolved),
          filename: decodeText(raw),
          argv: argv.map(decodeText),
          argvTruncated: (rest.flags & RECORD_FLAGS.ARGV_TRUNCATED) !== 0,
          cwd: decodeText(cwd),
          ancestors: ancestors.map((one) => ({
            pid: one.pid,
            startBootNs: one.start,
            comm: decodeText(one.comm),
            inScope: one.scoped,
          })),
          ...{ pgid: rest.pgid, vpgid: rest.vpgid, sid: rest.sid, vsid: rest.vsid },
        });
        if (failed) assert.equal(writable, false);
      },
    ),
  );
});

test('argv that was cut inside an argument keeps what there is of it', () => {
  const event = eventOf(
    buildRecord(
      'exec',
      'execve',
      {},
      { flags: RECORD_FLAGS.ARGV_TRUNCATED },
      { argv: Buffer.from('sh\0-c\0ech') },
    ),
  );
  assert.deepEqual(event.exec?.argv, ['sh', '-c', 'ech']);
  assert.equal(event.exec.argvTruncated, true);
});

test('who may write the program that runs', () => {
  const writable = (mode: number, header: object, owner: object): boolean =>
    eventOf(buildRecord('exec', 'execve', { ...header }, { file_mode: 0o100000 | mode, ...owner }))
      .exec!.writable;
  const me = { host_euid: 5, host_egid: 6 };
  const mine = { file_uid: 5, file_gid: 7 };
  const ours = { file_uid: 9, file_gid: 6 };
  const theirs = { file_uid: 9, file_gid: 9 };
  assert.equal(writable(0o200, me, mine), true);
  assert.equal(writable(0o022, me, mine), false, 'the owner’s bits alone count for the owner');
  assert.equal(writable(0o020, me, ours), true);
  assert.equal(writable(0o202, me, ours), false);
  assert.equal(writable(0o002, me, theirs), true);
  assert.equal(writable(0o220, me, theirs), false);
  assert.equal(writable(0, { ...me, cap_effective: 2n }, theirs), true, 'CAP_DAC_OVERRIDE');
  assert.equal(writable(0, { ...me, cap_effective: ~2n }, theirs), false);
});

test('a clone comes back as it was written', () => {
  const fixed = fc.record({
    clone_flags: u64,
    child_start: u64,
    child_pid: u32,
    child_tid: u32,
    child_vpid: u32,
    child_vtid: u32,
    flags: u32,
  });
  fc.assert(
    fc.property(fixed, (f) => {
      assert.deepEqual(eventOf(buildRecord('clone', 'clone3', {}, f)).clone, {
        flags: f.clone_flags,
        childPid: f.child_pid,
        childTid: f.child_tid,
        childVpid: f.child_vpid,
        childVtid: f.child_vtid,
        childStartBootNs: f.child_start,
        thread: (f.flags & RECORD_FLAGS.THREAD) !== 0,
        parentInScope: (f.flags & RECORD_FLAGS.PARENT_OUT_OF_SCOPE) === 0,
      });
    }),
  );
});

test('a connect comes back as it was written', () => {
  const fixed = {
    fd: 7,
    family: 2,
    protocol: 6,
    socket_type: 1,
    lport: 65535,
    rport: 80,
    flags: RECORD_FLAGS.TUPLE_KNOWN,
  };
  const addresses = { laddr: Buffer.from([10, 0, 0, 1]), raddr: Buffer.from([169, 254, 169, 254]) };
  const addr = Buffer.from([2, 0, 0, 80, 169, 254, 169, 254, 0, 0, 0, 0, 0, 0, 0, 0]);
  const event = eventOf(
    buildRecord('connect', 'connect', {}, { ...fixed, ...addresses }, { addr }),
  );
  assert.deepEqual(event.connect, {
    fd: 7,
    tuple: {
      ...{ family: 2, protocol: 6, socketType: 1, localIp: '10.0.0.1', localPort: 65535 },
      ...{ remoteIp: '169.254.169.254', remotePort: 80, unixPath: '' },
    },
    address: { family: 2, ip: '169.254.169.254', port: 80, unixPath: '' },
  });
  assert.equal(event.param('tuple'), '10.0.0.1:65535->169.254.169.254:80');
  const unknown = eventOf(
    buildRecord('connect', 'connect', {}, { ...fixed, ...addresses, flags: 0 }),
  );
  assert.deepEqual(unknown.connect, { fd: 7, tuple: undefined, address: undefined });
  assert.equal(unknown.param('tuple'), undefined);
  assert.equal(unknown.param('addr'), undefined);
  const unix = eventOf(
    buildRecord(
      'connect',
      'connect',
      {},
      { fd: 1, family: 1, socket_type: 1, flags: RECORD_FLAGS.TUPLE_KNOWN },
      {
        addr: Buffer.from('\u0001\0name'),
        unix: Buffer.from('/run/name\0'),
      },
    ),
  );
  assert.deepEqual([unix.param('tuple'), unix.param('addr')], ['/run/name', 'name']);
});

test('one event object over a batch: nothing of the one before is left', () => {
  const first = buildRecord(
    'open',
    'open',
    { pid: 1, uid: 7, comm: Buffer.from('one') },
    {},
    { raw: Buffer.from('/a') },
  );
  const second = buildRecord(
    'clone',
    'fork',
    { pid: 2, uid: 8, comm: Buffer.from('two') },
    { child_pid: 3 },
  );
  const third = buildRecord(
    'open',
    'creat',
    { pid: 4, uid: 9, comm: Buffer.from('three') },
    {},
    { raw: Buffer.from('/bb') },
  );
  const event = new WireEvent(recordBytes(first, second, third), { unixMinusBootNs: 0n });
  const seen = [0, first.length, first.length + second.length].map((at, index) => {
    event.moveTo(at, index + 1);
    return [
      event.num,
      event.type,
      event.pid,
      event.comm,
      event.credentials.uid,
      event.open?.rawPath,
      event.clone?.childPid,
    ];
  });
  assert.deepEqual(seen, [
    [1, 'open', 1, 'one', 7, '/a', undefined],
    [2, 'fork', 2, 'two', 8, undefined, 3],
    [3, 'creat', 4, 'three', 9, '/bb', undefined],
  ]);
});

test('a detached event stays when the batch is overwritten and the clock steps', () => {
  const record = buildRecord(
    'open',
    'open',
    { pid: 1, ts: 100n, uid: 5 },
    {},
    { raw: Buffer.from('/kept') },
  );
  const other = buildRecord('open', 'open', { pid: 9 }, {}, { raw: Buffer.from('/other') });
  const records = recordBytes(other, record);
  const clock = { unixMinusBootNs: 1000n };
  const event = new WireEvent(records, clock);
  event.moveTo(other.length, 42);
  const kept = event.detach();
  records.bytes.fill(0xee);
  clock.unixMinusBootNs = 5n;
  assert.deepEqual(
    [kept.num, kept.pid, kept.timeNs, kept.credentials.uid, kept.open?.rawPath, kept.at],
    [42, 1, 1100n, 5, '/kept', 0],
  );
  assert.equal(kept.detach().open?.rawPath, '/kept');
});

test('every parameter that the event table promises is there, and no other', () => {
  const known = { file_flags: FILE_FLAGS.FILE_KNOWN };
  const kinds = ['', 'exec', 'clone', 'exit', 'open', 'connect'];
  for (const name of EVENT_NAMES) {
    const kind = kinds[EVENT_TABLE[name].kind] ?? '';
    const event = eventOf(
      buildRecord(
        kind,
        name,
        { comm: Buffer.from('c') },
        { ...known, family: 2, flags: kind === 'connect' ? RECORD_FLAGS.TUPLE_KNOWN : 0 },
        {
          ...(kind === 'connect' ? { addr: Buffer.from([2, 0, 0, 1, 1, 2, 3, 4]) } : {}),
          ...(kind === 'exec' ? { argv: Buffer.from('a\0b\0') } : {}),
        },
      ),
    );
    for (const [param, type] of EVENT_TABLE[name].params) {
      const value = event.param(param);
      assert.notEqual(value, undefined, `${name}.${param}`);
      if (type === 'CHARBUFARRAY') assert.ok(Array.isArray(value), `${name}.${param}`);
      if (type.startsWith('UINT')) assert.notEqual(typeof value, 'string', `${name}.${param}`);
    }
    assert.equal(event.param('nothing'), undefined);
    const others = EVENT_NAMES.flatMap((other: EventName) =>
      EVENT_TABLE[other].params.map(([param]) => param),
    );
    const own = new Set<string>(EVENT_TABLE[name].params.map(([param]) => param));
    const extra = [...new Set(others)].filter(
      (param) => !own.has(param) && event.param(param) !== undefined,
    );
    assert.deepEqual(extra, [], name);
  }
});

test('the status of an exit in its parts; the device as stat has it', () => {
  const exit = (status: number): unknown[] => {
    const event = eventOf(buildRecord('exit', 'procexit', {}, { status }));
    return ['status', 'ret', 'sig'].map((param) => event.param(param));
  };
  assert.deepEqual(exit(3 << 8), [768, 3, 0]);
  assert.deepEqual(exit(139), [139, 0, 11]);
  const open = eventOf(
    buildRecord(
      'open',
      'open',
      {},
      { file_flags: FILE_FLAGS.FILE_KNOWN, file_dev: (259 << 20) | 0x12345 },
    ),
  );
  assert.equal(open.param('dev'), (259 << 8) | 0x45 | (0x123 << 20));
});

test('cgroup records: each kind and state', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(1, 2, 3),
      fc.constantFrom(1, 2, 3),
      id,
      id,
      id,
      u64,
      u32,
      u64,
      u16,
      (op, state, a, b, c, ts, pid, start, length) => {
        const text = 'p'.repeat(length % 512);
        const record = buildRecord(
          'cgroup',
          'execve',
          { ts, pid, start },
          { id: a, parent_id: b, root_id: c, op, state },
          { path: Buffer.from(text) },
        );
        const change = readCgroupChange(recordBytes(record), 0);
        assert.deepEqual(change, {
          kind: ['', 'mkdir', 'rmdir', 'attach'][op],
          cgroupId: a,
          parentCgroupId: b,
          rootCgroupId: c,
          path: text,
          state: ['', 'pending', 'included', 'excluded'][state],
          bootNs: ts,
          pid: op === 3 ? pid : 0,
          ...(op === 3 ? { startBootNs: start } : {}),
        });
      },
    ),
  );
});
