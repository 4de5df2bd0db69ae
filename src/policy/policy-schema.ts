import { MAX_POLICY_BYTES } from '../container-files/policy-text.ts';
import { PRIORITIES } from '../rules/detection.ts';
import { ADDED_ITEMS, EXCEPTION_KEYS, FLAGS } from '../rules/loader/overlay-shapes.ts';
import { POLICY_RESPONSE_NAMES } from '../shared/response-names.ts';
import type { ItemShape, ValueShape } from '../rules/loader/overlay-shapes.ts';
import { ENFORCEMENTS } from './enforced.ts';
import { MAX_SELECTIONS } from './policy-document.ts';
import { ANY_VALUE, MAX_VALUE_CHARS, MAX_VALUES, VALUE_SHAPES } from './policy-variables.ts';

type Schema = Readonly<Record<string, unknown>>;

/** YAML reads unquoted text as a number or a truth value; a policy treats it as the text written. */
const TEXT: Schema = { type: ['string', 'number', 'boolean'], minLength: 1 };
const TEXTS: Schema = { type: 'array', items: { $ref: '#/$defs/text' } };
const LOWER = PRIORITIES.map((name) => name.toLowerCase());

const KEY_DESCRIPTIONS: Readonly<Record<string, string>> = {
  list: 'The name of a list of your own: conditions refer to it as (NAME).',
  items: 'What the list has.',
  macro: 'The name of a macro of your own: conditions refer to it by its name.',
  rule: 'The name of a rule of your own, or of one of the operator’s to add exceptions to.',
  condition:
    'When it holds, in Falco’s language; a rule’s must say which events it is about (evt.type).',
  desc: 'What it is about, and what to do then.',
  output: 'The line; %FIELD stands for a field’s value.',
  priority: 'How severe it is.',
  enabled: 'false: it is checked, and never runs.',
  exceptions: 'When it does not hold although its condition does.',
  override:
    'Always {exceptions: append}: exceptions are all that can be added to a rule of the operator’s.',
  tags: 'Names for groups of rules.',
  source: 'syscall, the only one there is.',
  warn_evttypes: 'For files that Falco reads as well.',
  'skip-if-unknown-filter': 'For files that Falco reads as well.',
};

const VARIABLES: Readonly<Record<string, { readonly says: string; readonly examples: string[] }>> =
  {
    expected_executables: {
      says: 'Programs that the app starts by design: a shell, curl, what it downloads and runs. Full paths as in a line’s exe=, links followed. Rules about tools, shells and new programs leave them out.',
      examples: ['/usr/bin/convert', '/usr/bin/dash'],
    },
    secret_paths: {
      says: 'Files of the app’s secrets, or directories of them: rules about secrets watch these too. * and ? stand for any within a name.',
      examples: ['/app/config/tls.key', '/app/secrets'],
    },
    secret_readers: {
      says: 'Programs that open the app’s secrets, for enforce: [secret_paths]. Full paths as in a line’s exe=, links followed.',
      examples: ['/usr/local/bin/node'],
    },
    code_paths: {
      says: 'Directories with the app’s code, besides the usual ones: that it is changed while the app runs is reported. * and ? stand for any within a name.',
      examples: ['/data/site'],
    },
    outbound_hosts: {
      says: 'All hosts that the app connects to: a connection to another one is reported. Networks and addresses are exact; domain names are looked up on the host once a minute.',
      examples: ['api.example.org', '10.0.0.0/8', '192.0.2.7'],
    },
  };

const EXAMPLE = {
  minimum_priority: 'notice',
  rules: [{ disable: { rule: 'Transfer tool run by an app' } }],
  variables: Object.fromEntries(
    Object.entries(VARIABLES).map(([name, { examples }]) => [name, examples]),
  ),
  enforce: ['expected_executables'],
};

/**
 * The JSON Schema (2020-12) of `varvel.yml`, for editors. It is built from the validator's own shapes and is exactly as strict,
 * as far as a schema can express it.
 */
export function policySchema(): Schema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'urn:varvel:policy',
    title: 'varvel.yml',
    description: `What one app changes of the rules that watch it. A schema says what it looks like. What it cannot say, \`varvel policy\` does: whether rules, tags, variables, macros and fields of these names are there; whether conditions and outputs make sense; whether an address can be; that no key is there twice; that a file has at most ${MAX_POLICY_BYTES / 1024} KiB and variables ${MAX_VALUES} values in all; how many items of one kind, how long a condition and how large all lists may be.`,
    examples: [EXAMPLE],
    // An empty file is a policy that changes nothing.
    type: ['object', 'null'],
    additionalProperties: false,
    properties: {
      minimum_priority: {
        $ref: '#/$defs/priority',
        description: 'Less severe detections do not become lines in the app’s log.',
      },
      rules: {
        description:
          'Switches rules on and off, one entry after the other: the last that fits counts.',
        examples: [EXAMPLE.rules],
        type: ['array', 'null'],
        maxItems: MAX_SELECTIONS,
        items: { $ref: '#/$defs/selection' },
      },
      responses: {
        description:
          'What is done about detections of rules besides telling them, if the operator allows it. kill: the process that it is about is ended, after the fact. deny: a program that the rule is about is ended before its first instruction, where the kernel is certain of it; otherwise it is killed.',
        examples: [
          [{ kill: { rule: 'Miner run' } }, { deny: { rule: 'Program run from memory' } }],
        ],
        type: ['array', 'null'],
        maxItems: MAX_SELECTIONS,
        items: { $ref: '#/$defs/response' },
      },
      variables: {
        description:
          'What the app is like, for rules that ask. An operator’s own rules may ask for others than these. Rules that the operator has pinned are not loosened by it.',
        examples: [EXAMPLE.variables],
        type: ['object', 'null'],
        properties: Object.fromEntries(
          [...VALUE_SHAPES.keys()].map((name) => [name, variable(name)]),
        ),
        additionalProperties: {
          description: 'A variable of the operator’s own rules.',
          type: ['array', 'null'],
          maxItems: MAX_VALUES,
          items: { ...TEXT, maxLength: MAX_VALUE_CHARS, pattern: ANY_VALUE.pattern },
        },
      },
      enforce: {
        description:
          'Variables beside which nothing may happen, if the operator allows it (policies.responses). expected_executables: all other programs are denied. outbound_hosts: connections to other hosts are refused; where the kernel cannot tell, as for domain names and datagrams without connect, the process is killed. secret_paths: other programs than secret_readers cannot open them. code_paths: nothing is written there. Where the kernel cannot refuse an open, the process is killed after it. Each must be listed under variables, all but outbound_hosts with at least one value.',
        type: ['array', 'null'],
        items: { enum: Object.keys(ENFORCEMENTS) },
      },
      custom_rules: {
        description:
          'Rules, macros and lists of the app’s own, and exceptions to the operator’s rules, in Falco’s syntax.',
        type: ['array', 'null'],
        items: {
          anyOf: [
            { type: 'null' },
            ...Object.keys(ADDED_ITEMS).map((name) => ({ $ref: `#/$defs/${name}` })),
          ],
        },
      },
    },
    $defs: definitions(),
  };
}

