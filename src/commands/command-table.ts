import { wrap } from './text-table.ts';

/** An option of a command, as `node:util`'s parseArgs and the help need it. */
export interface CommandOption {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  readonly multiple?: boolean;
  /** What stands for the value in the help. */
  readonly value?: string;
  readonly help: string;
}

/** A command as its help describes it. */
export interface CommandInfo {
  /** Completes "varvel NAME: …". */
  readonly summary: string;
  /** What may follow the options; '' for nothing. */
  readonly operands: string;
  /** Paragraphs. */
  readonly description: readonly string[];
  readonly options: Readonly<Record<string, CommandOption>>;
  readonly examples: readonly (readonly [command: string, what: string])[];
  readonly exitCodes: readonly (readonly [code: number, meaning: string])[];
}

const CONFIG_OPTIONS = {
  config: {
    type: 'string',
    short: 'c',
    value: 'FILE',
    help: 'the configuration (default: $VARVEL_CONFIG, else /etc/varvel/varvel.yaml if it is there)',
  },
  set: {
    type: 'string',
    short: 's',
    multiple: true,
    value: 'KEY=VALUE',
    help: 'one value of the configuration; may be repeated',
  },
} as const satisfies Record<string, CommandOption>;

const JSON_OPTION = {
  json: { type: 'boolean', help: 'one JSON document instead of text' },
} as const satisfies Record<string, CommandOption>;

const USAGE = [2, 'the command line is wrong'] as const;

