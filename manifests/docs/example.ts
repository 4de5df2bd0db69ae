import type { Given } from '../../src/rules/given/given-fields.ts';
import type { RulesUnderTest } from '../../src/rules/testing/rules-under-test.ts';
import type { GivenField, TestEvent } from '../../src/rules/testing/test-file.ts';
import type { DocumentedRule, RuleException } from './default-rules.ts';

/** An event that a rule fires for: that of its first matching test, completed to a whole event in a container. */
export interface Example {
  readonly event: TestEvent;
  /** The rule's output for it. */
  readonly output: string;
}

/** Defaults for fields that tests omit because their rules do not read them. */
const USUAL: Readonly<Record<string, Given>> = {
  'app.name': 'shop',
  'container.id': '3f4a1b2c5d6e',
  'container.name': 'shop',
  'proc.exepath': '/usr/local/bin/node',
  'proc.pexepath': '/usr/local/bin/node',
  'proc.pname': 'node',
  'proc.tty': 0,
  'proc.uptime': '10m',
  'thread.cap_effective': 'CAP_CHOWN CAP_SETUID CAP_NET_BIND_SERVICE',
};

/** Defaults for such fields that follow from a test's values. */
const FOLLOWS: Readonly<Record<string, (find: Find) => Given | undefined>> = {
  'evt.res': (find) => (find('evt.rawres') === undefined ? 'SUCCESS' : undefined),
  'proc.cmdline': (find) => {
    const path = find('proc.exepath') ?? '/usr/local/bin/node';
    const name = find('proc.exe') ?? find('proc.name') ?? path.slice(path.lastIndexOf('/') + 1);
    return [name, find('proc.args') ?? ''].join(' ').trim();
  },
  'proc.pcmdline': (find) => {
    const name = find('proc.pname') ?? 'node';
    return name === 'node' ? 'node server.js' : name;
  },
  'user.name': (find) => (find('user.uid') === '0' ? 'root' : 'app'),
  'user.uid': (find) => (find('user.name') === 'root' ? 0 : 1000),
};

/** Returns the text of a field in the test, if any. */
type Find = (key: string) => string | undefined;

/** Throws if none of the rule's tests makes it fire. */
export function exampleOf(documented: DocumentedRule, rules: RulesUnderTest): Example {
  const { rule, tests, words } = documented;
  const wanted = [
    'app.name',
    ...words.map(({ field }) => field),
    ...exceptionFor(documented).fields,
  ];
  for (const test of tests) {
    if (!test.fires.some((expected) => expected.rule.value === rule.name)) continue;
    for (const { place, fields } of test.events) {
      const event = { place, fields: completed(fields, new Set(wanted), place) };
      rules.show(event);
      if (!rules.fired().some(({ name }) => name === rule.name)) continue;
      return { event, output: rules.output(rule).text };
    }
  }
  throw new Error(`no test of the rule "${rule.name}" makes an example for it`);
}

function completed(
  given: readonly GivenField[],
  wanted: ReadonlySet<string>,
  place: TestEvent['place'],
): GivenField[] {
  const values = new Map(given.map(({ key, value }) => [key, value]));
  const find: Find = (key) => {
    const value = values.get(key);
    return value === undefined || value === null ? undefined : String(value);
  };
  const extra = [...wanted].flatMap((key): GivenField[] => {
    if (values.has(key)) return [];
    const value = FOLLOWS[key]?.(find) ?? USUAL[key];
    return value === undefined ? [] : [{ key, value, place }];
  });
  return [...given, ...extra];
}

/** The rule's exception that its runbook names. Throws if the rule has none of this name. */
export function exceptionFor({ rule, runbook, exceptions }: DocumentedRule): RuleException {
  const found = exceptions.find(({ name }) => name === runbook.except);
  if (found === undefined) {
    throw new Error(`the rule "${rule.name}" has no exception "${runbook.except}"`);
  }
  return found;
}

/** A `varvel.yml` that adds an exception to the rule for exactly the values of the event. */
export function exceptionPolicy(documented: DocumentedRule, { event }: Example): string {
  const { name, fields } = exceptionFor(documented);
  const values = fields.map((field) => quoted(valueOf(event, field)));
  return [
    'custom_rules:',
    `  - rule: ${documented.rule.name}`,
    '    exceptions:',
    `      - { name: ${name}, values: [[${values.join(', ')}]] }`,
    '    override: { exceptions: append }',
  ].join('\n');
}

/** A `varvel.yml` that switches the rule on or off. */
export const selectionPolicy = ({ rule }: DocumentedRule, on: boolean): string =>
  `rules:\n  - ${on ? 'enable' : 'disable'}: { rule: ${rule.name} }`;

function valueOf({ fields }: TestEvent, key: string): string {
  const find = (name: string): Given | undefined =>
    fields.find((field) => field.key === name)?.value;
  const value = find(key);
  if (typeof value === 'string') return value;
  const path = find('fd.name');
  if (key === 'fd.directory' && typeof path === 'string') {
    return path.slice(0, Math.max(1, path.lastIndexOf('/')));
  }
  throw new Error(`the example has no ${key}`);
}

/** A constant of a condition, in YAML's flow style. */
function quoted(text: string): string {
  if (/^[\w/][\w/.-]*$/.test(text)) return text;
  // If text has a blank and no other special character, the loader quotes it.
  const isPlain = !/[(),="']/.test(text);
  const constant = isPlain ? text : `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  return `'${constant.replaceAll("'", "''")}'`;
}
