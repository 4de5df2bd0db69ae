import { future } from './field.ts';
import type { FieldClass } from './field.ts';

export const FS_CLASS: FieldClass = {
  name: 'fs.path',
  description: 'The paths that a system call names',
  fields: [
    future('fs.path.name', 'CHARBUF', 'The path, resolved.'),
    future('fs.path.nameraw', 'CHARBUF', 'The path as passed.'),
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
