// Policies that try to make one event as costly as they can.
import fc from 'fast-check';

const times = fc.integer({ min: 1, max: 40 });
const many = fc.constantFrom(1, 2, 10, 60, 250, 900);
const quoted = (text: string): string => `"${text.replaceAll('\\', '').replaceAll('"', '')}"`;
const repeated = (unit: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(unit, times).map(([one, count]) => one.repeat(count).slice(0, 80));

/** Fields of one value, which transformers take and which can be compared with each other. */
const single = fc.constantFrom(
  'proc.cmdline',
  'proc.args',
  'proc.aargs',
  'proc.name',
  'proc.exe',
  'proc.env',
  'proc.aargs[3]',
  'fd.name',
  'evt.args',
  'evt.arg.args',
  'container.labels',
  'container.mounts',
  'proc.exeline',
  'evt.arg.filename',
  'container.mount[/a/*]',
  'proc.pcmdline',
  'proc.exepath',
  'fd.directory',
  'evt.abspath',
  'user.name',
);
const field = fc.oneof(
  { weight: 3, arbitrary: single },
  fc.constantFrom(
    'proc.acmdline',
    'proc.aname',
    'proc.aexe',
    'proc.aenv',
    'proc.container_aenv[A]',
  ),
);

const regexAtom: fc.Arbitrary<string> = fc.constantFrom(
  'a',
  '.',
  '[a-z]',
  '[^b]',
  '(a|b)',
  '.*',
  'a?',
  '(a|aa)',
  '(.*a)',
  '[^/]*',
  'é',
  '[^\ufffd]',
  '(a|b|ab)*',
);
const regex = fc
  .array(
    fc
      .tuple(regexAtom, fc.constantFrom('', '', '*', '+', '?', '{0,N}', '{N}', '{2,}'), many)
      .map(([atom, repetition, count]) => `(${atom})${repetition.replace('N', String(count))}`),
    { minLength: 1, maxLength: 12 },
  )
  .map((parts) => parts.join('').slice(0, 250));
const nestedRegex = fc
  .tuple(regex, many, many)
  .map(([inner, one, other]) => `((${inner.slice(0, 200)}){0,${one}}){0,${other}}b`);

const glob = repeated(
  fc.constantFrom('*', '*a', '*?', '[!b]', '*[!\ufffd]*', '?', 'a', '*/', '[a-z]*', 'é*'),
);
const word = repeated(fc.constantFrom('a', 'ab', '-', '/a', '\ufffd', 'aab'));
const list = (item: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.array(item, { minLength: 1, maxLength: 60 }).map(
    (items) =>
      `(${items
        .map(quoted)
        .join(', ')
        .slice(0, 7000)
        .replace(/,[^,]*$/, '')})`,
  );

const transformed = fc.oneof(
  { weight: 3, arbitrary: field },
  fc
    .tuple(fc.constantFrom('tolower', 'toupper', 'basename', 'b64'), times, single)
    .map(([name, count, inner]) => `${`${name}(`.repeat(count)}${inner}${')'.repeat(count)}`),
  fc
    .tuple(single, times)
    .map(
      ([inner, count]) => `concat(${Array.from({ length: count + 1 }, () => inner).join(', ')})`,
    ),
  fc.tuple(single, times, times).map(([inner, count, levels]) => {
    let text: string = inner;
    for (let level = 0; level < levels % 4; level++) {
      text = `join(${text}, (${Array.from({ length: count }, () => '"a"').join(', ')}))`;
    }
    return text;
  }),
  fc.constant('getopt(proc.args, "ab:c")[a]'),
);

const comparison = fc.oneof(
  fc
    .tuple(transformed, fc.oneof(regex, nestedRegex))
    .map(([left, one]) => `${left} regex ${quoted(one)}`),
  fc
    .tuple(transformed, fc.constantFrom('glob', 'iglob'), glob)
    .map(([left, op, one]) => `${left} ${op} ${quoted(one)}`),
  fc
    .tuple(
      transformed,
      fc.constantFrom('contains', 'icontains', 'startswith', '=', 'endswith'),
      word,
    )
    .map(([left, op, one]) => `${left} ${op} ${quoted(one)}`),
  fc
    .tuple(
      field,
      fc.constantFrom('glob', 'contains', 'icontains', 'iglob'),
      fc.constantFrom('anyof', 'allof', 'oneof'),
      list(fc.oneof(word, glob)),
    )
    .map(([left, op, modifier, items]) => `${left} ${op} ${modifier} ${items}`),
  fc
    .tuple(field, fc.constantFrom('pmatch', 'in'), list(fc.oneof(word, glob)))
    .map(([left, op, items]) => `${left} ${op} ${items}`),
  fc
    .tuple(single, fc.constantFrom('contains', 'icontains', 'glob', 'startswith', '='), single)
    .map(([left, op, right]) => `${left} ${op} val(${right})`),
);

const condition = fc
  .tuple(
    fc.array(comparison, { minLength: 1, maxLength: 4 }),
    fc.constantFrom(' and not ', ' or '),
    times,
  )
  .map(([parts, joint, depth]) => {
    const nested = `${'('.repeat(depth)}${parts.join(joint)}${')'.repeat(depth)}`;
    return `evt.type in (execve, openat) and not (${nested} and proc.pid = 0)`.slice(0, 8191);
  });

const output = fc.oneof(
  fc.tuple(field, many).map(([one, count]) => `%${one}`.repeat(count * 4)),
  fc
    .tuple(fc.constantFrom('5', '64', '99999'), many)
    .map(([width, count]) => `%${width}evt.num`.repeat(count)),
  fc.tuple(transformed, fc.constantFrom(1, 1, 3)).map(([one, count]) => `x %${one}`.repeat(count)),
  fc.constant('started %proc.cmdline by %proc.pcmdline'),
  many.map((count) => 'words '.repeat(count)),
);

const rule = fc.oneof(
  { weight: 2, arbitrary: fc.record({ condition, output }) },
  // Mild on its own: what many of them come to is the question.
  {
    weight: 3,
    arbitrary: fc.record({
      condition: fc
        .tuple(fc.constantFrom('proc.cmdline', 'proc.name', 'fd.name', 'proc.exepath'), word, glob)
        .map(
          ([left, one, other]) =>
            `evt.type in (execve, openat) and (${left} contains ${quoted(one)} or ${left} glob ${quoted(other)})`,
        ),
      output: fc.constant('x %proc.cmdline %fd.name'),
    }),
  },
);

const exception = fc
  .tuple(
    field,
    fc.oneof(
      regex.map((value) => ['regex', value]),
      glob.map((value) => ['glob', value]),
      word.map((value) => ['contains', value]),
    ),
  )
  .map(([left, [comp, value = '']]) => ({
    rule: 'Shell started by an app',
    exceptions: [{ name: 'e', fields: [left], comps: [comp], values: [[quoted(value)]] }],
    override: { exceptions: 'append' },
  }));

/** The text of a `varvel.yml`; with rules that are alike so many times over. */
export const hostilePolicy: fc.Arbitrary<string> = fc
  .tuple(
    fc.array(rule, { minLength: 1, maxLength: 3 }),
    fc.constantFrom(1, 1, 1, 4, 20),
    fc.option(exception, { nil: undefined, freq: 4 }),
  )
  .map(([rules, copies, exceptions]) => {
    const all = Array.from({ length: copies }, (_, copy) =>
      rules.map((one, at) => ({
        rule: `r${copy}.${at}`,
        desc: 'd',
        priority: 'NOTICE',
        condition: one.condition.replace(/"a/g, `"${'a'.repeat(copy % 5)}a`),
        output: one.output,
      })),
    ).flat();
    const items = exceptions === undefined ? all : [...all, exceptions];
    return `custom_rules:\n${items.map((item) => `  - ${JSON.stringify(item)}\n`).join('')}`;
  });
