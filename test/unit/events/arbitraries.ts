// Values of the fields of records, for properties.
import fc from 'fast-check';
import { FILE_FLAGS } from '../../../src/events/table.gen.ts';

export const u16 = fc.integer({ min: 0, max: 0xffff });
export const u32 = fc.integer({ min: 0, max: 0xffffffff });
export const s32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
export const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
export const id = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
export const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
/** As the kernel has it: no NUL inside. */
export const path = bytes(300).map((text) => Buffer.from(text.filter((byte) => byte !== 0)));
export const bool = fc.boolean();

export const headers = fc.record({
  ts: u64,
  cgroup: id,
  pid: u32,
  tid: u32,
  start: u64,
  parent_start: u64,
  ppid: u32,
  cpu: u32,
  ret: fc.integer({ min: -Number.MAX_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }),
  vpid: u32,
  vtid: u32,
  host_uid: u32,
  host_gid: u32,
  host_euid: u32,
  host_egid: u32,
  uid: u32,
  gid: u32,
  euid: u32,
  egid: u32,
  loginuid: s32,
  userns: u32,
  cap_inheritable: u64,
  cap_permitted: u64,
  cap_effective: u64,
  tty: u32,
  mntns: u32,
  comm: path.map((text) => text.subarray(0, 16)),
});

export const flagBits = (values: Readonly<Record<string, number>>): fc.Arbitrary<number> =>
  fc.subarray(Object.values(values)).map((bits) => bits.reduce((all, bit) => all | bit, 0));

export const files = fc.record({
  file_ino: id,
  file_dev: u32,
  file_uid: u32,
  file_gid: u32,
  file_mode: u32,
  file_flags: flagBits(FILE_FLAGS),
});
