// Events as `varvel test` is given them, of apps that have been up for an hour or have just begun.
import type { Given } from '../../../src/rules/given/given-fields.ts';

export type Fields = Readonly<Record<string, Given>>;

export const SECOND = 1_000_000_000;
export const HOUR = 3600 * SECOND;

/** A container that has been up for an hour, in which a process of the image has just begun below an old one. */
const OLD: Fields = {
  'app.name': 'shop',
  'container.type': 'docker',
  'container.duration': HOUR,
  'evt.rawres': 0,
  'proc.vpid': 40,
  'proc.pvpid': 20,
  'proc.duration': 0,
  'proc.ppid.duration': HOUR,
  'proc.is_from_outside': false,
  'proc.is_exe_upper_layer': false,
  'proc.is_exe_from_memfd': false,
  'proc.tty': 0,
  'user.uid': 1000,
};

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** An exec of a file, below the files of the ancestors, parent first. */
export function run(
  path: string,
  args: string,
  above: readonly string[],
  more: Fields = {},
): Fields {
  const parent = above[0] === undefined ? {} : { 'proc.pname': nameOf(above[0]) };
  return {
    ...OLD,
    'evt.type': 'execve',
    'evt.arg.filename': path,
    'proc.name': nameOf(path),
    'proc.exepath': path,
    'proc.args': args,
    'proc.cmdline': `${nameOf(path)} ${args}`,
    'proc.aexepath': above,
    ...parent,
    ...more,
  };
}

/** A file is opened for writing, by a program that has run for an hour. */
export function write(file: string, by: string, more: Fields = {}): Fields {
  return {
    ...OLD,
    'evt.type': 'openat',
    'evt.rawres': 3,
    'evt.is_open_read': false,
    'evt.is_open_write': true,
    'evt.is_open_create': true,
    'evt.arg.flags': 'O_TRUNC|O_CREAT|O_WRONLY',
    'fd.num': 3,
    'fd.typechar': 'f',
    'fd.name': file,
    'proc.name': nameOf(by),
    'proc.exepath': by,
    'proc.duration': HOUR,
    ...more,
  };
}

/** The same for reading. */
export const read = (file: string, by: string, more: Fields = {}): Fields =>
  write(file, by, { 'evt.is_open_read': true, 'evt.is_open_write': false, ...more });

/** Any other call of such a program. */
export function call(type: string, by: string, more: Fields): Fields {
  return {
    ...OLD,
    'evt.type': type,
    'proc.name': nameOf(by),
    'proc.exepath': by,
    'proc.duration': HOUR,
    ...more,
  };
}

export const SHIM = '/usr/bin/containerd-shim-runc-v2';
export const DADOO = '/var/vcap/packages/guardian/bin/dadoo';
export const NODE = '/usr/local/bin/node';
export const PYTHON = '/usr/local/bin/python3.12';
export const OUTSIDE: Fields = { 'proc.is_from_outside': true };
/** The first process of a container that has just begun, and one below it. */
export const FIRST: Fields = {
  'proc.vpid': 1,
  'proc.is_from_outside': true,
  'container.duration': SECOND,
};
export const BELOW_FIRST: Fields = {
  'proc.pvpid': 1,
  'proc.ppid.duration': 2 * SECOND,
  'container.duration': 3 * SECOND,
};
/** Garden does not say when a container began. */
export const GARDEN: Fields = { 'container.type': 'garden', 'container.duration': null };
