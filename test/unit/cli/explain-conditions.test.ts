import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { RuleEngine } from '../../../src/rules/engine.ts';
import { loadRules } from '../../../src/rules/loader/load.ts';
import { runCommand } from '../../support/run-command.ts';
import { makeProcess, makeSubject, openForRead } from '../../support/rules-subject.ts';
import { explained, folder } from './explain-fixture.ts';

describe('conditions as varvel explain says them', () => {
  test('the filled-in condition means the same', async () => {
    const condition = 'm1 and (m2 or not m1) and not (not m2)';
    const macros =
      '- macro: m2\n  condition: (proc.name = cat or evt.num = 0)\n' +
      '- macro: m1\n  condition: evt.type = openat and not (m2 and proc.pid = 1)\n';
    const { condition: filled } = await explained(condition, macros);
    assert.equal(
      filled,
      'evt.type = openat and not ((proc.name = cat or evt.num = 0) and proc.pid = 1) and ' +
        '(proc.name = cat or evt.num = 0 or not (evt.type = openat and not ((proc.name = cat or ' +
        'evt.num = 0) and proc.pid = 1))) and (proc.name = cat or evt.num = 0)',
    );
    const rule = (name: string, text: string) =>
      `- rule: ${name}\n  desc: d\n  output: o\n  priority: error\n  condition: ${text}\n`;
    const source = `${macros}${rule('a', condition)}${rule('b', filled)}`;
    const { ruleSet, errors } = loadRules([{ name: 'f', text: source }]);
    assert.ok(ruleSet, errors[0]?.message);
    const engine = new RuleEngine(ruleSet);
    for (const name of ['cat', 'dog']) {
      for (const pid of [1, 2]) {
        const process = makeProcess({ pid, image: { name } });
        const met = engine.evaluate(makeSubject(openForRead('/x'), { process }));
        const expected = name === 'cat' && pid === 2 ? ['a', 'b'] : [];
        assert.deepEqual(
          met.map((match) => match.rule.name),
          expected,
        );
      }
    }
  });

  test('macros that double each time are left as they are', async () => {
    const doubling = Array.from({ length: 40 }, (_, at) =>
      at === 0
        ? '- macro: m0\n  condition: evt.type = openat\n'
        : `- macro: m${at}\n  condition: m${at - 1} and m${at - 1}\n`,
    ).join('');
    const { condition, macros_filled_in: filledIn, cost } = await explained('m39', doubling);
    assert.deepEqual([condition, filledIn, cost.comparisons], ['m39', false, 1]);
    const { out } = await runCommand('explain', 'r', join(folder, 'one.yaml'));
    assert.match(out, /Condition \(too long to fill its macros in\):\n {2}m39\n/);
  });

  test('opens are said as the kernel is told', async () => {
    const opens = async (condition: string) => (await explained(condition)).cost.opens;
    assert.deepEqual(await opens('evt.type = openat'), { read: true, write: true, failed: true });
    const written = 'evt.type = openat and evt.is_open_write = true and evt.is_open_read = false';
    assert.deepEqual(await opens(`${written} and fd.num >= 0`), {
      read: false,
      write: true,
      failed: false,
    });
    const { out } = await runCommand('explain', 'r', join(folder, 'one.yaml'));
    assert.match(out, /hands over only those for writing that\s+succeed\n/);
    assert.equal(await opens('evt.type = connect'), null);
  });

  test('a condition that says nothing of the type', async () => {
    const { any_event: any, events } = await explained('proc.name = x');
    assert.equal(any, true);
    assert.ok(events.length > 100);
    const { out } = await runCommand('explain', 'r', join(folder, 'one.yaml'));
    assert.match(out, /any: the condition holds for \d+ types of events/);
    const never = await explained('evt.num = 0');
    assert.deepEqual(never.events, []);
  });

  test('fields: arguments, both sides, within transformers, and params that the events lack', async () => {
    const { condition_fields: fields } = await explained(
      'evt.type = openat and tolower(proc.pname) = val(proc.name) and proc.aname[2] = x and ' +
        'evt.reltime > 1 and evt.arg.flags = x and evt.arg.request = x',
    );
    assert.deepEqual(
      fields.map(({ key, status }) => `${key} ${status}`),
      [
        'evt.arg.flags available',
        'evt.arg.request not yet',
        'evt.reltime not yet',
        'evt.type available',
        'proc.aname[2] available',
        'proc.name available',
        'proc.pname available',
      ],
    );
  });
});
