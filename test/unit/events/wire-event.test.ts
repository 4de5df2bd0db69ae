import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readCgroupChange } from '../../../src/events/cgroup-record.ts';
import {
  EVENT_NAMES,
  EVENT_TABLE,
  FILE_FLAGS,
  LIMITS,
  RECORD_FLAGS,
  type EventName,
} from '../../../src/events/table.gen.ts';
import { WireEvent } from '../../../src/events/wire-event.ts';
import { decodeText } from '../../../src/shared/text.ts';
import { u16, u32, u64, id, headers } from './arbitraries.ts';
import { buildRecord, eventOf, recordBytes } from './record-builder.ts';

test('the header comes back as it was written', () => {
  fc.assert(
    fc.property(headers, fc.constantFrom(...EVENT_NAMES), (header, name) => {
      const event = eventOf(buildRecord('exit', name, header, { status: 9 }), 5n);
      const { credentials: c } = event;
      assert.deepEqual(
        {
          ts: event.bootNs,
          cgroup: event.cgroupId,
          pid: event.pid,
          tid: event.tid,
          start: event.startBootNs,
          parent_start: event.parentStartBootNs,
          ppid: event.ppid,
          cpu: event.cpu,
          ret: event.result + 0,
          vpid: event.vpid,
          vtid: event.vtid,
          host_uid: c.hostUid,
          host_gid: c.hostGid,
          host_euid: c.hostEuid,
          host_egid: c.hostEgid,
          uid: c.uid,
          gid: c.gid,
          euid: c.euid,
          egid: c.egid,
          loginuid: c.loginUid,
          userns: c.userNamespace,
          cap_inheritable: c.capInheritable,
          cap_permitted: c.capPermitted,
          cap_effective: c.capEffective,
          tty: event.tty,
          mntns: header.mntns,
          comm: event.comm,
        },
        { ...header, ret: header.ret + 0, comm: decodeText(header.comm) },
      );
      assert.equal(event.type, name);
      assert.equal(event.timeNs, header.ts + 5n);
      assert.deepEqual(event.exit, { status: 9 });
      assert.deepEqual([event.open, event.call, event.exec, event.clone], Array(4).fill(undefined));
    }),
  );
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
  const kinds = ['', 'exec', 'clone', 'exit', 'open', 'call'];
  for (const name of EVENT_NAMES) {
    const kind = kinds[EVENT_TABLE[name].kind] ?? '';
    const event = eventOf(
      buildRecord(
        kind,
        name,
        { comm: Buffer.from('c') },
        kind === 'call'
          ? {
              ...known,
              family: 2,
              socket_type: 1,
              flags: RECORD_FLAGS.TUPLE_KNOWN,
              // prctl has a name as its argument with this option only
              arg1: 15,
            }
          : known,
        {
          ...(kind === 'call'
            ? { addr: Buffer.from([2, 0, 0, 1, 1, 2, 3, 4]), data: Buffer.alloc(24) }
            : {}),
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

test('an attach by a process outside the scope tells its ancestors, and what the first of them run', () => {
  const ancestors = Buffer.alloc(5 * 32);
  for (let index = 0; index < 5; index++) {
    ancestors.writeBigUInt64LE(BigInt(1000 - index), index * 32);
    ancestors.writeUInt32LE(50 - index, index * 32 + 8);
    ancestors.write(`name${index}`, index * 32 + 16);
  }
  const exes = Buffer.alloc(LIMITS.ANCESTOR_EXES * LIMITS.ANCESTOR_EXE_MAX);
  exes.write('/usr/sbin/runc');
  exes.write('memfd:x', LIMITS.ANCESTOR_EXE_MAX);
  exes.write(`/${'l'.repeat(LIMITS.ANCESTOR_EXE_MAX - 2)}`, 2 * LIMITS.ANCESTOR_EXE_MAX);
  const path = Buffer.from('/docker/x');
  const change = readCgroupChange(
    recordBytes(
      buildRecord('cgroup', 'execve', {}, { op: 3, state: 1 }, { path, exes, ancestors }),
    ),
    0,
  );
  assert.equal(change.path, '/docker/x');
  assert.deepEqual(
    change.ancestors?.map(({ pid, startBootNs, comm, inScope, exePath }) => [
      pid,
      startBootNs,
      comm,
      inScope,
      exePath,
    ]),
    [
      [50, 1000n, 'name0', false, '/usr/sbin/runc'],
      [49, 999n, 'name1', false, undefined],
      [48, 998n, 'name2', false, `/${'l'.repeat(LIMITS.ANCESTOR_EXE_MAX - 2)}`],
      [47, 997n, 'name3', false, undefined],
      [46, 996n, 'name4', false, undefined],
    ],
  );
});

test('cgroup records: each kind and state', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(1, 2, 3),
      fc.constantFrom(1, 2, 3),
      id,
      id,
      u64,
      u32,
      u64,
      u16,
      (op, state, a, c, ts, pid, start, length) => {
        const text = 'p'.repeat(length % 512);
        const record = buildRecord(
          'cgroup',
          'execve',
          { ts, pid, start },
          { id: a, root_id: c, op, state },
          { path: Buffer.from(text) },
        );
        const change = readCgroupChange(recordBytes(record), 0);
        assert.deepEqual(change, {
          kind: ['', 'mkdir', 'rmdir', 'attach'][op],
          cgroupId: a,
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
