import assert from 'node:assert/strict';
import type { Stats } from 'node:fs';
import type { KernelFile } from '../../src/events/event.ts';
import { EXEC, OPEN } from '../../src/events/table.gen.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';
import type { Step, StepResult } from './kernel-process.ts';

const CLONE_NEWNS = 0x20000;
const MS_REC_PRIVATE = (1 << 18) | 16384;

/** Steps into a mount namespace of its own, from which nothing propagates to the host. */
export const PRIVATE_MOUNTS: readonly Step[] = [
  'unshare',
  CLONE_NEWNS,
  'mount',
  'none',
  '/',
  'none',
  MS_REC_PRIVATE,
  '-',
];

/** What a file is expected to be; all that is not named is false. */
export type ExpectedFile = { path: string } & Partial<
  Record<'detached' | 'upperLayer' | 'lowerLayer' | 'memfd' | 'unlinked' | 'pathTruncated', boolean>
>;

const NOTHING_SPECIAL = {
  pathTruncated: false,
  detached: false,
  upperLayer: false,
  lowerLayer: false,
  memfd: false,
  unlinked: false,
};

interface FileIds {
  readonly ino: number;
  readonly devMajor: number;
  readonly devMinor: number;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

function assertFile(
  event: WireEvent,
  file: KernelFile | undefined,
  layout: { file_uid: number; file_gid: number; file_mode: number },
  ids: FileIds,
  expected: ExpectedFile,
): void {
  const { ino, devMajor, devMinor, uid, gid, mode } = ids;
  assert.deepEqual(file, { ...NOTHING_SPECIAL, devMajor, devMinor, ino, ...expected });
  const { records, at } = event;
  assert.deepEqual(
    {
      uid: records.number(at + layout.file_uid),
      gid: records.number(at + layout.file_gid),
      mode: records.number(at + layout.file_mode),
    },
    { uid, gid, mode },
  );
}

/** The kernel's file of an open, and its result, against fstat on the descriptor that the call returned. */
export function assertOpenFile(event: WireEvent, stat: StepResult, expected: ExpectedFile): void {
  assert.equal(event.result, stat.ret);
  const { ino, major, minor, uid, gid, mode } = stat as Required<StepResult>;
  const ids = { ino, devMajor: major, devMinor: minor, uid, gid, mode };
  assertFile(event, event.open?.file, OPEN, ids, expected);
}

/** The file that an exec runs against stat on it. */
export function assertExecFile(event: WireEvent, stat: Stats, expected: ExpectedFile): void {
  const { ino, dev, uid, gid, mode } = stat;
  // dev_t as stat(2) encodes it, for majors and minors of the usual size
  const ids = { ino, devMajor: (dev >> 8) & 0xfff, devMinor: dev & 0xff, uid, gid, mode };
  assertFile(event, event.exec?.file, EXEC, ids, expected);
}
