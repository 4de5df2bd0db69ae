import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Process } from '../../../src/context/process.ts';
import { compilePolicy } from '../../../src/policy/app-policy.ts';
import { operatorRulesOf } from '../../../src/policy/check-policy.ts';
import { CpuClock } from '../../../src/evaluation/cpu-clock.ts';
import { OwnRules } from '../../../src/policy/own-rules.ts';
import { readPolicy } from '../../../src/policy/policy-document.ts';
import type { AppPolicy } from '../../../src/policy/policy-in-force.ts';
import { DEFAULT_BUDGET } from '../../../src/policy/rule-budget.ts';
import type { Detection } from '../../../src/rules/detection.ts';
import { RuleEngine } from '../../../src/rules/engine.ts';
import type { Subject } from '../../../src/rules/subject.ts';
import { makeEvent, makeImage, makeProcess, makeSubject } from '../../support/rules-subject.ts';
import { containerOf, detectionOf } from '../streams/delivery-fixture.ts';

const operator = {
  ...operatorRulesOf([
    {
      name: 'operator.yaml',
      text: `
- rule: Shell started
  desc: d
  condition: evt.type = execve and proc.name = sh
  exceptions:
    - {name: apps, fields: proc.cwd, comps: in, values: [/nowhere/]}
    - {name: paths, fields: proc.exepath, comps: in}
  output: shell
  priority: NOTICE
- rule: Any shell
  desc: d
  condition: evt.type = execve and proc.name in (sh, bash)
  exceptions: [{name: paths, fields: proc.exepath, comps: in}]
  output: shell
  priority: NOTICE
- rule: Muted
  desc: d
  condition: evt.type = execve
  output: muted
  priority: NOTICE
`,
    },
  ]),
  responses: ['kill'] as const,
};
const engine = new RuleEngine(operator.ruleSet);

function compile(text: string): AppPolicy {
  const { document } = readPolicy({ name: 'varvel.yml', text });
  assert.ok(document);
  const { policy, errors } = compilePolicy(document, operator, 'verified');
  assert.ok(policy, errors[0]?.message);
  return policy;
}

const own = (name: string, test: string): string =>
  `  - {rule: ${name}, desc: d, condition: 'evt.type = execve and ${test}', output: 'own %proc.cmdline', priority: ERROR}\n`;
const POLICY = `
rules: [{disable: {rule: Muted}}]
responses: [{kill: {rule: Shell started}}]
custom_rules:
  - rule: Shell started
    exceptions: [{name: apps, values: [/app/]}]
    override: {exceptions: append}
${own('Slow', 'proc.exepath startswith /slow')}${own('Other', 'proc.name = sh')}`;

/** A process that is made to cost time, or to fail, when a rule reads a value of it. */
function processWith(cwd: string, onExePath: () => string): Process {
  const image = makeImage({ name: 'sh', cwd });
  Object.defineProperty(image, 'exePath', { get: onExePath });
  return { ...makeProcess(), image };
}
const execOf = (process: Process): Subject => makeSubject(makeEvent('execve'), { process });

function world(text = POLICY) {
  const time = { now: 1000 };
  const clock = (): CpuClock => new CpuClock({ nowMs: () => time.now, cpuMs: () => time.now });
  const container = containerOf();
  const rules = new OwnRules(container, compile(text), DEFAULT_BUDGET, {
    clock: clock(),
    floodClock: clock(),
  });
  const names = (subject: Subject, of = rules): string[] =>
    of.refine(engine.evaluate(subject), subject).map(({ rule: { name } }) => name);
  const news = () => {
    rules.follow(container);
    return rules.takeNews().map(({ state, rule, text: said }) => ({ state, rule, text: said }));
  };
  const taking = (ms: number, cwd = '/app'): Subject =>
    execOf(processWith(cwd, () => ((time.now += ms), '/bin/sh')));
  return { time, rules, names, news, taking, container, clock };
}

