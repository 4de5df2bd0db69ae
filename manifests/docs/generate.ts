// Writes the pages generated from rules, tables and tests; with --check, only reports which are out of date (exit code 1).
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ATTACK_ROWS } from '../../test/e2e/attacks/rows.ts';
import { IMPOSSIBLE_ROWS } from '../../test/e2e/attacks/rows-kernel.ts';
import type { LineLengths } from '../../test/e2e/attacks/line-lengths.ts';
import type { DeniedRun } from '../../test/e2e/attacks/denied.ts';
import { boshTemplate } from './bosh.ts';
import {
  costsPage,
  type BaselineResults,
  type EnforceGuestResults,
  type EnforceResults,
  type PeerResults,
  type VerdictsResults,
} from './costs.ts';
import { coveragePage } from './coverage.ts';
import type { CallTables } from './coverage.ts';
import { readDefaultRules } from './default-rules.ts';
import { chartReadme } from './helm.ts';
import { manPage } from './man.ts';
import { ruleReference } from './rule-reference.ts';
import { runbookPage } from './runbook.ts';
import { withWays } from './ways.ts';

process.chdir(join(import.meta.dirname, '..', '..'));
const schema = ['table', 'compat'].map((name): string => `../../native/schema/${name}.mjs`);
const modules: object[] = await Promise.all(
  schema.map(async (path) => (await import(path)) as object),
);
const calls = Object.assign({}, ...modules) as CallTables;
const attacks = { rows: ATTACK_ROWS, impossible: IMPOSSIBLE_ROWS };
const BOSH_TEMPLATE = 'manifests/bosh/jobs/varvel/templates/varvel.yml.erb';
const RESPONSES = 'manifests/docs/responses.md';
const page = (name: string): string => readFileSync(`manifests/docs/${name}.page.md`, 'utf8');

/** What `npm run bench NAME` found. */
const results = (name: string): unknown =>
  JSON.parse(readFileSync(`test/bench/results/${name}.json`, 'utf8'));

/** The pages, by file. */
function pages(): Readonly<Record<string, string>> {
  const rules = readDefaultRules();
  return {
    'manifests/rules/REFERENCE.md': ruleReference(page('reference'), rules),
    'manifests/rules/RUNBOOK.md': runbookPage(page('runbook'), rules),
    'manifests/helm/varvel/README.md': chartReadme(
      page('helm'),
      readFileSync('manifests/helm/varvel/values.yaml', 'utf8'),
    ),
    [RESPONSES]: withWays(readFileSync(RESPONSES, 'utf8')),
    'manifests/man/varvel.1': manPage(),
    [BOSH_TEMPLATE]: boshTemplate(readFileSync(BOSH_TEMPLATE, 'utf8')),
    'manifests/COVERAGE.md': coveragePage(
      page('coverage'),
      rules,
      calls,
      attacks,
      results('denied') as DeniedRun,
      results('denied-trampolines') as DeniedRun,
      results('lines') as LineLengths,
    ),
    'manifests/COSTS.md': costsPage(
      page('costs'),
      results('baseline') as BaselineResults,
      results('verdicts') as VerdictsResults,
      results('enforce') as EnforceResults,
      results('enforce-guest') as EnforceGuestResults,
      results('peer') as PeerResults,
    ),
  };
}

function update(file: string, text: string): void {
  let now: string | undefined;
  try {
    now = readFileSync(file, 'utf8');
  } catch {
    // missing: it is out of date
  }
  if (now === text) return;
  if (!process.argv.includes('--check')) writeFileSync(file, text);
  else {
    console.error(`${file} is not what its sources say: run npm run generate`);
    process.exitCode = 1;
  }
}

try {
  for (const [file, text] of Object.entries(pages())) update(file, text);
} catch (error) {
  console.error(`The pages cannot be made: ${(error as Error).message}.`);
  process.exitCode = 1;
}
