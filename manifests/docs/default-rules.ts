import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Condition } from '../../src/rules/language/ast.ts';
import { parse } from '../../src/rules/language/parser.ts';
import { readRuleFile } from '../../src/rules/loader/load.ts';
import { runbookBeside } from '../../src/rules/loader/runbook.ts';
import type { RunbookEntry } from '../../src/rules/loader/runbook.ts';
import { readYaml } from '../../src/rules/loader/yaml.ts';
import type { YamlMap, YamlNode } from '../../src/rules/loader/yaml-node.ts';
import type { LoadedRule } from '../../src/rules/rule-set.ts';
import { RulesUnderTest } from '../../src/rules/testing/rules-under-test.ts';
import { readTestFile } from '../../src/rules/testing/test-file.ts';
import type { RuleTest } from '../../src/rules/testing/test-file.ts';

export const RULES_FILE = 'manifests/rules/varvel_rules.yaml';
const TESTS = 'manifests/rules/tests';
/** What apps set: some rules fire only then. */
const LISTS = 'manifests/docs/example-lists.yaml';

/** An exception as defined by a rule: its fields, one or several. */
export interface RuleException {
  readonly name: string;
  readonly fields: readonly string[];
}

/** A label in a rule's output, and the field after it. */
export interface OutputWord {
  readonly label: string;
  readonly field: string;
}

/** A default rule with its documentation. */
export interface DocumentedRule {
  readonly rule: LoadedRule;
  readonly runbook: RunbookEntry;
  /** As in the file: with the names of its macros. */
  readonly condition: Condition;
  readonly words: readonly OutputWord[];
  readonly exceptions: readonly RuleException[];
  /** From its own test file. */
  readonly tests: readonly RuleTest[];
}

/** The default rules, all switched on, with their documentation. */
export interface DefaultRules {
  /** In file order. */
  readonly all: readonly DocumentedRule[];
  readonly underTest: RulesUnderTest;
  /** Names of those that are off as shipped. */
  readonly off: ReadonlySet<string>;
}

/** Reads them from the repository's root. Throws if a rule has no runbook entry or no test. */
export function readDefaultRules(): DefaultRules {
  const source = readRuleFile(RULES_FILE);
  const underTest = new RulesUnderTest([source, readRuleFile(LISTS)], ['*']);
  const runbook = runbookBeside(RULES_FILE);
  const items = new Map<string, YamlMap>();
  for (const item of readYaml(source).flatMap(itemsOf)) {
    const name = text(item, 'rule');
    if (name !== undefined) items.set(name, item);
  }
  const off = new Set<string>();
  const all = (underTest.result.ruleSet?.rules ?? []).map((rule): DocumentedRule => {
    const { name } = rule;
    const entry = runbook.get(name);
    const item = items.get(name);
    if (entry === undefined || item === undefined) {
      throw new Error(`manifests/rules/runbook has no entry for the rule "${name}"`);
    }
    if (text(item, 'enabled') === 'false') off.add(name);
    return {
      rule,
      runbook: entry,
      condition: parse(text(item, 'condition') ?? ''),
      words: wordsOf(text(item, 'output') ?? ''),
      exceptions: exceptionsOf(item),
      tests: testsOf(name),
    };
  });
  return { all, underTest, off };
}

/** The name of a rule's test file, without the extension. */
export const slug = (name: string): string => name.toLowerCase().replaceAll(' ', '-');

function testsOf(name: string): readonly RuleTest[] {
  const file = `${slug(name)}.yaml`;
  if (!readdirSync(TESTS).includes(file)) throw new Error(`${TESTS} has no ${file}`);
  const path = join(TESTS, file);
  return readTestFile({ name: path, text: readFileSync(path, 'utf8') }).tests;
}

function itemsOf(node: YamlNode): readonly YamlMap[] {
  const items = node.kind === 'sequence' ? node.items : [];
  return items.filter((item) => item.kind === 'map');
}

const value = (map: YamlMap, key: string): YamlNode | undefined =>
  map.entries.find((entry) => entry.key.text === key)?.value;

function text(map: YamlMap, key: string): string | undefined {
  const node = value(map, key);
  return node?.kind === 'scalar' ? node.text.trim() : undefined;
}

const wordsOf = (output: string): readonly OutputWord[] =>
  [...output.matchAll(/(\w+)=%([\w.]+(?:\[[^\]]+\])?)/g)].map(([, label = '', field = '']) => ({
    label,
    field,
  }));

function exceptionsOf(item: YamlMap): readonly RuleException[] {
  const list = value(item, 'exceptions');
  return list === undefined ? [] : itemsOf(list).map(exceptionOf);
}

function exceptionOf(item: YamlMap): RuleException {
  const fields = value(item, 'fields');
  const names = fields?.kind === 'sequence' ? fields.items : [fields];
  return {
    name: text(item, 'name') ?? '',
    fields: names.flatMap((node) => (node?.kind === 'scalar' ? [node.text] : [])),
  };
}
