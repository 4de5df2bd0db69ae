import { descriptorName } from './descriptor.ts';
import { field, future } from './field.ts';
import type { FieldClass, View } from './field.ts';

const EPERM = 1;
const OPENS: ReadonlySet<string> = new Set(['open', 'openat', 'openat2']);

/** Falco takes every result but -1 for an open that worked (its test is that of the C library), and leaves creat out. */
const names = (view: View): boolean => OPENS.has(view.event.type) && view.event.result !== -EPERM;

export const FS_CLASS: FieldClass = {
  name: 'fs.path',
  description: 'The paths that a system call names',
  fields: [
    field(
      'fs.path.name',
      'CHARBUF',
      'The path, resolved: of open, openat and openat2.',
      (v) => (names(v) ? descriptorName(v) : undefined),
      { pathDependent: true },
    ),
    field('fs.path.nameraw', 'CHARBUF', 'The path as passed: of open, openat and openat2.', (v) => {
      return names(v) ? v.event.open?.rawPath : undefined;
    }),
    future('fs.path.source', 'CHARBUF', 'The source path, resolved.'),
    future('fs.path.sourceraw', 'CHARBUF', 'The source path as passed.'),
    future('fs.path.target', 'CHARBUF', 'The target path, resolved.'),
    future('fs.path.targetraw', 'CHARBUF', 'The target path as passed.'),
  ],
};

export const FDLIST_CLASS: FieldClass = {
  name: 'fdlist',
  description: 'The descriptors of a poll',
  fields: [
    future('fdlist.nums', 'CHARBUF', 'Their numbers.'),
    future('fdlist.names', 'CHARBUF', 'Their names.'),
    future('fdlist.cips', 'CHARBUF', "Their clients' addresses."),
    future('fdlist.sips', 'CHARBUF', "Their servers' addresses."),
    future('fdlist.cports', 'CHARBUF', "Their clients' ports."),
    future('fdlist.sports', 'CHARBUF', "Their servers' ports."),
  ],
};

export const UTIL_CLASS: FieldClass = {
  name: 'util',
  description: 'Aids that Falco has for its own tools',
  fields: [future('util.cnt', 'UINT64', 'Counts the events that it is read for.')],
};
