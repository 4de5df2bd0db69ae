// Rules about the words with which programs are run, and such programs, of any shape.
import fc from 'fast-check';
import { LIMITS } from '../../src/events/table.gen.ts';
import type { ExecEvent } from '../../src/plan/verdicts/call-kinds.ts';
import type { KnownCall } from '../../src/plan/verdicts/known-call.ts';
import type { Subject } from '../../src/rules/subject.ts';
import { encodeText } from '../../src/shared/text.ts';
import {
  CONTAINER,
  makeEvent,
  makeExec,
  makeFile,
  makeProcess,
  makeSubject,
} from './rules-subject.ts';
import { comparisonOf, conditionsOf, ofName, path, processName } from './verdict-cases.ts';

const WORDS = [
  '-c',
  'id',
  'sh',
  'Sh',
  '/etc',
  '/etc/ssh',
  'a b',
  'é',
  '',
  ' ',
  '--exec',
  'curl x|sh',
];
const word = fc.oneof(fc.constantFrom(...WORDS), path);
/** More than there is room for in a table. */
const VARIABLES = ['LD_PRELOAD', 'LD_AUDIT', 'NODE_OPTIONS', 'ENV', 'LONGEST_NAME_OF_A_VARIABLES'];

export const argvCall = fc.record({
  name: processName,
  argv: fc.array(word, { minLength: 1, maxLength: 4 }),
  /** As passed: what it leads to is the program. The kernel knows those that are absolute and not too long. */
  filename: fc.oneof(
    { weight: 4, arbitrary: path },
    {
      weight: 1,
      arbitrary: fc.constantFrom('tool', './etc/a', `/${'a'.repeat(300)}`, '/a/../etc//b'),
    },
  ),
  /** More than the kernel looks at. */
  isLong: fc.boolean(),
  /** The first of a name counts, and a name is not the beginning of another one. Without any it is not known. */
  env: fc.array(
    fc.oneof(
      fc
        .tuple(fc.constantFrom(...VARIABLES, 'LD_PRELOAD_', 'XLD_PRELOAD'), word)
        .map(([name, value]) => `${name}=${value}`),
      fc.constantFrom('', 'LD_PRELOAD', '=', 'PATH=/bin:/usr/bin'),
    ),
    { maxLength: 5 },
  ),
});
export type ArgvCall = typeof argvCall extends fc.Arbitrary<infer One> ? One : never;

const FIELDS = [
  ...VARIABLES.map((name) => `proc.env[${name}]`),
  'tolower(proc.env[LD_PRELOAD])',
  'evt.arg.filename',
  'tolower(evt.arg.filename)',
  'proc.args',
  'proc.cmdline',
  'proc.exe',
  'tolower(proc.args)',
  'tolower(proc.cmdline)',
];
const plain = fc
  .tuple(
    fc.constantFrom(...FIELDS),
    fc.constantFrom(
      '= "-c id"',
      '= ""',
      '!= "sh -c"',
      'in ("-c", sh, "")',
      'startswith "-c"',
      'startswith anyof ("sh ", "node -")',
      'endswith h',
      'endswith anyof ("id", "|sh")',
      'contains "-c"',
      'contains anyof ("|sh", "curl")',
      'icontains SH',
      'contains " "',
      'contains é',
      'glob "sh*id"',
      'iglob "SH*"',
      'pmatch (sh)',
      'exists',
    ),
  )
  .map(([field, compared]) => `${field} ${compared}`);
export const argvComparison = fc.oneof(comparisonOf(FIELDS), plain);
export const argvCondition = conditionsOf(
  fc.oneof({ weight: 4, arbitrary: argvComparison }, { weight: 1, arbitrary: ofName }),
);

const PROGRAM = '/bin/tool';
const LONG = 'x'.repeat(1100);
const wordsOf = ({ argv, isLong }: ArgvCall): readonly string[] =>
  isLong ? [...argv, LONG] : argv;

/** What is not known to the kernel: words of many bytes, paths that are relative or long, and the environment where it is empty. */
export const isUnknown = ({ isLong, filename, env }: ArgvCall): boolean =>
  isLong ||
  env.length === 0 ||
  !filename.startsWith('/') ||
  filename.length >= LIMITS.VERDICT_PATH_MAX;

/** That the program is run, as rules see it. */
export function subjectOfArgv(one: ArgvCall, event: ExecEvent): Subject {
  const [exe = '', ...args] = wordsOf(one);
  return makeSubject(
    makeEvent(event, {
      exec: makeExec({ file: makeFile(PROGRAM), filename: one.filename }),
      params: { filename: one.filename },
      comm: one.name,
    }),
    {
      container: CONTAINER,
      process: makeProcess({
        image: {
          name: one.name,
          exePath: PROGRAM,
          exe,
          args,
          env: one.env.length > 0 ? one.env : undefined,
        },
      }),
    },
  );
}

/** The same as the kernel knows it. */
export const knownArgv = (one: ArgvCall, event: ExecEvent): KnownCall => ({
  event,
  directory: false,
  layer: 'none',
  path: encodeText(one.filename),
  program: { path: encodeText(PROGRAM), layer: 'none', name: encodeText(one.name) },
  thread: encodeText(one.name),
  argv: wordsOf(one).map((text) => encodeText(text)),
  env: one.env.map((text) => encodeText(text)),
});
