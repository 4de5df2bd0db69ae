// Rules about opens, and opens that they are about, of any shape.
import fc from 'fast-check';
import type { Container } from '../../src/apps/identity.ts';
import { LAYERS, type Layer } from '../../src/plan/verdicts/form-tests.ts';
import { OPEN_EVENTS, type OpenKind } from '../../src/plan/verdicts/call-kinds.ts';
import type { KnownProgram } from '../../src/plan/verdicts/known-call.ts';
import { ALL_FAILING, verdictOf, type Verdict } from '../../src/plan/verdicts/verdict.ts';
import type { Subject } from '../../src/rules/subject.ts';
import { encodeText } from '../../src/shared/text.ts';
import { CONTAINER, makeEvent, makeOpen, makeProcess, makeSubject } from './rules-subject.ts';

const WORDS = ['etc', 'a', 'b', 'ssh', '.ssh', 'a.php', 'B.PHP', 'shadow', 'aa', 'é', '..b', 'ab'];

export const path = fc
  .array(fc.constantFrom(...WORDS), { minLength: 1, maxLength: 4 })
  .map((parts) => `/${parts.join('/')}`);

/** A piece of a path, so that it is often found. */
const piece = fc
  .tuple(path, fc.nat(12), fc.integer({ min: 1, max: 12 }))
  .map(([text, from, length]) => text.slice(from, from + length))
  .map((text) => text.toWellFormed());

const quoted = (text: string): string => JSON.stringify(text);
const listed = (texts: readonly string[]): string => `(${texts.map(quoted).join(', ')})`;

const FIELDS = [
  'fd.name',
  'fd.directory',
  'fd.filename',
  'tolower(fd.filename)',
  'tolower(fd.name)',
];
const ONE = ['=', '!=', 'startswith', 'endswith', 'contains', 'icontains'];
const SEVERAL = ['startswith anyof', 'endswith anyof', 'contains anyof', 'in', 'pmatch'];

/** Names of processes and threads. */
export const processName = fc.constantFrom('node', 'sh', 'Sh', 'kworker/0:1', 'n', 'é', '');

/** Comparisons of names, some of which the kernel decides. */
export const ofName = fc
  .tuple(
    fc.constantFrom('proc.name', 'thread.name', 'tolower(proc.name)', 'tolower(thread.name)'),
    fc.constantFrom(
      '= node',
      '!= sh',
      'in (node, sh)',
      'startswith k',
      'startswith anyof (n, S)',
      'endswith h',
      'endswith anyof (de, é)',
      'contains o',
      'glob "k*:1"',
      'iglob "S*"',
      'pmatch (node)',
      'exists',
    ),
  )
  .map(([field, compared]) => `${field} ${compared}`);

/** Comparisons of these fields that an automaton decides. */
export const comparisonOf = (fields: readonly string[]): fc.Arbitrary<string> => {
  const field = fc.constantFrom(...fields);
  return fc.oneof(
    fc
      .tuple(field, fc.constantFrom(...ONE), fc.oneof(piece, path))
      .map(([of, operator, text]) => `${of} ${operator} ${quoted(text)}`),
    fc
      .tuple(
        field,
        fc.constantFrom(...SEVERAL),
        fc.array(fc.oneof(piece, path), { minLength: 1, maxLength: 3 }),
      )
      .map(([of, operator, texts]) => `${of} ${operator} ${listed(texts)}`),
    fc
      .tuple(field, fc.constantFrom('glob', 'iglob'), path, fc.nat(8))
      .map(
        ([of, operator, text, at]) =>
          `${of} ${operator} ${quoted(`${text.slice(0, at)}*${text.slice(at + 2)}`)}`,
      ),
    fc
      .tuple(field, fc.constantFrom('icontains', 'iglob', 'endswith'), fc.oneof(piece, path))
      .map(([of, operator, text]) => `${of} ${operator} ${quoted(text.toUpperCase())}`),
    fc
      .tuple(field, fc.constantFrom('/*', '*', '/**', '/', '', '/etc/*', '/*/.ssh', '//a*//b'))
      .map(([of, text]) => `${of} pmatch (${quoted(text)})`),
  );
};

export const ofPath = comparisonOf(FIELDS);
/** Comparisons of the environment that the kernel decides where it has no variable LD_*, and some that it does not. */
export const OF_ENVIRONMENT: readonly string[] = [
  'proc.env[LD_PRELOAD] contains val(fd.name)',
  'proc.env[LD_PRELOAD] contains anyof (/tmp/, /a)',
  'not proc.env[LD_PRELOAD] != ""',
  'proc.env[LD_AUDIT] != ""',
  'proc.env[LD_AUDIT] = ""',
  'proc.env[LD_AUDIT] exists',
  'proc.env[LD_] startswith ""',
  'proc.env[HOME] != ""',
];
export const environment = fc.constantFrom(
  undefined,
  [],
  ['HOME=/', 'BUILD_ID=7'],
  ['LD_PRELOAD=/tmp/x', 'HOME=/'],
  ['HOME=/', 'LD_AUDIT=/a/b'],
  ['LD_PRELOAD='],
);

/** As the probe says: it has a variable LD_*, or is not known. */
export const hasLoads = (env: readonly string[] | undefined): boolean =>
  env === undefined || env.some((word) => word.startsWith('LD_'));

