import { nearestWord } from '../../shared/nearest.ts';
import type { Given } from '../given/given-fields.ts';
import type { Place, RuleSource } from '../loader/source.ts';
import { readYaml } from '../loader/yaml.ts';
import { YamlError } from '../loader/yaml-node.ts';
import type { YamlMap, YamlNode, YamlScalar } from '../loader/yaml-node.ts';

/** Bounds of a test file, which is also one of MAX_RULE_FILE_BYTES. */
export const MAX_TESTS = 10_000;
export const MAX_EVENTS = 20_000;

/** Something with the place where it is written. */
export interface Placed<T> {
  readonly value: T;
  readonly place: Place;
}

/** A field's value by its name as written. */
export type GivenField = Placed<Given> & { readonly key: string };

/** What is expected of a rule that fires. */
export interface ExpectedRule {
  readonly rule: Placed<string>;
  /** The whole output, filled in. */
  readonly output: Placed<string> | undefined;
  /** Values of `output_fields`: those that are named must be equal. */
  readonly outputFields: readonly GivenField[];
}

export interface TestEvent {
  readonly place: Place;
  /** With those of the test and of the file, which an event's own take the place of. */
  readonly fields: readonly GivenField[];
}

/** One test: each of its events must come to the same. */
export interface RuleTest {
  readonly name: string;
  readonly place: Place;
  readonly events: readonly TestEvent[];
  /** The rules that fire. */
  readonly fires: readonly ExpectedRule[];
  /** No others may fire. */
  readonly exactly: boolean;
  /** Rules that must not fire; without `exactly` only. */
  readonly excludes: readonly Placed<string>[];
}

/** A test file, read. Whether its fields and rules exist is yet to be seen. */
export interface TestFile {
  readonly source: RuleSource;
  /** As written: relative to the file. Undefined: the rules that come with varvel. */
  readonly rules: readonly Placed<string>[] | undefined;
  /** Disabled rules to run all the same: names, in which `*` and `?` stand for any. */
  readonly enable: readonly Placed<string>[];
  readonly tests: readonly RuleTest[];
}

/** What is wrong with a test file: a sentence without its end, and a place in it. */
export class TestFileError extends Error {
  override readonly name = 'TestFileError';
  readonly place: Place;

  constructor(message: string, place: Place) {
    super(message);
    this.place = place;
  }
}

const FILE_KEYS = ['rules', 'enable', 'fields', 'tests'];
const TEST_KEYS = ['name', 'fields', 'events', 'expect', 'includes', 'excludes'];
const EVENT_KEYS = ['fields'];
const EXPECT_KEYS = ['rule', 'output', 'output_fields'];

/** Reads a test file. Throws TestFileError at the first thing that is wrong with it. */
export function readTestFile(source: RuleSource): TestFile {
  const [root, second] = documents(source);
  if (second !== undefined) throw new TestFileError('a test file is one document', second.place);
  if (root === undefined) {
    throw new TestFileError('the file is empty: it needs tests', { source, start: 0, end: 1 });
  }
  const file = keyed(root, FILE_KEYS, 'a test file');
  const common = fieldsOf(file.get('fields'));
  const tests = file.get('tests');
  if (tests === undefined) throw new TestFileError("a test file needs 'tests'", root.place);
  const items = sequence(tests, 'tests');
  if (items.length === 0) throw new TestFileError("'tests' has none", tests.place);
  refuseMore(items, MAX_TESTS, 'tests');
  const names = new Set<string>();
  const budget = { events: MAX_EVENTS };
  const rules = file.get('rules');
  return {
    source,
    rules: rules === undefined ? undefined : atLeastOne(rules, 'rules'),
    enable: words(file.get('enable'), 'enable'),
    tests: items.map((item) => readTest(item, common, names, budget)),
  };
}

function documents(source: RuleSource): readonly YamlNode[] {
  try {
    return readYaml(source);
  } catch (error) {
    if (error instanceof YamlError) throw new TestFileError(error.message, error.place);
    throw error;
  }
}

function readTest(
  node: YamlNode,
  common: readonly GivenField[],
  names: Set<string>,
  budget: { events: number },
): RuleTest {
  const test = keyed(node, TEST_KEYS, 'a test');
  const named = test.get('name');
  if (named === undefined) throw new TestFileError("a test needs a 'name'", node.place);
  const { value: name, place } = word(named, 'name');
  if (names.has(name)) throw new TestFileError(`there are two tests "${name}"`, place);
  names.add(name);
  const fields = merged(common, fieldsOf(test.get('fields')));
  const events = test.get('events');
  if (events === undefined && test.get('fields') === undefined) {
    throw new TestFileError("a test needs 'fields' of an event, or 'events'", node.place);
  }
  const own = events === undefined ? [node] : sequence(events, 'events');
  if (own.length === 0) throw new TestFileError("'events' has none", events?.place ?? node.place);
  budget.events -= own.length;
  if (budget.events < 0) {
    throw new TestFileError(`more than ${MAX_EVENTS} events: spread the tests over files`, place);
  }
  return {
    name,
    place,
    events: own.map((event) =>
      event === node
        ? { place, fields }
        : {
            place: event.place,
            fields: merged(fields, fieldsOf(keyed(event, EVENT_KEYS, 'an event').get('fields'))),
          },
    ),
    ...readExpectations(node, test),
  };
}