describe('what an app’s own rules may cost', () => {
  test('over the budget they are paused: exceptions have no effect, what is switched off stays off', () => {
    const { rules, names, news, taking, time } = world();
    assert.deepEqual(names(taking(1)), ['Any shell', 'Other'], 'its exception holds');
    assert.equal(rules.hasSkipped, false);
    let events = 1;
    while (!rules.isPaused) {
      // Slower than a burst.
      time.now += 22;
      names(taking(4));
      events++;
    }
    assert.equal(events, 1 + 58, 'after 200 ms of 4 each, of which 0.5 have come back each time');
    assert.deepEqual(names(taking(4)), ['Shell started', 'Any shell']);
    assert.equal(rules.hasSkipped, true);
    const [told, ...more] = news();
    assert.deepEqual(more, []);
    assert.deepEqual([told?.state, told?.rule], ['paused', 'Slow']);
    assert.match(
      told?.text ?? '',
      /^The own rules of this app are paused for 10 s: they took 20\d ms of CPU time, more than 2 % of a core over 10 s\. The rule "Slow" cost most: 2\d\d ms in 59 runs\. The operator’s rules go on/,
    );
    time.now += 9999;
    assert.deepEqual(news(), []);
    assert.equal(rules.isPaused, true);
    time.now += 1;
    assert.deepEqual(
      news().map(({ state }) => state),
      ['resumed'],
    );
    assert.deepEqual(names(taking(1)), ['Any shell', 'Other']);
    const { pauses, events: run, cutEvents } = rules.counters;
    assert.deepEqual([pauses, run, cutEvents], [1, events + 1, 0]);
  });

  test('what is written later is no part of the last event, and is charged', () => {
    const { rules, names, taking, time } = world();
    names(taking(1));
    const rule = compile(POLICY).ruleSet.rules.find(({ name }) => name === 'Other')!;
    const { cpuMs } = rules.counters;
    const write = (): Detection => ((time.now += 3), detectionOf());
    // Ten of 3 ms, slower than a burst, are more than one event may take.
    for (let n = 0; n < 10; n++) {
      time.now += 100;
      assert.ok(!('unwritten' in rules.writtenLater(rule, write)));
    }
    assert.deepEqual([rules.isPaused, rules.counters.cpuMs - cpuMs], [false, 30]);
    while (!rules.isPaused) rules.writtenLater(rule, write);
    assert.ok(!('unwritten' in rules.writtenLater(rule, write)), 'it was found before the pause');
  });

  test('work that holds up others is charged in full, and once: more than a burst of it pauses the rules', () => {
    const { rules, names, news, taking, time } = world();
    rules.inFull(() => {
      names(taking(3));
      time.now += 15;
    });
    assert.equal(rules.counters.cpuMs, 18);
    assert.equal(rules.isPaused, false);
    rules.inFull(() => (time.now += 30));
    assert.deepEqual([rules.counters.cpuMs, rules.isPaused], [48, true]);
    assert.match(
      news()[0]?.text ?? '',
      /they took 4\d ms of CPU time at once, more than the 40 ms allowed in 250 ms/,
    );
    rules.inFull(() => (time.now += 30));
    assert.equal(rules.counters.cpuMs, 48, 'not while they are paused');
  });

  test('an app without rules of its own pays for no flood', () => {
    const { rules, time } = world('rules: [{disable: {rule: Muted}}]\n');
    for (let minute = 0; minute < 100; minute++) {
      rules.inFull(() => (time.now += 30));
      time.now += 60_000;
    }
    assert.deepEqual([rules.isPaused, rules.counters.cpuMs], [false, 0]);
  });

  test('a flood is charged at its own time, long after the last event', () => {
    const { rules, names, taking, time } = world();
    names(taking(1));
    for (let minute = 0; minute < 100; minute++) {
      rules.inFull(() => (time.now += 30));
      time.now += 60_000;
    }
    assert.equal(rules.isPaused, false);
  });

  test('while exceptions are not asked, nothing that they let pass is killed', () => {
    const { rules, names, taking } = world();
    assert.equal(rules.responseTo('Shell started'), undefined, 'no event yet');
    names(taking(1, '/tmp'));
    assert.equal(rules.responseTo('Shell started'), 'kill');
    names(taking(21));
    assert.equal(rules.isPaused, true);
    assert.deepEqual(names(taking(1)), ['Shell started', 'Any shell']);
    assert.equal(rules.responseTo('Shell started'), undefined);
  });

  test('after 20 ms no further own rule of the event is run, and no output is written', () => {
    const { rules, names, taking, news } = world(
      `custom_rules:\n${own('First', 'proc.name = sh')}${own('Slow', 'proc.exepath exists')}${own('Last', 'proc.name = sh')}`,
    );
    assert.deepEqual(names(taking(1)), [
      'Shell started',
      'Any shell',
      'Muted',
      'First',
      'Slow',
      'Last',
    ]);
    const subject = taking(25);
    const matches = rules.refine(engine.evaluate(subject), subject);
    assert.deepEqual(
      matches.map(({ rule: { name } }) => name),
      ['Shell started', 'Any shell', 'Muted', 'First', 'Slow'],
    );
    const first = matches.find(({ rule }) => rule.name === 'First') ?? assert.fail();
    assert.equal(rules.isOwn(first.rule), true);
    const written = rules.written(first.rule, () => assert.fail('it is not to be written'));
    assert.match(
      'unwritten' in written ? written.unwritten : '',
      /used up the 20 ms of this event/,
    );
    assert.equal(rules.counters.cutEvents, 1);
    assert.match(
      news()[0]?.text ?? '',
      /they took 25 ms of CPU time for one event, more than 20 ms/,
    );
  });

  test('a changed rule that there was no time to ask counts as the operator’s', () => {
    const { names, rules, taking } = world(`
custom_rules:
  - rule: Shell started
    exceptions: [{name: paths, values: [/bin/sh]}]
    override: {exceptions: append}
  - rule: Any shell
    exceptions: [{name: paths, values: [/bin/sh]}]
    override: {exceptions: append}
`);
    assert.deepEqual(names(taking(1)), ['Muted'], 'both let it pass');
    assert.deepEqual(names(taking(25)), ['Any shell', 'Muted']);
    assert.equal(rules.hasSkipped, true);
    assert.deepEqual([rules.counters.cutEvents, rules.isPaused], [1, true]);
  });

  test('containers of one app share a budget: the log of each tells the pause, and its end', () => {
    const { time, rules, names, taking, clock } = world();
    const { budget } = rules;
    budget.containers = 2;
    const container = containerOf();
    const other = new OwnRules(container, compile(POLICY), DEFAULT_BUDGET, {
      budget,
      clock: clock(),
    });
    // Of the 200 ms neither spends more than 120 alone.
    for (let event = 0; event < 23; event++) {
      names(taking(10), event % 2 === 0 ? rules : other);
      time.now += 56;
    }
    assert.deepEqual([rules.isPaused, other.isPaused], [true, true]);
    const told = (of: OwnRules): string[] => {
      of.follow(container);
      return of.takeNews().map(({ state, text }) => `${state}: ${text.slice(0, 140)}`);
    };
    const paused =
      'paused: The own rules of this app are paused for 10 s: they took 201 ms of CPU time in the 2 containers that it has on this host, more than 2 % of a';
    assert.deepEqual([told(rules), told(other)], [[paused], [paused]]);
    assert.deepEqual([told(rules), told(other)], [[], []], 'once');
    assert.equal(rules.counters.pauses + other.counters.pauses, 1, 'it is one pause');
    time.now += 10_001;
    const resumed =
      'resumed: The own rules of this app run again, with its exceptions and variables';
    assert.deepEqual([told(rules), told(other)], [[resumed], [resumed]]);
  });

  test('two apps with the same policy have budgets of their own', () => {
    const { rules, names, taking, clock } = world();
    const other = new OwnRules(containerOf(), compile(POLICY), DEFAULT_BUDGET, { clock: clock() });
    names(taking(30));
    names(taking(1), other);
    assert.deepEqual([rules.isPaused, other.isPaused], [true, false]);
  });

  test('a pause goes on over a reload of the operator’s rules', () => {
    const { rules, names, taking } = world();
    names(taking(30));
    rules.replace(compile(POLICY), DEFAULT_BUDGET);
    assert.equal(rules.isPaused, true);
  });

  test('of the worst rules that load no further one is run once the time of an event is used up', () => {
    // Each looks at every character of a long command line; a few more of them would be refused.
    const heavy = Array.from({ length: 20 }, (_, n) =>
      own(`Heavy ${n}`, `proc.cmdline regex ".*aaaa${n}.*"`),
    ).join('');
    const policy = compile(`custom_rules:\n${heavy}`);
    const { worstEventUs, limitUs } = policy.summary.cost;
    assert.ok(worstEventUs > limitUs / 2, `${worstEventUs} of ${limitUs} µs`);
    const limits = { ...DEFAULT_BUDGET, atOnceMs: 0.01 };
    const rules = new OwnRules(containerOf(), policy, limits);
    const args = Array.from({ length: 64 }, () => 'a'.repeat(255));
    rules.refine([], execOf(makeProcess({ image: { name: 'x', args } })));
    assert.equal(rules.counters.cutEvents, 1);
    assert.ok(rules.unanswered.length >= 10, `${rules.unanswered.length} of 20 were not run`);
    assert.equal(rules.isPaused, true);
  });
});

