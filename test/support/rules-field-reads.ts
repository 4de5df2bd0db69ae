// Fields read from events made by hand: for tests of the fields alone.
import assert from 'node:assert/strict';
import { readOperand } from '../../src/rules/compile/read.ts';
import type { Read } from '../../src/rules/compile/checked.ts';
import { parse } from '../../src/rules/language/parser.ts';
import type { Subject } from '../../src/rules/subject.ts';
import {
  makeConnect,
  makeEvent,
  makeExec,
  makeOpen,
  makeProcess,
  makeSubject,
} from './rules-subject.ts';

/** A field as a condition has it. Throws LanguageError. */
export function operand(field: string): Read {
  const node = parse(`${field} exists`);
  assert.ok(node.kind === 'exists');
  return readOperand(node.left);
}

/** A field's value. */
export function read(field: string, subject: Subject, claimedPath = false): unknown {
  const value = operand(field).reader.read({ ...subject, claimedPath });
  return Array.isArray(value) ? [...(value as unknown[])] : value;
}

/** All these fields have these values. */
export function all(subject: Subject, fields: Record<string, unknown>): void {
  for (const [field, value] of Object.entries(fields)) {
    assert.deepEqual(read(field, subject), value, field);
  }
}

export const EXEC = makeSubject(
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

export const OPEN = makeSubject(
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

export const CONNECT = makeSubject(
  makeEvent('connect', {
    result: -115,
    call: makeConnect(),
    params: { res: -115, tuple: '172.17.0.2:40000->93.184.216.34:443', fd: 9 },
  }),
);
