// Which containers there are by Garden's list, and which answers about them are void.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { propertiesOf } from '../../../support/garden-server.ts';
import { bulk, stage } from './garden-fixture.ts';

test('the list tells what exists at start, what changed, and what is gone', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'varvel-garden-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { server, runtime, described, destroyed, warnings, cgroups } = await stage(t);
  server.create('h', propertiesOf({ guid: 'app-1' }));
  server.begin('unfinished');
  cgroups.add('h');
  await runtime.reconcile();
  assert.deepEqual([...described.keys()], ['h']);
  server.set('h', 'log_config', propertiesOf({ guid: 'app-1', index: 9 })['log_config']!);
  await runtime.reconcile();
  assert.equal(described.get('h')?.app?.instance, '9');
  server.set('h', 'log_config', propertiesOf({ guid: 'app-2' })['log_config']!);
  await runtime.reconcile();
  await runtime.reconcile();
  assert.equal(described.get('h')?.app, undefined);
  assert.equal(warnings.filter((text) => /not certain/.test(text)).length, 1);
  server.destroy('h');
  await runtime.reconcile();
  assert.deepEqual(destroyed, ['h']);
});

test('one that is being made, and told already, is not in the list, and not gone', async (t) => {
  const { server, runtime, described, destroyed, lookup, until } = await stage(t);
  server.begin('h');
  for (const [name, value] of Object.entries(propertiesOf({ guid: 'app-1' })))
    server.set('h', name, value);
  lookup('h');
  await until('described', () => described.has('h'));
  server.create('gone', propertiesOf({ guid: 'app-2' }));
  await runtime.reconcile();
  assert.deepEqual(destroyed, []);
  server.destroy('gone');
  await runtime.reconcile();
  assert.deepEqual(destroyed, ['gone']);
  server.destroy('h');
  await runtime.reconcile();
  assert.deepEqual(destroyed, ['gone', 'h']);
});

test('while Garden does not say whether one is gone that is not in its list, it is not', async (t) => {
  const { server, runtime, destroyed } = await stage(t);
  for (const handle of ['one', 'other']) server.create(handle, propertiesOf({ guid: handle }));
  await runtime.reconcile();
  server.destroy('one');
  server.spoilers.add('one');
  await runtime.reconcile();
  assert.deepEqual(destroyed, []);
  server.spoilers.clear();
  await runtime.reconcile();
  assert.deepEqual(destroyed, ['one']);
});

test('one that spoils every answer does not keep another one from being told as gone', async (t) => {
  const { server, runtime, destroyed, until } = await stage(t);
  for (const handle of ['one', 'other']) server.create(handle, propertiesOf({ guid: handle }));
  await runtime.reconcile();
  for (const handle of ['one', 'other']) server.destroy(handle);
  server.spoilers.add('other');
  await runtime.reconcile();
  await until('it is told', () => destroyed.length > 0);
  assert.deepEqual(destroyed, ['one']);
});

test('an answer about the container that had the handle before is void', async (t) => {
  const { server, runtime, described, lookup, until } = await stage(t);
  server.create('h', propertiesOf({ guid: 'app-1' }));
  server.delayMs = 300;
  lookup('h');
  const listing = runtime.reconcile();
  await until('it was asked for', () => bulk(server).length >= 1);
  server.destroy('h');
  server.create('h', propertiesOf({ guid: 'app-2' }));
  runtime.renew('h');
  lookup('h');
  await until('described', () => described.has('h'));
  assert.equal(described.get('h')?.app?.guid, 'app-2');
  await listing;
  assert.equal(described.get('h')?.app?.guid, 'app-2');
});

test('an answer that is older than another one, and comes after it, is void', async (t) => {
  const { server, runtime, described, lookup, until } = await stage(t);
  const tagged = (state: string): Record<string, string> =>
    propertiesOf({ guid: 'app', tags: { varvel: state } });
  const stateNow = (): string | undefined =>
    described.get('h')?.labels['metric.tag.cloudfoundry.org/varvel'] ??
    described.get('h')?.labels['varvel'];
  server.create('h', tagged('off'));
  server.begin('in-the-making');
  server.delayMs = 500;
  lookup('h');
  lookup('in-the-making');
  await until('both are asked for', () => bulk(server).length === 1);
  server.delayMs = 0;
  server.create('h', tagged('on'));
  await runtime.reconcile();
  assert.equal(stateNow(), 'on');
  // It is in the same question, and asked for again after its answer.
  await until('the first answer has come', () => bulk(server).length >= 3);
  server.create('in-the-making', tagged('on'));
  await until('all is told', () => described.has('in-the-making'));
  assert.equal(stateNow(), 'on');
});
