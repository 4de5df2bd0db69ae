// Policies that a hostile tenant would write, and what is said of each: in one line that is safe to print.
const rule = (condition: string, name = 'Mine'): string =>
  `custom_rules:\n  - ${JSON.stringify({ rule: name, desc: 'd', output: 'x', priority: 'NOTICE', condition })}\n`;
const started = (condition: string): string => rule(`evt.type = execve and ${condition}`);

/** Lists that hold the one before nine times: 9^20 of them. */
const bomb = (value: string): string =>
  [
    `a0: &a0 ${value}`,
    ...Array.from({ length: 20 }, (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n},`.repeat(9)}]`),
  ].join('\n');

export const HOSTILE_POLICIES: Readonly<Record<string, readonly [text: string, said: RegExp]>> = {
  'an alias bomb': [`${bomb('[x]')}\n`, /:\d+:\d+: error: .*aliases|:\d+:\d+: error: /],
  'an alias bomb as a variable': [
    `variables:\n  secret_paths: &a [/x]\n  code_paths: [*a, *a]\n`,
    /:\d+:\d+: error: 'code_paths' must hold single values/,
  ],
  'an alias of itself': ['rules: &a [*a]\n', /:1:\d+: error: /],
  'brackets within each other': ['['.repeat(30_000), /:1:\d+: error: /],
  'maps within each other': ['{a: '.repeat(12_000), /:1:\d+: error: /],
  'a tag that makes objects': ['rules: !!js/function "x"\n', /:1:\d+: error: /],
  'keys that are properties of objects': [
    '__proto__: {x: 1}\nconstructor: 5\n',
    /:1:1: error: unknown key '__proto__'/,
  ],
  'a variable that is a property of objects': [
    'variables: {__proto__: [x], toString: [y]}\n',
    /:1:13: error: there is no variable '__proto__'/,
  ],
  'a file of 64 KiB and one byte': [
    `#${'x'.repeat(65_535)}\n`,
    /:1:1: error: at most 64 KiB are read/,
  ],
  'a pattern of 1 MB': [
    started(`proc.name regex "${'a'.repeat(1_000_000)}"`),
    /:1:1: error: at most 64 KiB are read/,
  ],
  'a pattern of 9,000 characters': [
    started(`proc.name regex "${'a'.repeat(9000)}"`),
    /:2:\d+: error: .*this condition has \d+ characters: at most 8192 are taken/,
  ],
  'a pattern that looks back': [started(String.raw`proc.name regex "(a+)\\1"`), /:2:\d+: error: /],
  'a pattern that looks ahead': [started('proc.name regex "(?=a)b"'), /:2:\d+: error: .*\(\?/],
  'repetitions of repetitions': [
    started('proc.name regex "(((a{1,900}){1,900}){1,900}){1,900}"'),
    /:2:\d+: error: .*with its repetitions written out it has 656829810900 characters/,
  ],
  'a regular expression with a thousand choices': [
    started('proc.cmdline regex "[a-z]+ -c true ((a?a?a?a?a?){20}){10}bN"'),
    /:2:\d+: error: .*the regular expression could be slow: .* 16384 cells/,
  ],
  'a regular expression with 2^990 states': [
    started('proc.cmdline regex "(.*a.{0,990}[cd]|.*b.{0,990}[cd])"'),
    /:2:\d+: error: .*the regular expression could be slow/,
  ],
  'globs that cross a command line again and again': [
    started(
      `proc.cmdline glob anyof (${Array.from({ length: 60 }, (_, n) => `"${'*a?'.repeat(30)}${n}"`).join(', ')})`,
    ),
    /:2:\d+: error: .*takes \d+\.\d\d ms, and at most 2\.00 ms are taken for one rule/,
  ],
  'transformers that multiply': [
    started(
      `join(proc.args, (${Array.from({ length: 600 }, () => 'proc.args').join(', ')})) contains x`,
    ),
    /:2:\d+: error: .*at most 2\.00 ms are taken for one rule/,
  ],
  'an output of all ancestors’ arguments, 5,000 times': [
    rule('evt.type = execve').replace('"output":"x"', `"output":"${'%proc.aargs'.repeat(5000)}"`),
    /:2:\d+: error: .*this output has 55000 characters: at most 4096 are taken/,
  ],
  'a width of 99,999': [
    rule('evt.type = execve').replace('"output":"x"', '"output":"%99999evt.num"'),
    /:2:\d+: error: .*a width of 99999 is asked for: at most 64 is taken/,
  ],
  '10,000 rules': [
    `custom_rules:\n${Array.from({ length: 10_000 }, (_, n) => `  - {rule: r${n}}\n`).join('')}`,
    /:1:1: error: at most 64 KiB are read/,
  ],
  '10,000 entries of rules': [
    `rules: [${'{},'.repeat(6000)}]\n`,
    /:1:8: error: 'rules' has 6000 entries: at most 100 are taken/,
  ],
  'more rules than are taken': [
    `custom_rules:\n${Array.from({ length: 500 }, (_, n) => `  - {rule: r${n}, desc: d, output: x, priority: NOTICE, condition: evt.type = execve}\n`).join('')}`,
    /:102:5: error: .*at most 100 items are taken of each kind/,
  ],
  'lists that multiply': [
    `custom_rules:\n${Array.from({ length: 30 }, (_, n) => `  - {list: l${n + 1}, items: [${`l${n},`.repeat(20)}]}\n`).join('')}  - {list: l0, items: [${'x,'.repeat(100)}]}\n${started('proc.name in (l30)').replace('custom_rules:\n', '')}`,
    /:\d+:\d+: error: /,
  ],
  'macros that multiply': [
    `custom_rules:\n${Array.from({ length: 60 }, (_, n) => `  - {macro: m${n}, condition: ${n === 0 ? 'proc.name = x' : `(m${n - 1} or m${n - 1} and not m${n - 1})`}}\n`).join('')}${started('m59').replace('custom_rules:\n', '')}`,
    /rules watch the app/,
  ],
  'a condition of brackets': [
    started(`${'('.repeat(3000)}proc.name = x${')'.repeat(3000)}`),
    /:2:\d+: error: /,
  ],
  'a rule for every event': [
    rule('proc.name = x'),
    /:2:\d+: error: .*must say which events it is about/,
  ],
  'a rule that speaks as the agent': [
    rule('evt.type = execve', 'Varvel: coverage'),
    /:2:\d+: error: .*those of the agent’s own lines/,
  ],
  'a rule of the operator’s written anew': [
    rule('evt.type = execve', 'Shell started by an app'),
    /:2:\d+: error: .*is the operator’s/,
  ],
  'the operator’s list': [
    'custom_rules:\n  - {list: app_expected_executables, items: [/bin/sh]}\n',
    /:2:\d+: error: .*is the operator’s/,
  ],
  'a path as a rule’s name': [
    'rules: [{disable: {rule: ../../../../etc/passwd}}]\n',
    /:1:\d+: error: no rule is called "\.\.\/\.\.\/\.\.\/\.\.\/etc\/passwd"/,
  ],
  'a path as a variable’s name': [
    'variables: {../../etc/shadow: [x]}\n',
    /:1:13: error: there is no variable '\.\.\/\.\.\/etc\/shadow'/,
  ],
  'a variable that climbs': [
    'variables: {secret_paths: [/app/../../etc/shadow]}\n',
    /:1:28: error: '\/app\/\.\.\/\.\.\/etc\/shadow' is no full path/,
  ],
  'a value that ends its list': [
    `variables: {code_paths: ['/x") or (evt.type = open']}\n`,
    /:1:26: error: .* is no full path/,
  ],
  'another app’s guid': [
    'app: 8d2b24d1-7bd5-4f0c-a3b1-5b1d3fd0a1f6\n',
    /:1:1: error: unknown key 'app'/,
  ],
  'another app in an entry': [
    'rules: [{disable: {rule: "*", app: shop}}]\n',
    /:1:\d+: error: 'app' is neither 'rule' nor 'tag'/,
  ],
  'another app in a rule': [
    `custom_rules:\n  - {rule: Mine, app: shop, desc: d, output: x, priority: NOTICE, condition: evt.type = execve}\n`,
    /:2:\d+: error: .*a rule has no 'app'/,
  ],
  'words that move the cursor': [
    JSON.stringify({ ['\u001b[2J\u202eevil\r\n']: 1, ['x'.repeat(30_000)]: 2 }),
    /:1:2: error: unknown key /,
  ],
  'what is no text': ['\0\xff\x1b[2J', /:1:\d+: error: /],
};