function readExpectations(
  node: YamlNode,
  test: ReadonlyMap<string, YamlNode>,
): Pick<RuleTest, 'fires' | 'exactly' | 'excludes'> {
  const expect = test.get('expect');
  const includes = test.get('includes');
  const excludes = test.get('excludes');
  if (expect !== undefined) {
    const other = includes ?? excludes;
    if (other !== undefined) {
      throw new TestFileError(
        "'expect' says exactly which rules fire: 'includes' and 'excludes' are for tests without it",
        other.place,
      );
    }
    return { fires: expectedRules(expect, 'expect'), exactly: true, excludes: [] };
  }
  if (includes === undefined && excludes === undefined) {
    throw new TestFileError(
      "a test needs 'expect' with the rules that fire, or none; or 'includes', or 'excludes'",
      node.place,
    );
  }
  return {
    fires: includes === undefined ? [] : expectedRules(includes, 'includes'),
    exactly: false,
    excludes: excludes === undefined ? [] : atLeastOne(excludes, 'excludes'),
  };
}

function expectedRules(node: YamlNode, key: string): readonly ExpectedRule[] {
  if (node.kind === 'scalar' && node.text === 'none') {
    if (key === 'expect') return [];
    throw new TestFileError(`'${key}' needs rules: none is for 'expect'`, node.place);
  }
  const items = node.kind === 'sequence' ? node.items : [node];
  if (items.length === 0) {
    throw new TestFileError(`'${key}' is empty: write none if no rule may fire`, node.place);
  }
  const rules = items.map(expectedRule);
  for (const [at, { rule }] of rules.entries()) {
    if (rules.slice(0, at).some((other) => other.rule.value === rule.value)) {
      throw new TestFileError(`rule "${rule.value}" stands there twice`, rule.place);
    }
  }
  return rules;
}

function expectedRule(node: YamlNode): ExpectedRule {
  if (node.kind === 'scalar') {
    return { rule: word(node, 'rule'), output: undefined, outputFields: [] };
  }
  const entry = keyed(node, EXPECT_KEYS, 'an expected rule');
  const rule = entry.get('rule');
  if (rule === undefined) throw new TestFileError("an expected rule needs 'rule'", node.place);
  const output = entry.get('output');
  return {
    rule: word(rule, 'rule'),
    output: output === undefined ? undefined : word(output, 'output'),
    outputFields: fieldsOf(entry.get('output_fields')),
  };
}

/** An inner field takes the place of an outer one. */
function merged(outer: readonly GivenField[], inner: readonly GivenField[]): readonly GivenField[] {
  if (inner.length === 0) return outer;
  const own = new Set(inner.map(({ key }) => key));
  return [...outer.filter(({ key }) => !own.has(key)), ...inner];
}

function fieldsOf(node: YamlNode | undefined): readonly GivenField[] {
  if (node === undefined) return [];
  if (node.kind !== 'map') {
    throw new TestFileError(
      "'fields' are written as NAME: VALUE, such as proc.name: cat",
      node.place,
    );
  }
  return [...entriesOf(node)].map(([key, value]) => ({
    key,
    value: givenOf(key, value.value),
    place: value.key.place,
  }));
}

function givenOf(key: string, node: YamlNode): Given {
  if (node.kind === 'scalar') return node.isNull ? null : node.text;
  if (node.kind === 'sequence') {
    return node.items.map((item) => {
      if (item.kind === 'scalar' && !item.isNull) return item.text;
      throw new TestFileError(`a value of ${key} must be a text or a number`, item.place);
    });
  }
  throw new TestFileError(`${key} must be a value, a list of values or null`, node.place);
}

/** A map of these keys only, each once. */
function keyed(
  node: YamlNode,
  keys: readonly string[],
  what: string,
): ReadonlyMap<string, YamlNode> {
  if (node.kind !== 'map') {
    throw new TestFileError(`${what} is written as KEY: VALUE, with ${listed(keys)}`, node.place);
  }
  const entries = new Map<string, YamlNode>();
  for (const [key, entry] of entriesOf(node)) {
    if (!keys.includes(key)) {
      const close = nearestWord(key, keys);
      const hint = close === undefined ? `it has ${listed(keys)}` : `did you mean '${close}'?`;
      throw new TestFileError(`${what} has no key '${key}': ${hint}`, entry.key.place);
    }
    entries.set(key, entry.value);
  }
  return entries;
}

function entriesOf(map: YamlMap): ReadonlyMap<string, { key: YamlScalar; value: YamlNode }> {
  const entries = new Map<string, { key: YamlScalar; value: YamlNode }>();
  for (const { key, value } of map.entries) {
    if (entries.has(key.text)) {
      throw new TestFileError(`'${key.text}' stands there twice`, key.place);
    }
    entries.set(key.text, { key, value });
  }
  return entries;
}

function listed(keys: readonly string[]): string {
  return `${keys.slice(0, -1).join(', ')}${keys.length > 1 ? ' and ' : ''}${keys.at(-1) ?? ''}`;
}

function sequence(node: YamlNode, key: string): readonly YamlNode[] {
  if (node.kind === 'sequence') return node.items;
  throw new TestFileError(`'${key}' must be a list`, node.place);
}

function refuseMore(items: readonly YamlNode[], most: number, what: string): void {
  const first = items[most];
  if (first === undefined) return;
  throw new TestFileError(`more than ${most} ${what}: spread them over several files`, first.place);
}

function word(node: YamlNode, key: string): Placed<string> {
  const text = node.kind === 'scalar' ? node.text.trim() : '';
  if (text === '') throw new TestFileError(`'${key}' must be a text`, node.place);
  return { value: text, place: node.place };
}

/** One text or a list of them. */
function words(node: YamlNode | undefined, key: string): readonly Placed<string>[] {
  if (node === undefined) return [];
  const items = node.kind === 'sequence' ? node.items : [node];
  return items.map((item) => word(item, key));
}

function atLeastOne(node: YamlNode, key: string): readonly Placed<string>[] {
  const found = words(node, key);
  if (found.length === 0) throw new TestFileError(`'${key}' is empty`, node.place);
  return found;
}