/** Every command, in the order of the help. */
export const COMMANDS = {
  agent: {
    summary: 'watch this host’s app containers and report what the rules detect',
    operands: '',
    description: [
      'Runs until SIGTERM or SIGINT: the first stops it in order, a second one at once. SIGHUP reads the rules and their settings again and opens log files anew; a change of their files is noticed without it (watch_config_files).',
      'Every key of the configuration is also an environment variable: streams.file.path is VARVEL_STREAMS_FILE_PATH. Flags win over variables, variables over the file.',
    ],
    options: CONFIG_OPTIONS,
    examples: [
      ['varvel agent', 'with the defaults: containers labelled varvel.enable=true'],
      ['varvel agent -c /etc/varvel/varvel.yaml', 'with a configuration'],
      [
        'varvel agent -s mode=always -s streams.stdout.enabled=true',
        'every container, and a copy here',
      ],
      ['VARVEL_LOG_LEVEL=debug varvel agent', 'one value by environment'],
    ],
    exitCodes: [[0, 'stopped in order'], [1, 'could not start, or was stopped at once'], USAGE],
  },
  status: {
    summary: 'what the running agent sees: containers, apps, in scope or why not, counters',
    operands: '',
    description: ['Asks the agent on this host by its socket (metrics.listen).'],
    options: { ...CONFIG_OPTIONS, ...JSON_OPTION },
    examples: [
      ['varvel status', 'as a table'],
      ['varvel status --json', 'everything, for machines'],
    ],
    exitCodes: [
      [0, 'an agent answered, and nothing was lost'],
      [1, 'no agent answers, or records or lines were lost'],
      USAGE,
    ],
  },
  check: {
    summary: 'load rule files as the agent would and say what is wrong with them',
    operands: 'FILE…',
    description: [
      'Later files build on earlier ones; a folder stands for the *.yaml files in it, by name. With --json: Falco’s falco_load_results, one a file, with lines and columns from 1, and a summary.',
    ],
    options: JSON_OPTION,
    examples: [
      ['varvel check rules.yaml', 'one file'],
      [
        'varvel check manifests/rules/varvel_rules.yaml my-rules.yaml',
        'files that build on each other',
      ],
    ],
    exitCodes: [
      [0, 'the files load'],
      [1, 'they have errors'],
      [2, 'the command line is wrong, or a file cannot be read'],
    ],
  },
  explain: {
    summary: 'what a rule asks for, which events it is run for, what it reads and costs',
    operands: '[RULE] [FILE…]',
    description: [
      'Prints the condition with its macros and lists filled in, the events by Falco’s names, each field and whether the agent can produce it, and what the rule costs.',
      'Without FILE, the rules that come with varvel; FILEs are loaded as by check, later ones on top of earlier ones.',
    ],
    options: {
      ...JSON_OPTION,
      all: { type: 'boolean', short: 'a', help: 'every rule; then all operands are files' },
    },
    examples: [
      ['varvel explain "Sensitive file read"', 'a rule that comes with varvel'],
      ['varvel explain "My rule" manifests/rules/varvel_rules.yaml my-rules.yaml', 'one of yours'],
      ['varvel explain --all --json my-rules.yaml', 'all, for machines'],
    ],
    exitCodes: [
      [0, 'it was explained'],
      [1, 'the rule files have errors'],
      [2, 'there is no such rule, a file cannot be read, or the command line is wrong'],
    ],
  },
  test: {
    summary: 'run tests of rules: events as field values, and the rules that should fire',
    operands: 'FILE…',
    description: [
      'Test files are YAML; manifests/rules/README.md describes them. A folder stands for the *.yaml files in it. Nothing is traced: the rules are compiled as in the agent and run over the fields that the tests give.',
    ],
    options: {
      ...JSON_OPTION,
      junit: { type: 'string', value: 'FILE', help: 'also write the results there as JUnit XML' },
    },
    examples: [
      ['varvel test manifests/rules/tests', 'those of the rules that come with varvel'],
      ['varvel test --junit results.xml my-rules.test.yaml', 'in a pipeline'],
    ],
    exitCodes: [
      [0, 'every test passed'],
      [1, 'a test failed'],
      [2, 'a test file or its rules are wrong, or the command line is'],
    ],
  },
  filter: {
    summary: 'parse a condition, or evaluate it over field values',
    operands: 'parse|eval EXPR…',
    description: [
      'parse prints the canonical form of a condition; fields and macros in it need not exist. eval compiles it as the agent does and runs it over the fields of --fields, then says which comparisons decided.',
      'Of fields that are not given, what follows from those that are is filled in: the parts of fd.name, either end of fd.ip, fd.port and fd.net, proc.aname from proc.aname[1] and on (or these from a list), proc.pname as proc.aname[1], the words of proc.args and proc.env, evt.res and evt.failed from evt.rawres. All others are absent; null says so.',
    ],
    options: {
      ...JSON_OPTION,
      fields: {
        type: 'string',
        short: 'f',
        value: 'JSON|@FILE',
        help: 'eval: field values, such as {"proc.name": "cat", "fd.ip": ["10.0.0.1", "10.0.0.2"]}',
      },
    },
    examples: [
      ['varvel filter parse "not (proc.name=cat)"', 'the canonical form'],
      ['varvel filter parse --json "evt.type in (open, openat)"', 'the tree'],
      [
        `varvel filter eval "proc.name in (cat, dd)" --fields '{"proc.name":"cat"}'`,
        'true, and why',
      ],
    ],
    exitCodes: [
      [0, 'it was parsed, or evaluated: the first line says true or false'],
      [1, 'the condition or a field is wrong'],
      USAGE,
    ],
  },
  demo: {
    summary: 'start an app, attack it three ways, and show its log',
    operands: '',
    description: [
      'The app runs in a cgroup of its own, without a container engine. Needs root; leaves nothing behind.',
    ],
    options: {},
    examples: [['sudo varvel demo', 'takes about ten seconds']],
    exitCodes: [
      [0, 'every attack was detected in the app’s log'],
      [1, 'one was not, or the demo cannot run here'],
      USAGE,
    ],
  },
  doctor: {
    summary: 'check what the agent needs on this host and say what to do',
    operands: '',
    description: [
      'Looks at the kernel, privileges, cgroups, the native part, Docker, the rules and the configuration; as root, loads the probe and tests it.',
    ],
    options: { ...CONFIG_OPTIONS, ...JSON_OPTION },
    examples: [
      ['sudo varvel doctor', 'everything'],
      ['sudo varvel doctor --json', 'for machines'],
    ],
    exitCodes: [[0, 'the agent can work here'], [1, 'a check fails'], USAGE],
  },
  fields: {
    summary: 'list the fields that rules can use',
    operands: '[TEXT]',
    description: [
      'With TEXT, only fields whose name or description holds it.',
      'Rules may use all of Falco’s fields: those that are not supported yet are absent in every event.',
    ],
    options: {
      ...JSON_OPTION,
      status: { type: 'boolean', help: 'also Falco’s fields that are not supported yet' },
    },
    examples: [
      ['varvel fields', 'all that have values'],
      ['varvel fields proc.', 'those of processes'],
      ['varvel fields --status', 'all of Falco’s, and which are not supported yet'],
      ['varvel fields --json', 'with types, arguments and limits, for machines'],
    ],
    exitCodes: [[0, 'fields were listed'], [1, 'TEXT fits none'], USAGE],
  },
  events: {
    summary: 'list the events that rules can name, with their params',
    operands: '[TEXT]',
    description: [
      'With TEXT, only events whose name, category or params hold it. Params are in the order of evt.arg[0], evt.arg[1], …',
      'Rules may name all of Falco’s events: they match those that are reported.',
    ],
    options: JSON_OPTION,
    examples: [
      ['varvel events', 'all of them'],
      ['varvel events open', 'those that open files'],
      ['varvel events newpath', 'those that have a param of this name'],
      ['varvel events --json', 'for machines'],
    ],
    exitCodes: [[0, 'events were listed'], [1, 'TEXT fits none'], USAGE],
  },
} as const satisfies Record<string, CommandInfo>;

