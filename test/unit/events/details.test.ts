import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { StandardDescriptor } from '../../../src/events/event.ts';
import { FILE_FLAGS, LIMITS, RECORD_FLAGS, STANDARD } from '../../../src/events/table.gen.ts';
import { joinWords, unpackWords } from '../../../src/events/words.ts';
import { decodeText } from '../../../src/shared/text.ts';
import { u32, s32, u64, path, bool, files } from './arbitraries.ts';
import { plain } from '../../support/plain.ts';
import { buildRecord, eventOf } from './record-builder.ts';

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

test('an open comes back as it was written', () => {
  const fixed = fc.tuple(
    files,
    fc.record({ dirfd: s32, open_flags: u32, mode: u32, resolve: u32, flags: u32 }),
  );
  fc.assert(
    fc.property(fixed, path, path, path, ([file, rest], raw, resolved, dir) => {
      const event = eventOf(
        buildRecord(
          'open',
          'openat2',
          { ret: 3 },
          { ...file, ...rest },
          { raw, path: resolved, dir },
        ),
      );
      const { flags, mode, directory, forRead, forWrite, ...open } = plain(event.open!);
      assert.deepEqual(
        { ...open, file: open.file && plain(open.file) },
        {
          file: expectedFile(file, resolved),
          rawPath: decodeText(raw),
          rawPathTruncated: (rest.flags & RECORD_FLAGS.RAW_TRUNCATED) !== 0,
          directoryPath: decodeText(dir),
          dirFd: rest.dirfd,
          resolve: rest.resolve,
          created: (file.file_flags & FILE_FLAGS.FILE_CREATED) !== 0,
        },
      );
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

/** The programs of ancestors as the probe writes them. */
function slots(exes: readonly string[]): Buffer {
  const bytes = Buffer.alloc(LIMITS.ANCESTOR_EXES * LIMITS.ANCESTOR_EXE_MAX);
  for (const [index, exe] of exes.slice(0, LIMITS.ANCESTOR_EXES).entries())
    bytes.write(exe, index * LIMITS.ANCESTOR_EXE_MAX);
  return bytes;
}

test('an exec comes back as it was written', () => {
  const ancestor = fc.record({
    start: u64,
    pid: u32,
    scoped: bool,
    comm: path.map((text) => text.subarray(0, 16)),
    exe: fc.constantFrom('', '/usr/sbin/runc', `/${'é'.repeat(127)}`),
  });
  const fixed = fc.tuple(
    files,
    fc.record({
      pgid: u32,
      vpgid: u32,
      sid: u32,
      vsid: u32,
      flags: u32,
      file_ctime: u64,
      file_mtime: u64,
      pidns_start: u64,
    }),
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
      bool,
      ([file, rest], ancestors, raw, resolved, cwd, argv, failed, outside) => {
        const words = Buffer.concat(argv.map((arg) => Buffer.concat([arg, Buffer.of(0)])));
        const parts = {
          exes: outside ? slots(ancestors.map(({ exe }) => exe)) : Buffer.alloc(0),
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
          argv: words,
          env: words,
        };
        const event = eventOf(
          buildRecord('exec', 'execve', { ret: failed ? -2 : 0 }, { ...file, ...rest }, parts),
        );
        assert.equal(event.denied, (rest.flags & RECORD_FLAGS.DENIED) !== 0);
        const { writable, standard, packed, ...exec } = event.exec!;
        assert.deepEqual(
          { ...exec, file: exec.file && plain(exec.file) },
          {
            file: expectedFile(file, resolved),
            filename: decodeText(raw),
            parentsProgram: (rest.flags & RECORD_FLAGS.PARENTS_PROGRAM) !== 0,
            argv: argv.map(decodeText),
            argvTruncated: (rest.flags & RECORD_FLAGS.ARGV_TRUNCATED) !== 0,
            cwd: decodeText(cwd),
            env: argv.length === 0 ? undefined : argv.map(decodeText),
            envTruncated: (rest.flags & RECORD_FLAGS.ENV_TRUNCATED) !== 0,
            fileCtimeNs: rest.file_ctime,
            fileMtimeNs: rest.file_mtime,
            pidNamespaceStartBootNs: rest.pidns_start,
            ancestors: ancestors.map((one, index) => ({
              ...(outside && index < LIMITS.ANCESTOR_EXES && !one.scoped && one.exe !== ''
                ? { exePath: one.exe }
                : {}),
              pid: one.pid,
              startBootNs: one.start,
              comm: decodeText(one.comm),
              inScope: one.scoped,
            })),
            pgid: rest.pgid,
            vpgid: rest.vpgid,
            sid: rest.sid,
            vsid: rest.vsid,
          },
        );
        const kept = packed();
        assert.deepEqual(unpackWords(kept.argv), exec.argv);
        assert.deepEqual(kept.env && unpackWords(kept.env), exec.env);
        assert.equal(kept.env && joinWords(kept.env), exec.env?.join(' '));
        if (failed) assert.equal(writable, false);
        assert.equal(standard.length, failed ? 0 : 3);
      },
    ),
  );
});

test('what a program found as its descriptors 0, 1 and 2', () => {
  const { STANDARD_OPEN, STANDARD_UNIX, STANDARD_IPV4, STANDARD_IPV6, STANDARD_DESCRIBED } =
    STANDARD;
  const [pipe, device, directory, file, socket] = [0o01, 0o02, 0o04, 0o10, 0o14];
  const of = (bytes: readonly number[], fixed = {}): readonly StandardDescriptor[] => {
    const [zero = 0, one = 0, two = 0] = bytes;
    const standard = zero | (one << 8) | (two << 16);
    return eventOf(buildRecord('exec', 'execve', {}, { ...fixed, standard })).exec!.standard;
  };
  const types = (...bytes: number[]): unknown => of(bytes).map(({ type }) => type);
  const open = STANDARD_OPEN;
  assert.deepEqual(types(open | pipe, open | device, open | directory), [
    'pipe',
    'file',
    'directory',
  ]);
  assert.deepEqual(types(0, open, open | file), [undefined, undefined, 'file']);
  const unix = open | socket | STANDARD_UNIX;
  const [ipv4, ipv6] = [open | socket | STANDARD_IPV4, open | socket | STANDARD_IPV6];
  assert.deepEqual(types(unix, ipv4, ipv6), ['unix', 'ipv4', 'ipv6']);
  assert.deepEqual(types(open | socket, ipv6, unix), [undefined, 'ipv6', 'unix'], 'netlink, say');
  const fixed = {
    flags: RECORD_FLAGS.CONNECTED,
    family: 2,
    protocol: 6,
    socket_type: 1,
    laddr: Buffer.from([10, 0, 0, 1]),
    raddr: Buffer.from([192, 0, 2, 9]),
    lport: 40000,
    rport: 443,
  };
  const tuple = {
    family: 2,
    protocol: 6,
    socketType: 1,
    unixPath: '',
    localIp: '10.0.0.1',
    localPort: 40000,
    remoteIp: '192.0.2.9',
    remotePort: 443,
  };
  const connection = { type: 'ipv4', tuple, connected: true };
  const described = ipv4 | STANDARD_DESCRIBED;
  const other = { type: 'ipv4', tuple: undefined, connected: false };
  assert.deepEqual(of([described, ipv4, described], fixed), [connection, other, connection]);
  assert.deepEqual(of([described], { ...fixed, flags: 0 })[0], { ...connection, connected: false });
  assert.equal(of([unix, unix, unix]), of([unix, unix, unix]), 'kept once');
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
        parentInScope: (f.flags & RECORD_FLAGS.PARENT_OUT_OF_SCOPE) === 0,
      });
    }),
  );
});
