import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { callParam } from '../../src/events/call-params.ts';
import type { ParamValue } from '../../src/events/event.ts';
import { socketMaskFor } from '../../src/plan/socket-mask.ts';
import type { SocketMask } from '../../src/probe/live.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { readRuleFile, loadRules } from '../../src/rules/loader/load.ts';
import { conditionOf } from '../support/rules-arbitraries.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { makeCall, makeEvent, makeSubject } from '../support/rules-subject.ts';
import { runs } from '../support/runs.ts';

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const AF_PACKET = 17;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;

const LEAVES = [
  'evt.arg.domain = AF_INET',
  'evt.arg.domain in (AF_INET, AF_INET6)',
  'evt.arg.domain = AF_LOCAL',
  'evt.arg.domain = AF_ROUTE',
  'evt.arg.domain = AF_NETLINK',
  'evt.arg.domain in (AF_PACKET, AF_LOCAL)',
  'evt.arg.domain != AF_INET',
  'evt.arg.domain = 99',
  'evt.arg.domain startswith AF_I',
  'toupper(evt.arg.domain) = AF_INET',
  'evt.rawarg.domain = 2',
  'evt.rawarg.type = 3',
  'evt.rawarg.type in (3, 524291)',
  'evt.rawarg.type in (1, 3)',
  'evt.rawarg.type != 2',
  'evt.rawarg.type > 2',
  'evt.arg.type = 1',
  'evt.rawarg.proto in (1, 58)',
  'evt.type = socket',
  'evt.type in (connect, listen)',
  'proc.name = node',
];

const condition = conditionOf(LEAVES);

const socket = fc.record({
  domain: fc.constantFrom(AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, 99),
  type: fc
    .tuple(fc.constantFrom(SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, 10, 0), fc.boolean())
    .map(([type, closes]) => (closes ? type | SOCK_CLOEXEC : type)),
  proto: fc.constantFrom(0, 1, 6),
  result: fc.constantFrom(3, -1),
});

/** As the probe decides (hooks/call.bpf.c). */
function passes(mask: SocketMask, domain: number, type: number): boolean {
  if (domain === AF_UNIX || domain === AF_NETLINK) return mask.local;
  const ip = domain === AF_INET || domain === AF_INET6;
  return ip && (type & 15 & ~3) === 0 && (type & 3) % 3 !== 0 ? mask.ordinary : mask.other;
}

test('a new socket that a rule matches passes the mask: match ⇒ passes', () => {
  let matched = 0;
  let kept = 0;
  fc.assert(
    fc.property(condition, fc.array(socket, { minLength: 4, maxLength: 12 }), (text, sockets) => {
      const events = 'evt.type in (socket, connect, listen)';
      const ruleSet = ruleSetOf(ruleFile(`${events} and ${text}`));
      const mask = socketMaskFor(ruleSet);
      const engine = new RuleEngine(ruleSet);
      for (const { domain, type, proto, result } of sockets) {
        const args = [0, domain, type, proto];
        const int = (n: number): number => args[n] ?? 0;
        const call = makeCall({ int, arg: (n) => BigInt(int(n)) });
        const event = makeEvent('socket', { result, call });
        const param = (name: string): ParamValue | undefined => callParam(event, name);
        const subject = makeSubject({ ...event, param });
        const matches = engine.evaluate(subject).length > 0;
        const passed = passes(mask, domain, type);
        if (matches) matched++;
        if (!passed) kept++;
        assert.ok(!matches || passed, `${text}: socket(${domain}, ${type}, ${proto})`);
      }
    }),
    { numRuns: runs(400) },
  );
  assert.ok(matched > runs(100), `only ${matched} matches`);
  assert.ok(kept > runs(100), `only ${kept} new sockets kept back`);
});

test('what rules of new sockets say is understood', () => {
  const cases: [string, SocketMask][] = [
    ['evt.type = socket', { ordinary: true, local: true, other: true }],
    [
      'evt.type = socket and evt.arg.domain = AF_PACKET',
      { ordinary: false, local: false, other: true },
    ],
    [
      'evt.type = socket and evt.arg.domain = AF_INET',
      { ordinary: true, local: false, other: true },
    ],
    [
      'evt.type = socket and evt.arg.domain in (AF_INET, AF_INET6) and evt.rawarg.type in (3, 2051)',
      { ordinary: false, local: false, other: true },
    ],
    [
      'evt.type = socket and not evt.arg.domain = AF_LOCAL',
      { ordinary: true, local: true, other: true },
    ],
    ['evt.type = connect', { ordinary: false, local: false, other: false }],
  ];
  for (const [text, expected] of cases)
    assert.deepEqual(socketMaskFor(ruleSetOf(ruleFile(text))), expected, text);
});

test('the default rules ask for raw sockets alone', () => {
  const { ruleSet } = loadRules([readRuleFile('manifests/rules/varvel_rules.yaml')]);
  assert.ok(ruleSet);
  assert.deepEqual(socketMaskFor(ruleSet), { ordinary: false, local: false, other: true });
});
