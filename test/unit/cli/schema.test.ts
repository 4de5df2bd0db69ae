import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { runCommand } from '../../support/run-command.ts';

interface Printed {
  readonly properties: Readonly<Record<string, { readonly properties?: object }>>;
}
const printed = async (): Promise<Printed> => {
  const { code, out, err } = await runCommand('schema', 'detection');
  assert.deepEqual([code, err], [0, '']);
  return JSON.parse(out) as Printed;
};
const PAGE = readFileSync('manifests/docs/detections.md', 'utf8');

test('the page has each key of a line, in order, and names those of app and lineage', async () => {
  const { properties } = await printed();
  const [, table = ''] = /^### For programs$([^]*?)^```json$/m.exec(PAGE) ?? [];
  const rows = [...table.matchAll(/^\| `(\w+)` +\| (.*) \|$/gm)];
  assert.deepEqual(
    rows.map(([, key]) => key),
    Object.keys(properties),
  );
  for (const [, key = '', what = ''] of rows)
    if (key === 'app' || key === 'lineage')
      for (const name of Object.keys(properties[key]?.properties ?? {}))
        assert.ok(what.includes(`\`${name}\``), `${key}.${name}`);
});

test('the page’s example is such a line; what lacks a key, or has one of another kind, is none', async () => {
  const validate = new Ajv2020({ allowUnionTypes: true }).compile(await printed());
  const [, block = ''] = /^```json$([^]*?)^```$/m.exec(PAGE) ?? [];
  const example = JSON.parse(block) as Record<string, unknown>;
  assert.ok(validate(example), JSON.stringify(validate.errors));
  assert.ok(validate({ ...example, later: 1 }), 'later versions may have more keys');
  for (const [key, wrong] of Object.entries({
    time: '2026-01-31',
    priority: 'High',
    source: 'k8s_audit',
    output_fields: { 'coverage.rules': 'many' },
    tags: 'shell',
    app: { space: 'prod' },
    lineage: { processes: [], above: 'outside' },
    incident: 'K3',
    id: undefined,
    seq: -1,
    truncated: false,
  }))
    assert.ok(!validate({ ...example, [key]: wrong }), key);
});

test('another name, or none, is refused', async () => {
  for (const [argv, says] of [
    [['policy'], /varvel schema detection; it is "policy"\. Of policies: varvel policy --schema\./],
    [[], /Name what the schema is of: varvel schema detection\./],
  ] as const) {
    const { code, out, err } = await runCommand('schema', ...argv);
    assert.deepEqual([code, out], [2, '']);
    assert.match(err, says);
  }
});
