import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EventName } from '../../src/events/table.gen.ts';
import { dupMaskFor } from '../../src/plan/dup-mask.ts';
import type { DupMask } from '../../src/probe/live.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { conditionOf } from '../support/rules-arbitraries.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { makeCall, makeConnect, makeEvent, makeSubject } from '../support/rules-subject.ts';
import { runs } from '../support/runs.ts';

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;

const LEAVES = [
  'fd.type in (ipv4, ipv6)',
  'fd.type=ipv4',
  'fd.type=file',
  'fd.type=unix',
  'fd.type in (ipv6, unix)',
  'fd.type!=ipv4',
  'fd.type exists',
  'fd.typechar=4',
  'fd.typechar in (4, 6)',
  'fd.typechar!=6',
  'fd.typechar=u',
  'fd.type startswith ip',
  'toupper(fd.type)=IPV4',
  'fd.connected=true',
  'evt.rawres in (0, 1, 2)',
  'evt.type=dup2',
  'evt.type in (connect, listen)',
  'proc.name=node',
];

const condition = conditionOf(LEAVES);

/** A new descriptor: of a socket of this family, or of no socket. */
const dup = fc.record({
  type: fc.constantFrom<EventName>('dup', 'dup2', 'dup3'),
  family: fc.constantFrom(AF_INET, AF_INET6, AF_UNIX, undefined),
  result: fc.constantFrom(0, 1, 7, -9),
});

/** As the probe decides (hooks/call.bpf.c). */
const passes = (mask: DupMask, family: number | undefined): boolean =>
  family === AF_INET || family === AF_INET6 ? mask.network : mask.other;

test('a new descriptor that a rule matches passes the mask: match ⇒ passes', () => {
  let matched = 0;
  let kept = 0;
  fc.assert(
    fc.property(condition, fc.array(dup, { minLength: 4, maxLength: 12 }), (text, dups) => {
      const events = 'evt.type in (dup, dup2, dup3, connect, listen)';
      const ruleSet = ruleSetOf(ruleFile(`${events} and ${text}`));
      const mask = dupMaskFor(ruleSet);
      const engine = new RuleEngine(ruleSet);
      for (const { type, family, result } of dups) {
        // A call that failed has no file.
        const of = result < 0 ? undefined : family;
        const call = of === undefined ? makeCall() : makeConnect({ family: of });
        const matches = engine.evaluate(makeSubject(makeEvent(type, { result, call }))).length > 0;
        const passed = passes(mask, of);
        if (matches) matched++;
        if (!passed) kept++;
        assert.ok(!matches || passed, `${text}: ${type} of ${String(of)} = ${result}`);
      }
    }),
    { numRuns: runs(400) },
  );
  assert.ok(matched > runs(100), `only ${matched} matches`);
  assert.ok(kept > runs(100), `only ${kept} new descriptors kept back`);
});

test('what rules of connections as standard input say is understood', () => {
  const cases: [string, DupMask][] = [
    [
      'evt.type in (dup, dup2, dup3) and evt.rawres in (0, 1, 2) and fd.type in (ipv4, ipv6)',
      { network: true, other: false },
    ],
    ['evt.type=dup2 and fd.typechar=4', { network: true, other: false }],
    ['evt.type=dup2 and fd.type=file', { network: false, other: true }],
    ['evt.type=dup2 and not fd.type=file', { network: true, other: true }],
    ['evt.type=dup2 and fd.type in (unix, ipv4)', { network: true, other: true }],
    ['evt.type=dup', { network: true, other: true }],
    ['evt.type=connect', { network: false, other: false }],
  ];
  for (const [text, expected] of cases) {
    assert.deepEqual(dupMaskFor(ruleSetOf(ruleFile(text))), expected, text);
  }
});