function definitions(): Schema {
  const items = Object.entries(ADDED_ITEMS).map(([name, shape]): [string, Schema] => [
    name,
    item(shape),
  ]);
  return {
    text: TEXT,
    priority: {
      title: 'Priority',
      type: 'string',
      anyOf: [{ enum: LOWER }, { pattern: `^(?:${[...LOWER, 'info'].map(anyCase).join('|')})$` }],
    },
    flag: { anyOf: [{ type: 'boolean' }, { enum: [...FLAGS] }] },
    selection: {
      title: 'Switch',
      description: 'By a rule’s name, in which * and ? stand for any, or by a tag.',
      type: 'object',
      minProperties: 1,
      maxProperties: 1,
      additionalProperties: false,
      properties: {
        enable: { $ref: '#/$defs/selected', description: 'On for this app.' },
        disable: {
          $ref: '#/$defs/selected',
          description: 'Off for this app, unless it is pinned.',
        },
      },
    },
    response: {
      title: 'Response',
      description:
        'To detections of rules by their name, in which * and ? stand for any, or by a tag.',
      type: 'object',
      minProperties: 1,
      maxProperties: 1,
      additionalProperties: false,
      properties: Object.fromEntries(
        POLICY_RESPONSE_NAMES.map((name) => [name, { $ref: '#/$defs/selected' }]),
      ),
    },
    selected: {
      type: 'object',
      minProperties: 1,
      additionalProperties: false,
      properties: { rule: { $ref: '#/$defs/text' }, tag: { $ref: '#/$defs/text' } },
    },
    ...Object.fromEntries(items),
    exception: exception(true),
    'added exception': exception(false),
  };
}

function variable(name: string): Schema {
  const { says: description, examples } = VARIABLES[name] ?? { says: '', examples: [] };
  const pattern = VALUE_SHAPES.get(name)?.pattern;
  return {
    description,
    examples: [examples],
    type: ['array', 'null'],
    maxItems: MAX_VALUES,
    // `true` is a valid name; a number is not.
    items: {
      type: name === 'outbound_hosts' ? ['string', 'boolean'] : 'string',
      maxLength: MAX_VALUE_CHARS,
      pattern,
    },
  };
}

function item({ required, optional }: ItemShape): Schema {
  const keys = Object.entries({ ...required, ...optional });
  return {
    type: 'object',
    required: Object.keys(required),
    additionalProperties: false,
    properties: Object.fromEntries(
      keys.map(([key, shape]) => [key, { description: KEY_DESCRIPTIONS[key], ...value(shape) }]),
    ),
  };
}

function value(shape: ValueShape): Schema {
  switch (shape) {
    case 'text':
    case 'flag':
    case 'priority':
      return { $ref: `#/$defs/${shape}` };
    case 'texts':
      return TEXTS;
    case 'exceptions':
      return { type: 'array', items: { $ref: '#/$defs/exception' } };
    case 'added exceptions':
      return { type: 'array', items: { $ref: '#/$defs/added exception' } };
    case 'exceptions append':
      return {
        type: 'object',
        required: ['exceptions'],
        additionalProperties: false,
        properties: { exceptions: { const: 'append' } },
      };
  }
}

function exception(needsFields: boolean): Schema {
  const text = { $ref: '#/$defs/text' };
  const textOrTexts = { anyOf: [text, TEXTS] };
  const properties: Record<(typeof EXCEPTION_KEYS)[number], Schema> = {
    name: text,
    fields: { description: 'A field, or several that are compared together.', ...textOrTexts },
    comps: { description: 'How: an operator, or one for each field.', ...textOrTexts },
    values: {
      description: 'Of one field, values; of several, lists with a value for each.',
      type: 'array',
      items: { anyOf: [text, { type: 'array', items: textOrTexts }] },
    },
  };
  return {
    type: 'object',
    required: needsFields ? ['name', 'fields'] : ['name'],
    additionalProperties: false,
    properties,
  };
}

/** A pattern that matches a word in any case. */
function anyCase(word: string): string {
  return [...word.matchAll(/./gu)].map(([char]) => `[${char.toUpperCase()}${char}]`).join('');
}
