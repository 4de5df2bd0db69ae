import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { EngineTotals, FORMER_RULES_MAX } from '../../../src/evaluation/engine-totals.ts';
import { RuleEngine } from '../../../src/rules/engine.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';
import { makeEvent, makeOpen, makeProcess } from '../../support/rules-subject.ts';
import { evaluationWorld, webContainer } from './evaluation-fixture.ts';

const ID = 'b'.repeat(64);
const CGROUP = 12_345;

const engineOf = (output: string): RuleEngine =>
  new RuleEngine(ruleSetOf(ruleFile('evt.type = openat', output)));

/** A container whose identity is pending until `decide`. */
function world() {
  const { registry, time, delivered, evaluation } = evaluationWorld(engineOf('set=1 %fd.name'));
  registry.found(CGROUP, `/docker/${ID}`);
  const decide = (): void => {
    const container = webContainer(ID);
    registry.decide('docker', ID, { state: 'included', container, reason: '' });
  };
  const open = (path: string): void =>
    evaluation.onEvent(
      makeEvent('openat', { result: 3, open: makeOpen(path), cgroupId: CGROUP }),
      makeProcess(),
    );
  const outputs = (): string[] => delivered.map(({ output }) => output);
  return { time, evaluation, decide, open, outputs };
}

test('what is held over a reload is evaluated once, by the rules then in force', () => {
  const { evaluation, decide, open, outputs } = world();
  open('/a');
  evaluation.swapEngine(engineOf('set=2 %fd.name'));
  open('/b');
  evaluation.swapEngine(engineOf('set=3 %fd.name'));
  assert.deepEqual(outputs(), []);
  decide();
  open('/c');
  assert.deepEqual(outputs(), ['set=3 /a', 'set=3 /b', 'set=3 /c']);
  assert.equal(evaluation.engineCounters().evaluated, 3);
});

test('a match that waits for its container keeps the rule it matched', () => {
  const { time, evaluation, decide, open, outputs } = world();
  open('/a');
  time.nowMs = 6000;
  open('/b');
  assert.equal(evaluation.counters().detections.held, 2);
  evaluation.swapEngine(engineOf('set=2 %fd.name'));
  open('/c');
  decide();
  assert.deepEqual(outputs(), ['set=1 /a', 'set=1 /b', 'set=2 /c']);
});

test('a rule set that is no longer in force is forgotten, though one of its matches still waits', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { time, evaluation, open } = world();
  const former = new WeakRef(evaluation.engine);
  time.nowMs = 6000;
  open('/a');
  assert.equal(evaluation.counters().detections.held, 1);
  evaluation.swapEngine(engineOf('set=2 %fd.name'));
  open('/b');
  for (let turn = 0; turn < 20 && former.deref() !== undefined; turn++) {
    // A WeakRef holds what it was asked for until the end of the turn.
    await setImmediate();
    collect();
  }
  assert.equal(former.deref(), undefined);
});

test('counts do not fall with a reload, and those of rules that are gone are bounded', () => {
  const { evaluation, decide, open } = world();
  decide();
  open('/a');
  open('/b');
  evaluation.swapEngine(engineOf('set=2 %fd.name'));
  open('/c');
  const { evaluated, detections } = evaluation.engineCounters();
  assert.equal(evaluated, 3);
  assert.deepEqual([...detections], [['r', 3]]);

  const totals = new EngineTotals();
  for (let round = 0; round < 3 * FORMER_RULES_MAX; round++) {
    const found = new Map([[`rule ${round}`, 1]]);
    totals.add({ evaluated: 1, skippedSetup: 1, detections: found });
  }
  const sums = totals.with({
    evaluated: 1,
    skippedSetup: 0,
    detections: new Map([
      ['rule 0', 5],
      ['new', 0],
    ]),
  });
  assert.equal(sums.evaluated, 3 * FORMER_RULES_MAX + 1);
  assert.equal(sums.skippedSetup, 3 * FORMER_RULES_MAX);
  assert.equal(sums.detections.get('rule 0'), 6);
  assert.equal(sums.detections.get('new'), 0);
  assert.equal(sums.detections.get('other'), 2 * FORMER_RULES_MAX);
  assert.equal(sums.detections.size, FORMER_RULES_MAX + 2);
});