/** Comparisons of what is fixed of a container, and of what is not. */
export const OF_CONTAINER: readonly string[] = [
  'app.name = shop',
  'app.name != shop',
  'app.name in (shop, blog)',
  'tolower(app.space) startswith p',
  'app.workload = task',
  'app.workload exists',
  'container.label[team] = checkout',
  'container.label[nosuch] != x',
  'container.id startswith 3ad7',
  'container.name = shop-web-1',
  'container.image.repository = nosuch',
  'k8s.ns.name = default',
  'app.name = val(app.space)',
];

const ofKind = fc.constantFrom(
  ...OF_ENVIRONMENT,
  ...OF_CONTAINER,
  'evt.is_open_read = true',
  'evt.is_open_write = true',
  'evt.is_open_write != true',
  'evt.failed = true',
  'evt.failed = false',
  'fd.num >= 0',
  'evt.type = open',
  'fd.is_upper_layer = true',
  'fd.is_upper_layer != true',
  'fd.is_lower_layer = false',
  'fd.typechar = f',
  'fd.typechar in (d, p)',
  'fd.type = directory',
  'fd.type != directory',
  'evt.type in (openat, creat)',
  'proc.name = node',
  'proc.exepath = /usr/local/bin/node',
  'proc.exepath startswith /usr/bin/',
  'proc.is_exe_upper_layer = true',
  'fd.name = val(proc.exepath)',
  'proc.name = nosuch',
  'fd.name regex "^/etc/.*a$"',
  'fd.name glob "*/[ab]"',
  'fd.nameraw contains b',
  'fd.nameraw contains ../',
  'not fd.nameraw glob "*../*../*"',
  'fd.nameraw contains anyof (.., "..x")',
  'fd.nameraw contains anyof (.., b)',
  'fd.nameraw glob "*[..]b"',
  'fd.nameraw != ".."',
  'fd.name exists',
  'container.type exists',
  'container.type = garden',
  'container.type != garden',
  'container.type in (garden, cri)',
  'container.type startswith anyof (do, g)',
);
/** Conditions of these comparisons. */
export const conditionsOf = (comparison: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.letrec<{ tree: string }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      comparison,
      fc.array(tie('tree'), { minLength: 2, maxLength: 3 }).map((of) => `(${of.join(' and ')})`),
      fc.array(tie('tree'), { minLength: 2, maxLength: 3 }).map((of) => `(${of.join(' or ')})`),
      tie('tree').map((inner) => `not (${inner})`),
    ),
  })).tree;

export const condition = conditionsOf(
  fc.oneof(
    { weight: 6, arbitrary: ofPath },
    { weight: 2, arbitrary: ofKind },
    { weight: 1, arbitrary: ofName },
  ),
);

/** Types of containers. */
export const runtime = fc.constantFrom<Container['runtime']>('docker', 'garden');

export const open = fc.record({
  event: fc.constantFrom(...OPEN_EVENTS),
  access: fc.constantFrom<Pick<OpenKind, 'reads' | 'writes'>>(
    { reads: true, writes: false },
    { reads: false, writes: true },
    { reads: true, writes: true },
    { reads: false, writes: false },
  ),
  failed: fc.boolean(),
  directory: fc.boolean(),
  layer: fc.constantFrom(...LAYERS.slice(0, 3)),
  path,
  name: processName,
  thread: processName,
  /** How it is passed, if it leads to a file. */
  before: fc.constantFrom('', '', '../', '../../x/', 'a../', './'),
  env: environment,
});
export type Open = typeof open extends fc.Arbitrary<infer One> ? One : never;

/** A relative path does not count as the file's. */
const passed = ({ failed, before, path: at }: Open): string =>
  failed || before === '' ? at : before + at.slice(1);

/** The open as rules see it. */
export const subjectOf = (one: Open, type: Container['runtime'] = 'docker'): Subject => {
  const { event, access, failed, directory, layer, path: at } = one;
  const facts = { forRead: access.reads, forWrite: access.writes, directory: directory && !failed };
  const file = {
    ...makeOpen(at).file!,
    upperLayer: layer === 'upper',
    lowerLayer: layer === 'lower',
  };
  const made = makeOpen(at, { ...facts, rawPath: passed(one), file: failed ? undefined : file });
  const container = { ...CONTAINER, runtime: type };
  const process = makeProcess({ image: { env: one.env, name: one.name } });
  const seen = makeEvent(event, { result: failed ? -2 : 3, open: made, comm: one.thread });
  return makeSubject(seen, { container, process });
};

/** What makes all these opens (makeImage). */
const PROGRAM: KnownProgram = { path: Buffer.from('/usr/local/bin/node'), layer: 'lower' };

/** What a table says of a call: whether a rule may match it, and whether one certainly does. */
export interface Judgement {
  readonly passes: boolean;
  readonly matches: boolean;
}

/** By the verdicts of all its paths. */
export const judgement = (verdicts: readonly Verdict[]): Judgement => ({
  passes: verdicts.some(({ passes }) => passes),
  matches: verdicts.reduce((bits, { failing }) => bits | failing, 0) >>> 0 !== ALL_FAILING,
});

export function judged(bytes: Uint8Array, one: Open): Judgement {
  const { event, access, failed, directory, path: at } = one;
  const layer: Layer = failed ? 'no file' : one.layer;
  const dots = passed(one).includes('..');
  const known = { event, ...access, failed, directory: directory && !failed, layer, dots };
  const program = { ...PROGRAM, loads: hasLoads(one.env), name: encodeText(one.name) };
  const thread = encodeText(one.thread);
  return judgement([verdictOf(bytes, { ...known, program, thread, path: encodeText(at) })]);
}

/** Whether it passes the table. */
export const isPassed = (bytes: Uint8Array, one: Open): boolean => judged(bytes, one).passes;