export type CommandName = keyof typeof COMMANDS;

/** The help of everything. */
export function overview(version: string): string {
  const names = Object.keys(COMMANDS) as CommandName[];
  const width = Math.max(...names.map((name) => name.length));
  return [
    `varvel ${version}: watches app containers and writes each detection into the app’s own log`,
    '',
    'Usage: varvel COMMAND [OPTIONS]',
    '',
    'Commands:',
    ...names.map((name) => `  ${name.padEnd(width)}  ${COMMANDS[name].summary}`),
    '',
    'varvel COMMAND --help has options and examples. Exit codes: 0 ok, 1 a problem was found or it failed,',
    '2 the command line is wrong. VARVEL_DEBUG=1 adds the stack to an unexpected error.',
    '',
  ].join('\n');
}

const HELP_WIDTH = 100;

/** The help of one command. */
export function commandHelp(name: CommandName): string {
  const info: CommandInfo = COMMANDS[name];
  const usage = ['varvel', name, '[OPTIONS]', info.operands]
    .filter((part) => part !== '')
    .join(' ');
  const options = Object.entries({
    ...info.options,
    help: { type: 'boolean', short: 'h', help: 'this text' } satisfies CommandOption,
  }).map(([long, option]: [string, CommandOption]) => [
    `${option.short === undefined ? '    ' : `-${option.short}, `}--${long}${option.value === undefined ? '' : ` ${option.value}`}`,
    option.help,
  ]);
  const codes = info.exitCodes.map(([code, meaning]) => [String(code), meaning]);
  return [
    `varvel ${name}: ${info.summary}`,
    '',
    `Usage: ${usage}`,
    '',
    ...info.description.flatMap((paragraph) => wrap(paragraph, HELP_WIDTH)),
    '',
    'Options:',
    ...table(options),
    '',
    'Examples:',
    ...table(info.examples),
    '',
    'Exit codes:',
    ...table(codes),
    '',
  ].join('\n');
}

function table(rows: readonly (readonly string[])[]): string[] {
  const width = Math.max(...rows.map(([first = '']) => first.length));
  return rows.map(([first = '', second = '']) => `  ${first.padEnd(width)}  ${second}`);
}
