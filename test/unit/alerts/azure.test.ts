import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import type { z } from 'zod';

import { HOSTILE, printed, VARIANTS } from './printed.ts';
import { AZURE_TEMPLATE } from './shapes.ts';
import type { AZURE_RULE } from './shapes.ts';

/** What is used of Microsoft's own parser and analyser of KQL, which makes itself a global. */
interface Kusto {
  readonly Language: {
    readonly Symbols: {
      readonly TableSymbol: { From(schema: string): { WithName(name: string): object } };
      readonly DatabaseSymbol: { readonly $ctor1: new (name: string, tables: object[]) => object };
    };
    readonly GlobalState: { readonly Default: { WithDatabase(database: object): object } };
    readonly KustoCode: { ParseAndAnalyze(query: string, globals: object): Analysis };
  };
}
interface Analysis {
  GetDiagnostics(): List<{ readonly Message: string }>;
  readonly ResultType: {
    readonly Columns: List<{ readonly Name: string; readonly Type: { readonly Name: string } }>;
  };
}
interface List<Item> {
  readonly Count: number;
  getItem(at: number): Item;
}

const require = createRequire(import.meta.url);
require('@kusto/language-service-next/bridge.min.js');
require('@kusto/language-service-next/Kusto.Language.Bridge.min.js');
const { Symbols, GlobalState, KustoCode } = (globalThis as unknown as { Kusto: Kusto }).Kusto
  .Language;

/** The table as Microsoft's nozzle for Cloud Foundry makes it, as far as it is looked at. */
const TABLE = Symbols.TableSymbol.From(
  '(TimeGenerated: datetime, SourceType_s: string, Message_s: string)',
).WithName('CF_LogMessage_CL');
const GLOBALS = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor1('x', [TABLE]));

function all<Item>(list: List<Item>): Item[] {
  return Array.from({ length: list.Count }, (_, at) => list.getItem(at));
}

/** Names and types of the query's result. Fails with what the analyser has against it. */
function analyse(query: string): string[] {
  const code = KustoCode.ParseAndAnalyze(query, GLOBALS);
  const messages = all(code.GetDiagnostics()).map(({ Message }) => Message);
  assert.deepEqual(messages, [], query);
  return all(code.ResultType.Columns).map(({ Name, Type }) => `${Name}: ${Type.Name}`);
}

type Rule = z.infer<typeof AZURE_RULE>;

async function template(...options: readonly string[]): Promise<z.infer<typeof AZURE_TEMPLATE>> {
  const { out, err } = await printed('azure', ...options);
  assert.match(err, /^Where: az deployment group create/);
  return AZURE_TEMPLATE.parse(JSON.parse(out));
}

async function rulesFor(...options: readonly string[]): Promise<Rule[]> {
  const { resources } = await template(...options);
  return resources.filter((it): it is Rule => it.type.endsWith('scheduledQueryRules'));
}

const queryOf = (rule: Rule | undefined): string => rule!.properties.criteria.allOf[0].query;

test('the analyser of the tests knows what is wrong', () => {
  assert.throws(() => analyse('CF_LogMessage_CL | where Nope == 1'), /Nope/);
  assert.throws(() => analyse('CF_LogMessage_CL | where SourceType_s == "a'));
});

for (const options of [...VARIANTS, ...HOSTILE]) {
  test(`every query is KQL over the table, and has what it is grouped by: ${JSON.stringify(options)}`, async () => {
    const rules = await rulesFor(...options);
    assert.equal(rules.length, 4);
    for (const rule of rules) {
      const columns = analyse(queryOf(rule));
      for (const { name } of rule.properties.criteria.allOf[0].dimensions)
        assert.ok(columns.includes(`${name}: string`), columns.join());
      assert.match(queryOf(rule), /^CF_LogMessage_CL\n\| where SourceType_s == "/);
    }
  });
}

test('a value stays a string, whatever is in it', async () => {
  const given = ['\\"', '"\\\' | x\n\u2028'] as const;
  const query = queryOf((await rulesFor('--source-type', given[0], '--app', given[1]))[0]);
  const literals = [...query.matchAll(/== ("(?:[^"\\]|\\.)*")/g)].map(
    ([, text]) => JSON.parse(text!.replaceAll("\\'", "'")) as string,
  );
  assert.deepEqual(literals, given);
});

test('the action group is the webhook’s, or a parameter', async () => {
  const made = await template('--webhook', 'https://hooks.example.org/x');
  const [group, ...rules] = made.resources;
  assert.ok(group?.type === 'Microsoft.Insights/actionGroups');
  assert.equal(group.properties.webhookReceivers[0].serviceUri, 'https://hooks.example.org/x');
  assert.equal(rules.length, 4);
  const id = `[resourceId('Microsoft.Insights/actionGroups', '${group.name}')]`;
  for (const rule of await rulesFor('--webhook', 'https://hooks.example.org/x')) {
    assert.deepEqual(rule.dependsOn, [id]);
    assert.deepEqual(rule.properties.actions.actionGroups, [id]);
  }
  const own = await template();
  assert.ok('actionGroupId' in own.parameters);
  assert.equal(own.resources.length, 4);
});

test('only priorities that were asked for, and not what the agent says of itself', async () => {
  const detections = async (...options: string[]): Promise<string> =>
    queryOf((await rulesFor(...options))[0]);
  assert.match(await detections(), /Priority in \("Emergency", .*"Warning"\) and not\(Rule in \(/);
  assert.match(await detections(), /not\(Rule in \(.*"Varvel: policy".*\)\)/);
  assert.doesNotMatch(await detections(), /Notice/);
  assert.match(
    await detections('-p', 'informational'),
    /not\(Rule in \("Varvel: coverage", .*, "Varvel canary"\)\)/,
  );
  const silence = queryOf((await rulesFor())[3]);
  assert.match(silence, /Rule == "Varvel: coverage"/);
  assert.match(silence, /Last < ago\(15m\) and When != "stop"/);
});
