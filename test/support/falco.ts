import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readRuleFile } from '../../src/rules/loader/load.ts';

// Falco's own files, which the tests compare with: see test/fixtures/falco/README.md.

const FOLDER = new URL('../fixtures/falco/', import.meta.url);

const pathOf = (name: string): string => fileURLToPath(new URL(name, FOLDER));

/** The folder with Falco's rule files. */
export const FALCO_RULES = pathOf('rules');

/** How many rules they have together. */
export const FALCO_RULE_COUNT = 93;

/** Their paths, in the order in which Falco is given them. */
export const FALCO_RULE_FILES: readonly string[] = [
  'falco_rules.yaml',
  'falco-incubating_rules.yaml',
  'falco-sandbox_rules.yaml',
].map((name) => pathOf(`rules/${name}`));

/** The rule files, read. */
export const falcoRuleSources = (): ReturnType<typeof readRuleFile>[] =>
  FALCO_RULE_FILES.map((path) => readRuleFile(path));

/** Falco's list of fields, as it prints it. */
export const falcoFieldsPage = (): string => readFileSync(pathOf('fields.md'), 'utf8');

/** Falco's list of events, as it prints it. */
export const falcoEventsPage = (): string => readFileSync(pathOf('events.txt'), 'utf8');

/** What Falco's engine says of one of the rules. */
export interface FalcoRuleNeeds {
  readonly rule: string;
  readonly enabled: boolean;
  /** Sorted. */
  readonly events: readonly string[];
  /** The fields of its condition with the macros filled in, sorted. */
  readonly fields: readonly string[];
}

export const falcoRuleNeeds = (): readonly FalcoRuleNeeds[] =>
  JSON.parse(readFileSync(pathOf('needs.json'), 'utf8')) as FalcoRuleNeeds[];
