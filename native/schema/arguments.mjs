// Arguments of the probe's programs that the loader runs: part of the event table (table.mjs).

/** Argument of the verdict_run program, before the path and that of the program: the call to judge. */
export const VERDICT_RUN = [
  ['table', 'u32', 'number of the table'],
  ['kind', 'u32', 'number of the kind of call (src/plan/verdicts/call-kinds.ts)'],
  ['directory', 'u32', '1: the path is a directory’s'],
  ['dots', 'u32', '1: the path as passed may contain ".."'],
  ['len', 'u32', 'bytes of the path'],
  ['passes', 's32', 'out: 0, 1, or -1 where there is no such table'],
  ['failing', 'u32', 'out: bit n: rule n of those that can be certain may fail'],
  ['layer', 'u32', 'where the file is (src/plan/verdicts/form-tests.ts)'],
  ['program_known', 'u32', '1: the program that makes the call is known'],
  ['program_len', 'u32', 'bytes of its path; 0: that is not known'],
  ['program_layer', 'u32', 'where it is'],
  ['program_loads', 'u32', '1: its environment may have a variable LD_*'],
  ['program_name', 'char16', 'name of the process since its exec'],
  ['thread', 'char16', 'name of the thread'],
  ['address', 'bytes16', 'of a connect: where to'],
  ['address_len', 'u32', '4 or 16; 0: no connect to an IP address'],
  ['port', 'u32', 'of a connect'],
  ['argv_len', 'u32', 'bytes of the words of a program that is run; 0: they are not known'],
  ['standard', 'u32', 'bit n: its descriptor n is a connection'],
  ['env_len', 'u32', 'bytes of its environment; 0: that is not known'],
  ['denies', 'u32', 'out: bit n: rule n denies such a call, and certainly matches it'],
  ['age', 'u64', 'of the process, ns; NUMBER_UNKNOWN'],
  ['parent_age', 'u64', 'of its parent, ns; NUMBER_UNKNOWN'],
  [
    'inside_age',
    'u64',
    'of the older one of the two, as far as it is in scope, ns; NUMBER_UNKNOWN',
  ],
  ['from_outside', 'u64', '0: its parent is in scope; NUMBER_UNKNOWN'],
  ['vpid', 'u64', 'its number in its own pid namespace; NUMBER_UNKNOWN'],
  ['parent_vpid', 'u64', 'that of its parent; NUMBER_UNKNOWN'],
];

/** Argument of the image_adopt program, before its path: a process that was there before the probe. */
export const IMAGE_ADOPT = [
  ['start', 'u64', 'CLOCK_BOOTTIME ns; the last tick before it, if that is all that is known'],
  ['parent_start', 'u64', 'the same of its parent; 0: it is not known, or out of scope'],
  ['pid', 'u32'],
  ['parent', 'u32', 'pid'],
  ['is_entrant', 'u32', '1: its parent is out of scope'],
  ['len', 'u32', 'bytes of its path; 0: that is not known'],
  ['name', 'char16', 'of the process'],
];

/** Argument of the file_identify program, before its path: a file of a container that is to be known whatever name it is opened by. */
export const KNOWN_FILE = [
  ['cgroup', 'u64', 'of the container'],
  ['ino', 'u64', 'out: the file, with what follows'],
  ['dev', 'u32', 'out: of the file system that has it'],
  [
    'generation',
    'u32',
    'out: tells it from later files with the number; 0: the file system has none',
  ],
  ['fd', 's32', 'of the caller: the file'],
  ['error', 'u32', 'out: 1: there is no such descriptor'],
  ['pad', 'u32'],
  ['len', 'u32', 'bytes of its path'],
];

/** A made-up ancestor after those, before its path. */
export const GIVEN_ANCESTOR = [
  ['age', 'u64', 'ns; NUMBER_UNKNOWN'],
  ['found', 'u32', 'ANCESTOR_*'],
  ['len', 'u32', 'bytes of its path'],
  ['loads', 'u32', '1: its environment may have a variable LD_*'],
  ['name', 'char16', 'of the process since its exec'],
];