describe('what an app’s own rules may break', () => {
  const failing = (cwd = '/app'): Subject =>
    execOf(
      processWith(cwd, () => {
        throw new RangeError('Invalid string length');
      }),
    );

  test('a rule that throws is not met; the others are, and it is off after three times', () => {
    const { rules, names, news, taking, time } = world();
    for (let round = 0; round < 5; round++)
      assert.deepEqual(names(failing()), ['Any shell', 'Other']);
    assert.equal(rules.counters.failures, 3, 'from then on it is not run');
    const told = news();
    assert.deepEqual(
      told.map(({ state, rule }) => [state, rule]),
      [
        ['rule failed', 'Slow'],
        ['rule failed', 'Slow'],
      ],
    );
    assert.equal(
      told[1]?.text,
      'The rule "Slow" of this app failed: Invalid string length. It is off for 10 s, having failed again. All other rules go on',
    );
    time.now += 10_000;
    names(taking(0));
    for (let round = 0; round < 5; round++) names(failing());
    assert.deepEqual([rules.counters.failures, news().length], [6, 1]);
  });

  test('an exception that throws: the operator’s rule counts, and nothing is killed', () => {
    const { rules, names } = world(`
responses: [{kill: {rule: Shell started}}]
custom_rules:
  - rule: Shell started
    exceptions: [{name: paths, values: [/bin/sh]}]
    override: {exceptions: append}
`);
    assert.deepEqual(names(failing()), ['Shell started', 'Any shell', 'Muted']);
    assert.equal(rules.responseTo('Shell started'), undefined);
    assert.equal(rules.counters.failures, 1);
    const subject = failing();
    const [match] = engine.evaluate(subject);
    assert.ok(match);
    assert.equal(rules.counts(match, subject), true);
  });

  test('an output that throws: told, and the detection can go out without it', () => {
    const { rules, names, taking, news } = world();
    names(taking(1));
    const rule = compile(POLICY).ruleSet.rules.at(-1) ?? assert.fail();
    const written = rules.written(rule, () => {
      throw new RangeError('Invalid string length');
    });
    assert.deepEqual(written, { unwritten: 'Invalid string length' });
    assert.match(
      news()[0]?.text ?? '',
      /^The rule "Other" of this app failed: Invalid string length/,
    );
  });

  test('what is told waits in bounds', () => {
    const many = Array.from({ length: 40 }, (_, n) => own(`R${n}`, 'proc.exepath exists'));
    const { rules, names, news } = world(`custom_rules:\n${many.join('')}`);
    for (let round = 0; round < 3; round++) names(failing());
    assert.equal(news().length, 16);
    assert.equal(rules.counters.untold, 80 - 16);
  });
});
