// The costliest events that a container can cause: every text as long as the probe reports it, below as many ancestors as
// rules look at.
import { LIMITS } from '../../src/events/table.gen.ts';
import type { ProcessImage } from '../../src/context/process.ts';
import { MAX_ANCESTORS } from '../../src/rules/fields/ancestors.ts';
import type { View } from '../../src/rules/fields/field.ts';
import { normalizePath } from '../../src/shared/path.ts';
import {
  CONTAINER,
  makeCall,
  makeConnect,
  makeEvent,
  makeExec,
  makeFile,
  makeOpen,
  makeProcess,
  makeSubject,
} from './rules-subject.ts';

/** Made anew each time, as a decoder does: so that no engine remembers what it found out about one. */
const repeated = (unit: string, length: number): string =>
  Buffer.from(unit.repeat(Math.ceil(length / unit.length)).slice(0, length)).toString();

function imageOf(unit: string): Partial<ProcessImage> {
  const long = repeated(unit, 4000);
  return {
    name: repeated(unit, LIMITS.COMM_LEN - 1),
    exe: long,
    exePath: repeated(`/${unit}`, LIMITS.PATH_MAX - 1),
    // As many arguments as fit: a NUL ends each.
    args:
      unit.length === 1
        ? Array.from({ length: LIMITS.ARGV_MAX / 2 }, () => unit)
        : [repeated(unit, LIMITS.ARGV_MAX - 1)],
    env: Array.from({ length: LIMITS.ENV_MAX / 2 }, () => unit.charAt(0)),
    cwd: repeated(`/${unit}`, LIMITS.PATH_MAX - 1),
  };
}

/**
 * Events whose texts are made of `unit`, over and over. In each the process has as many ancestors as rules look at, with as
 * many arguments as it has itself.
 */
export function worstViews(unit: string): readonly View[] {
  const path = repeated(`/${unit}`, LIMITS.PATH_MAX - 1);
  const relative = path.slice(1);
  const absolute = normalizePath(`${path}/${relative}`);
  let process = makeProcess({ pid: 1, image: imageOf(unit) });
  for (let level = 1; level <= MAX_ANCESTORS; level++) {
    process = makeProcess({ pid: level + 1, image: imageOf(unit), parent: process });
  }
  const args = process.image.args;
  const texts = {
    exe: unit,
    args: [...args],
    cwd: path,
    filename: relative,
    trusted_exepath: path,
  };
  const container = {
    ...CONTAINER,
    labels: Object.fromEntries(
      Array.from({ length: 128 }, (_, at) => [`${at}${repeated(unit, 250)}`, repeated(unit, 4096)]),
    ),
    details: {
      ...CONTAINER.details,
      mounts: Array.from({ length: 256 }, () => ({
        source: path,
        destination: path,
        mode: 'rw',
        writable: true,
        propagation: 'rprivate',
      })),
    },
  };
  const call = makeCall({
    text: () => relative,
    directory: () => path,
    path: () => normalizePath(`${path}/${relative}`),
    data: Buffer.from(repeated(unit, LIMITS.DATA_MAX)).subarray(0, LIMITS.DATA_MAX),
    fd: 3,
    file: makeFile(path),
  });
  const events = [
    makeEvent('execve', {
      exec: makeExec({
        argv: [unit, ...args],
        cwd: path,
        filename: relative,
        env: process.image.env,
      }),
      params: texts,
    }),
    makeEvent('openat', {
      result: 3,
      open: makeOpen(absolute, { rawPath: relative, directoryPath: path, file: makeFile(path) }),
      params: { name: relative, fd: 3, dirfd: 4, flags: 'O_RDWR|O_CREAT|O_TRUNC', mode: 0o644 },
    }),
    makeEvent('renameat2', { call, params: { oldpath: relative, newpath: relative, flags: 'X' } }),
    makeEvent('sendto', { call, params: { data: call.data, fd: 3 } }),
    makeEvent('connect', { call: makeConnect({ family: 10, localIp: '::1', remoteIp: '::2' }) }),
  ];
  return events.flatMap((event) =>
    [false, true].map((claimedPath) => ({
      ...makeSubject(event, { process, container: container as typeof CONTAINER }),
      claimedPath,
    })),
  );
}
