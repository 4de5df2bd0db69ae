import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { FALCO_RULE_FILES } from '../../support/falco.ts';
import { runCommand } from '../../support/run-command.ts';
import { compareFields, type Compared } from './compare.ts';
import { TABLE, tableText } from './table.ts';

describe('fields in real containers, beside what other sources say', () => {
  let compared: readonly Compared[];
  before(async () => {
    compared = await compareFields();
  });

  test('each is the same', (t) => {
    assert.ok(compared.length > 400, `only ${compared.length} comparisons`);
    assert.deepEqual(
      compared.flatMap(({ problem }) => problem ?? []),
      [],
    );
    t.diagnostic(`${compared.length} comparisons`);
  });

  test('varvel fields --status says so', () => {
    assert.equal(
      readFileSync(TABLE, 'utf8'),
      tableText(compared),
      'npm run compare:fields writes it anew',
    );
  });

  test('every field that Falco’s rules use is among them', async (t) => {
    const { code, out, err } = await runCommand('explain', '--all', '--json', ...FALCO_RULE_FILES);
    assert.equal(code, 0, err);
    const rules = JSON.parse(out) as {
      condition_fields: { key: string }[];
      output_fields: { key: string }[];
    }[];
    const keys = rules.flatMap(({ condition_fields: one, output_fields: other }) => [
      ...one,
      ...other,
    ]);
    const names = new Set(keys.map(({ key }) => key.replace(/\[.*$/, '')));
    assert.ok(names.size > 70, `only ${names.size} fields`);
    const done = new Set(compared.map(({ field }) => field));
    assert.deepEqual(
      [...names].filter((name) => !done.has(name)),
      [],
    );
    t.diagnostic(`${names.size} fields`);
  });
});
