// Falco's published lists of fields and events, where they are at hand (they are not part of this repository).
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FALCO_EVENT_NAMES, falcoParams } from '../../../src/rules/fields/falco-events.ts';
import { findField } from '../../../src/rules/fields/registry.ts';

const folder =
  process.env['VARVEL_FALCO_REFERENCE'] ??
  new URL('../../../../shared/reference', import.meta.url).pathname;
const fieldsPage = `${folder}/falco-fields.md`;
const eventsPage = `${folder}/falco-events.txt`;

const skipUnless = (path: string): { skip?: string } =>
  existsSync(path)
    ? {}
    : { skip: 'set VARVEL_FALCO_REFERENCE to a folder with falco-fields.md and falco-events.txt' };

test('C1: every field of Falco is known, with its type', skipUnless(fieldsPage), () => {
  const lines = readFileSync(fieldsPage, 'utf8').split('\n');
  // The page also has the classes of other event sources.
  let syscall = false;
  const rows: [name: string, type: string][] = [];
  for (const line of lines) {
    if (line.startsWith('Event Sources:')) syscall = line.includes('syscall');
    const [, name, type] = /^`([\w.]+)` \| ([A-Z0-9()]+) \|/.exec(line) ?? [];
    if (syscall && name !== undefined && type !== undefined) rows.push([name, type]);
  }
  assert.ok(rows.length > 250, `only ${rows.length} fields on the page`);
  assert.deepEqual(
    rows.map(([name]) => [name, findField(name)?.field.type]),
    rows,
  );
});

test('E8: every event of Falco is known, with its params in order', skipUnless(eventsPage), () => {
  const text = readFileSync(eventsPage, 'utf8');
  const wanted = new Map<string, string[]>();
  for (const [, direction, name = '', list = ''] of text.matchAll(/^([<>]) (\w+)\((.*)\)$/gm)) {
    if (direction === '>' && wanted.has(name)) continue;
    const params = [...list.matchAll(/(?:^|, )([A-Z0-9_]+) \*\*(\w+)\*\*/g)];
    wanted.set(
      name,
      params.map(([, type = '', param = '']) => `${param}:${type}`),
    );
  }
  assert.ok(wanted.size > 400, `only ${wanted.size} events on the page`);
  assert.deepEqual([...wanted.keys()].sort(), [...FALCO_EVENT_NAMES].sort());
  for (const [name, params] of wanted) {
    assert.deepEqual(
      falcoParams(name).map((param) => `${param.name}:${param.type}`),
      params,
      name,
    );
  }
});
