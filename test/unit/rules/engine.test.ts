import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RuleEngine } from '../../../src/rules/engine.ts';
import { generate } from '../../../src/rules/compile/generate.ts';
import { ruleSetOf } from '../../support/rules-load.ts';
import {
  makeEvent,
  makeFile,
  makeProcess,
  makeSubject,
  openForRead,
} from '../../support/rules-subject.ts';

const rule = (name: string, condition: string, output = 'file=%fd.name'): string =>
  `- rule: ${name}\n  desc: d\n  output: ${output}\n  priority: error\n  warn_evttypes: false\n  condition: ${condition}\n  tags: [t]\n`;

const READ_SHADOW = 'evt.type = openat and fd.name = /etc/shadow';
const engine = (text: string, matching: 'first' | 'all' = 'all') =>
  new RuleEngine(ruleSetOf(text), { matching });
const names = (matches: ReturnType<RuleEngine['evaluate']>) =>
  matches.map(({ rule: { name } }) => name);

describe('engine', () => {
  test('R14 all rules that match, or the first in order of definition', () => {
    const text =
      rule('a', 'evt.type = open') + rule('b', READ_SHADOW) + rule('c', 'evt.type = openat');
    const subject = makeSubject(openForRead('/etc/shadow'));
    assert.deepEqual(names(engine(text).evaluate(subject)), ['b', 'c']);
    assert.deepEqual(names(engine(text, 'first').evaluate(subject)), ['b']);
    assert.deepEqual(names(engine(text, 'first').evaluate(makeSubject(openForRead('/x')))), ['c']);
    assert.deepEqual(names(engine(text).evaluate(makeSubject(makeEvent('execve')))), []);
  });

  test("nothing of the runtime's own set-up is a match", () => {
    const rules = engine(rule('b', READ_SHADOW));
    const subject = makeSubject(openForRead('/etc/shadow'), {
      process: makeProcess({ setup: true }),
    });
    assert.deepEqual(rules.evaluate(subject), []);
    assert.equal(rules.counters().skippedSetup, 1);
    assert.equal(rules.counters().evaluated, 0);
  });

  test('counts what it did', () => {
    const rules = engine(rule('a', READ_SHADOW) + rule('b', 'evt.type = openat'));
    rules.evaluate(makeSubject(openForRead('/etc/shadow')));
    rules.evaluate(makeSubject(openForRead('/x')));
    rules.evaluate(makeSubject(makeEvent('connect')));
    const { evaluated, detections } = rules.counters();
    assert.equal(evaluated, 2);
    assert.deepEqual(
      [...detections],
      [
        ['a', 1],
        ['b', 2],
      ],
    );
  });

  test('values are of this event, not of the one before', () => {
    const text =
      '- macro: m\n  condition: (fd.name contains shadow)\n' +
      rule('a', 'evt.type = openat and m') +
      rule('b', 'evt.type = openat and not m') +
      rule('c', 'evt.type = openat and fd.name contains shadow and m');
    const rules = engine(text);
    for (let i = 0; i < 3; i++) {
      assert.deepEqual(names(rules.evaluate(makeSubject(openForRead('/etc/shadow')))), ['a', 'c']);
      assert.deepEqual(names(rules.evaluate(makeSubject(openForRead('/etc/hosts')))), ['b']);
    }
  });

  test('a replaced descriptor hides neither the file that was opened nor the one that was asked for', () => {
    const rules = engine(
      rule('shadow', READ_SHADOW) +
        rule('tmp', 'evt.type = openat and fd.name startswith /tmp/') +
        rule('any', 'evt.type = openat', 'x'),
    );
    const swapped = (rawPath: string, path: string, more = {}) =>
      makeSubject(openForRead(path, { rawPath, file: makeFile(path, more) }));
    const asked = swapped('/etc//shadow', '/tmp/x', { detached: true, memfd: true });
    const matches = rules.evaluate(asked);
    assert.deepEqual(names(matches), ['shadow', 'tmp', 'any']);
    assert.deepEqual(
      matches.map(({ claimedPath }) => claimedPath),
      [true, false, false],
    );
    assert.deepEqual(
      matches.map((match) => rules.toDetection(match, asked).output),
      ['file=/etc/shadow', 'file=/tmp/x', 'x'],
    );
    assert.deepEqual(names(rules.evaluate(swapped('/tmp/x', '/etc/shadow'))), [
      'shadow',
      'tmp',
      'any',
    ]);
    assert.deepEqual(names(rules.evaluate(swapped('shadow', '/tmp/x'))), ['tmp', 'any']);
    const first = engine(rule('shadow', READ_SHADOW) + rule('any', 'evt.type = openat'), 'first');
    assert.deepEqual(names(first.evaluate(asked)), ['shadow']);
    const negated = engine(rule('not', 'evt.type = openat and not fd.name startswith /app/'));
    assert.deepEqual(names(negated.evaluate(swapped('/app/x', '/etc/shadow'))), ['not']);
  });

  test('a match becomes a detection', () => {
    const rules = engine(rule('b', READ_SHADOW, '"%proc.name read %fd.name in %container.name"'));
    const pending = makeSubject(openForRead('/etc/shadow'), { container: undefined });
    const [match] = rules.evaluate(pending);
    assert.ok(match);
    const detection = rules.toDetection(match, makeSubject(pending.event));
    assert.deepEqual(
      { ...detection, container: detection.container?.name },
      {
        rule: 'b',
        priority: 'Error',
        source: 'syscall',
        tags: ['t'],
        timeNs: pending.event.timeNs,
        bootNs: pending.event.bootNs,
        output: 'node read /etc/shadow in shop-web-1',
        outputFields: {
          'proc.name': 'node',
          'fd.name': '/etc/shadow',
          'container.name': 'shop-web-1',
        },
        eventNum: 7,
        cgroupId: 12345,
        container: 'shop-web-1',
        lineage: {
          processes: [
            { pid: 17, start: 40_000, name: 'node' },
            { pid: 1, start: 40_000, name: 'node' },
          ],
          above: 'outside',
          origin: 'start',
        },
      },
    );
    assert.equal(rules.toDetection(match, pending).outputFields['container.name'], '<pending>');
  });

  test('no match, no garbage: the same empty list every time', () => {
    const rules = engine(rule('b', READ_SHADOW));
    const subject = makeSubject(openForRead('/x'));
    assert.equal(rules.evaluate(subject), rules.evaluate(subject));
  });

  test('a macro, a costly test and a field are computed once an event', () => {
    const text =
      '- macro: m\n  condition: (fd.name contains a and fd.name contains b)\n' +
      ['a', 'b', 'c']
        .map((name) => rule(name, 'evt.type = openat and m and fd.name contains b'))
        .join('');
    const { rules } = ruleSetOf(text);
    const readsOf = (some: typeof rules): number => {
      const evaluator = generate(some);
      let reads = 0;
      const event = openForRead('/ab');
      const open = event.open!;
      Object.defineProperty(event, 'open', { get: () => ((reads += 1), open) });
      evaluator.begin({ ...makeSubject(event), claimedPath: false });
      assert.equal(evaluator.all.get('openat')?.(new Int32Array(3)), some.length);
      return reads;
    };
    assert.ok(readsOf(rules.slice(0, 1)) > 0);
    assert.equal(readsOf(rules), readsOf(ruleSetOf(rule('a', 'fd.name contains b')).rules));
  });

  test('no rules, no work', () => {
    assert.deepEqual(engine('').evaluate(makeSubject(makeEvent('execve'))), []);
  });
});
