import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { EventName } from '../../src/events/table.gen.ts';
import { messageMaskFor } from '../../src/plan/message-mask.ts';
import type { MessageMask } from '../../src/probe/live.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { conditionOf } from '../support/rules-arbitraries.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { makeCall, makeConnect, makeEvent, makeSubject } from '../support/rules-subject.ts';
import { runs } from '../support/runs.ts';

const LEAVES = [
  'fd.name_changed=true',
  'fd.name_changed=false',
  'fd.name_changed!=true',
  'fd.name_changed!=false',
  'fd.connected=true',
  'fd.connected=false',
  'fd.connected!=false',
  'fd.l4proto=udp',
  'fd.sport=53',
  'evt.type in (recvfrom, recvmsg)',
  'evt.type=sendto',
  'evt.type in (accept, listen)',
  'evt.rawres>=0',
  'proc.name=node',
];

const condition = conditionOf(LEAVES);

/** A message, as the probe can see one: of no socket, of a connected one, or of one that is not. */
const message = fc.record({
  type: fc.constantFrom<EventName>('sendto', 'sendmsg', 'recvfrom', 'recvmsg'),
  socket: fc.constantFrom('none' as const, 'connected' as const, 'unconnected' as const),
  peerChanged: fc.boolean(),
  result: fc.constantFrom(0, 12, -11, -9),
  remotePort: fc.constantFrom(53, 9),
});

/** As the probe decides (hooks/call.bpf.c). */
const passes = (mask: MessageMask, isNew: boolean): boolean =>
  mask.other || (mask.newPeer && isNew);

test('a message that a rule matches passes the mask: match ⇒ passes', () => {
  let matched = 0;
  let kept = 0;
  fc.assert(
    fc.property(condition, fc.array(message, { minLength: 4, maxLength: 12 }), (text, messages) => {
      const events = 'evt.type in (sendto, sendmsg, recvfrom, recvmsg, accept, listen)';
      const ruleSet = ruleSetOf(ruleFile(`${events} and ${text}`));
      const mask = messageMaskFor(ruleSet);
      const engine = new RuleEngine(ruleSet);
      for (const { type, socket, peerChanged, result, remotePort } of messages) {
        const isNew = socket === 'unconnected' && peerChanged;
        const call =
          socket === 'none'
            ? makeCall()
            : makeConnect(
                { protocol: 17, socketType: 2, remotePort },
                {
                  connected: socket === 'connected',
                  peerChanged: isNew,
                  ...(result < 0 ? { tuple: undefined } : {}),
                },
              );
        const matches = engine.evaluate(makeSubject(makeEvent(type, { result, call }))).length > 0;
        const passed = passes(mask, isNew);
        if (matches) matched++;
        if (!passed) kept++;
        assert.ok(!matches || passed, `${text}: ${type} ${socket} ${String(isNew)} = ${result}`);
      }
    }),
    { numRuns: runs(400) },
  );
  assert.ok(matched > runs(100), `only ${matched} matches`);
  assert.ok(kept > runs(100), `only ${kept} messages kept back`);
});

test('what the usual macros of rule files say is understood', () => {
  const udp = 'fd.l4proto != tcp and fd.connected=false and fd.name_changed=true';
  const cases: [string, MessageMask][] = [
    [
      `((evt.type=connect) or (evt.type in (sendto,sendmsg) and ${udp})) and fd.typechar=4`,
      { newPeer: true, other: false },
    ],
    [
      `((evt.type in (accept,listen)) or (evt.type in (recvfrom,recvmsg) and ${udp}))`,
      { newPeer: true, other: false },
    ],
    ['evt.type=recvfrom and evt.buffer bcontains cafebabe', { newPeer: true, other: true }],
    ['evt.type=connect', { newPeer: false, other: false }],
  ];
  for (const [text, expected] of cases) {
    assert.deepEqual(messageMaskFor(ruleSetOf(ruleFile(text))), expected, text);
  }
});
