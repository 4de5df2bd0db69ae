// Inputs of the fuzzer: each a function of its number, so that one can be made again.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What an input is fed to. */
export const TARGETS = ['file', 'condition', 'output', 'regex', 'glob'] as const;
export type Target = (typeof TARGETS)[number];

export interface Input {
  readonly target: Target;
  readonly text: string;
}

/** A small generator of numbers (splitmix32): the same in every run for the same seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let mixed = this.#state ^ (this.#state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return Math.floor((((mixed ^ (mixed >>> 15)) >>> 0) / 0x1_0000_0000) * limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

const RULES = 'manifests/rules';
const FILES = readdirSync(RULES)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => readFileSync(join(RULES, name), 'utf8'));
const HANDMADE = `- required_engine_version: 0.57.0
- required_plugin_versions:
    - name: container
      version: 0.4.0
      alternatives: [{name: other, version: 1.0.0}]
- list: names
  items: [a, "b c", 'd', names]
- list: names
  items: [e]
  override: {items: append}
- macro: is_open
  condition: (evt.type in (open, openat) and fd.name startswith anyof (/etc, "/x y"))
- rule: r
  desc: >
    folded
    text
  condition: |
    is_open and not proc.name in (names) and proc.aname[2] != val(proc.name)
    and getopt(proc.args, "nt:")[t] exists
  output: "%proc.name %20fd.name %tolower(proc.cmdline) %evt.arg.flags"
  priority: WARNING
  tags: [a, b]
  exceptions:
    - name: e
      fields: [proc.name, fd.name]
      comps: [in, glob]
      values: [[[x, y], "/tmp/*"], [z, /a]]
    - {name: f, fields: proc.name, values: [k]}
- rule: r
  exceptions: [{name: f, values: [l]}]
  condition: and evt.num != 0
  override: {exceptions: append, condition: append}
- rule: r
  enabled: false
  override: {enabled: replace}
`;
const CONDITIONS = [
  'evt.type in (open, openat) and not (proc.name = cat or fd.name glob "/etc/*")',
  'fd.snet in ("10.0.0.0/8", 192.168.0.0/16) and fd.sport != 443 and fd.ip = ::1',
  'proc.cmdline regex "^[[:alpha:]]+ (-[a-z]+ ){1,3}.*$" and len(proc.args) >= 12',
  'join("-", (proc.name, "x", tolower(fd.name))) contains oneof (a, b) and evt.num = 0',
  'not not(b64(proc.args[1]) bcontains ff) or proc.aname exists or user.uid <= 0x10',
];
const OUTPUTS = [
  'a %proc.name %10evt.arg.flags[x] %toupper(concat(fd.name, "b", proc.aname[3])) %%',
];
const REGEXES = ['^(a|b)*[^[:digit:]x-z]{2,4}\\.[]a]+$', '(((x+)+)+)+y', '\\x{41}\\101.?.*?'];
const GLOBS = ['/etc/*/[!a-c]?/**/x\\*', '[[:upper:]]*[]a-]'];

const SEEDS: Readonly<Record<Target, readonly string[]>> = {
  file: [...FILES, HANDMADE, HANDMADE, ''],
  condition: CONDITIONS,
  output: OUTPUTS,
  regex: REGEXES,
  glob: GLOBS,
};

const FRAGMENTS = [
  ...[
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    '"',
    "'",
    '\\',
    ',',
    ':',
    '- ',
    '\n',
    '\n  ',
    '\t',
    '%',
    '*',
    '&a ',
    '*a',
  ],
  ...[
    '=',
    '!=',
    '<',
    '>=',
    ' in ',
    ' and ',
    ' or ',
    'not ',
    ' exists',
    ' pmatch ',
    ' regex ',
    ' anyof ',
  ],
  ...[
    'val(',
    'tolower(',
    'join(',
    'getopt(',
    'proc.name',
    'fd.ip',
    'evt.type',
    'openat',
    'is_open',
    'names',
  ],
  ...[
    '- rule: r\n',
    '- macro: m\n',
    '- list: l\n',
    '  condition: ',
    '  override:\n',
    '  append: true\n',
    '---\n',
  ],
  ...[
    '0x',
    '-1',
    '1e+9',
    '99999999999999999999',
    '\0',
    '\ufeff',
    '\u2028',
    '\ud800',
    '\u{1f600}',
    '\r',
    '!!binary ',
  ],
  ...['<<: ', '? ', '| ', '> ', '# ', '~', 'null', '{1,1000}', '(a*)*', '[[:', '\\x', '\\u', '.*'],
];

/** The input of that number. */
export function inputOf(number: number): Input {
  const random = new Random(number);
  const target = random.pick(TARGETS);
  if (random.below(20) === 0) return { target, text: noise(random) };
  let text = random.pick(SEEDS[target]);
  for (let left = 1 + random.below(8); left > 0; left--) text = mutate(text, target, random);
  return { target, text };
}

/** Bytes of any kind, read as a file is read. */
function noise(random: Random): string {
  const bytes = Buffer.alloc(random.below(2000));
  for (let at = 0; at < bytes.length; at++) bytes[at] = random.below(256);
  return bytes.toString('utf8');
}

function mutate(text: string, target: Target, random: Random): string {
  const at = random.below(text.length + 1);
  const end = Math.min(text.length, at + 1 + random.below(random.below(4) === 0 ? 400 : 8));
  const splice = (insert: string): string => text.slice(0, at) + insert + text.slice(end);
  switch (random.below(8)) {
    case 0:
      return splice('');
    case 1:
      return splice(String.fromCharCode(random.below(random.below(2) === 0 ? 128 : 65536)));
    case 2:
      return text.slice(0, at) + random.pick(FRAGMENTS) + text.slice(at);
    case 3:
      // Deep nesting and long runs.
      return text.slice(0, at) + random.pick(FRAGMENTS).repeat(random.below(3000)) + text.slice(at);
    case 4:
      return text.slice(0, end) + text.slice(at);
    case 5: {
      const other = random.pick(SEEDS[target]);
      const from = random.below(other.length + 1);
      return text.slice(0, at) + other.slice(from, from + random.below(500)) + text.slice(end);
    }
    case 6:
      return text.slice(0, at);
    default:
      return splice(text.slice(at, end).split('').reverse().join(''));
  }
}
