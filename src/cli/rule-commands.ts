import type { CommandInfo } from './command-info.ts';
import { JSON_OPTION, USAGE } from './command-options.ts';

/** What people who write rules work with. */
export const RULE_COMMANDS = {
  check: {
    summary: 'load rule files as the agent would and say what is wrong with them',
    operands: 'FILE…',
    description: [
      'Later files build on earlier ones; a folder stands for the *.yaml files in it, by name. With --json: Falco’s falco_load_results, one a file, with lines and columns from 1, and a summary.',
      'varvel takes more than Falco: fields of its own, and escapes of Falco’s newer parser. With --engine, what a Falco of that engine would not load is told too; --json tells it of 0.62.0 (Falco 0.44) in any case.',
    ],
    options: {
      ...JSON_OPTION,
      engine: {
        type: 'string',
        value: 'VERSION',
        help: 'would a Falco of this engine load them, such as 0.62.0',
      },
    },
    examples: [
      ['varvel check rules.yaml', 'one file'],
      ['varvel check --engine 0.62.0 rules.yaml', 'would Falco 0.44 load it too?'],
      [
        'varvel check manifests/rules/varvel_rules.yaml my-rules.yaml',
        'files that build on each other',
      ],
    ],
    exitCodes: [
      [0, 'the files load'],
      [1, 'they have errors, or a Falco of --engine would not load them'],
      [2, 'the command line is wrong, or a file cannot be read'],
    ],
  },
  explain: {
    summary: 'what to do when a rule fires, what it asks for, which events it is run for, its cost',
    operands: '[RULE] [FILE…]',
    description: [
      'First what the rule means, what to look at and what to do when it fires, as far as that is written in the folder runbook beside its file: it is for those that come with varvel.',
      'Prints the condition with its macros and lists filled in, the events by Falco’s names, each field and whether the agent can produce it, and what the rule costs.',
      'Without FILE, the rules that come with varvel; FILEs are loaded as by check, later ones on top of earlier ones.',
    ],
    options: {
      ...JSON_OPTION,
      all: { type: 'boolean', short: 'a', help: 'every rule; then all operands are files' },
      runbook: { type: 'boolean', short: 'r', help: 'only what to do when it fires' },
      response: {
        type: 'string',
        value: 'deny',
        help: 'only what this response does: which calls it stops, by what, and what the kernel does not decide',
      },
    },
    examples: [
      ['varvel explain -r "Sensitive file read"', 'a line in the log, at night: what now?'],
      ['varvel explain "Sensitive file read"', 'a rule that comes with varvel'],
      ['varvel explain "Miner run" --response deny', 'what would be denied, and by which hook'],
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
      'Fields that are not given are filled in where they follow from those that are: the parts of fd.name, either end of fd.ip, fd.port and fd.net, proc.aname from proc.aname[1] and on (or these from a list), proc.pname as proc.aname[1], the words of proc.args and proc.env, evt.res and evt.failed from evt.rawres. All others are absent; null says so.',
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
} as const satisfies Record<string, CommandInfo>;

/** What rules can name. */
export const LIST_COMMANDS = {
  fields: {
    summary: 'list the fields that rules can use',
    operands: '[TEXT]',
    description: [
      'With TEXT, only fields whose name or description holds it.',
      'Rules may use all of Falco’s fields: those that are not supported yet are absent in every event.',
      'compared: in real containers the values agree with another source, which is named (/proc, stat, getsockname, the container engine, the test program’s own report). The end-to-end tests make that comparison and this list.',
    ],
    options: {
      ...JSON_OPTION,
      status: {
        type: 'boolean',
        help: 'how far each is proven, and Falco’s fields that are not supported yet',
      },
    },
    examples: [
      ['varvel fields', 'all that have values'],
      ['varvel fields proc.', 'those of processes'],
      [
        'varvel fields --status',
        'all of Falco’s: which agree with another source in real containers, which are absent',
      ],
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
