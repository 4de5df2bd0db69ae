// Falco's published lists of fields and events.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FALCO_EVENT_NAMES, falcoParams } from '../../../src/rules/fields/falco-events.ts';
import { findField } from '../../../src/rules/fields/registry.ts';
import { falcoEventsPage, falcoFieldsPage } from '../../support/falco.ts';

test('C1: every field of Falco is known, with its type', () => {
  const lines = falcoFieldsPage().split('\n');
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

test('E8: every event of Falco is known, with its params in order', () => {
  const text = falcoEventsPage();
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
