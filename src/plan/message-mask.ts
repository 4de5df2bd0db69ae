import type { MessageMask } from '../probe/live.ts';
import type { Test } from '../rules/compile/checked.ts';
import { isEventName } from '../rules/fields/events.ts';
import type { RuleSet } from '../rules/rule-set.ts';
import { equality, kindsThatCanMatch, valuesOf, type Possible } from './possible.ts';

/** Kinds of messages that rules can distinguish, as bits. */
const NEW_PEER = 1;
const OTHER = 2;
const ALL = NEW_PEER | OTHER;

const MESSAGES: ReadonlySet<string> = new Set([
  'sendto',
  'sendmsg',
  'sendmmsg',
  'recvfrom',
  'recvmsg',
  'recvmmsg',
]);

const NEVER: Possible = { holds: 0, fails: ALL };

function ofTest(test: Test): Possible | undefined {
  const names = valuesOf(test, 'evt.type');
  // Such a rule matches other events by another branch, which does not restrict messages.
  if (names?.every((name) => !MESSAGES.has(String(name))) === true) return NEVER;
  const said = equality(test);
  if (said === undefined) return undefined;
  // Without a socket both fields are absent, so false: the probe classifies such messages as OTHER.
  if (said.field === 'fd.name_changed' && typeof said.value === 'boolean')
    return said.value === said.equal
      ? { holds: NEW_PEER, fails: OTHER }
      : { holds: OTHER, fails: ALL };
  // The peer of a connected socket does not change.
  if (said.field === 'fd.connected' && typeof said.value === 'boolean' && said.value === said.equal)
    return said.value ? { holds: OTHER, fails: ALL } : undefined;
  return undefined;
}

/**
 * Which messages some enabled rule can match. Sound: a message that a rule matches passes the mask (property test); others may
 * pass too. Same definitions as in the probe's hooks/call.bpf.c and call-messages.h.
 */
export function messageMaskFor(ruleSet: RuleSet): MessageMask {
  let kinds = 0;
  for (const rule of ruleSet.rules) {
    if (
      !rule.enabled ||
      ![...rule.events].some((event) => isEventName(event) && MESSAGES.has(event))
    )
      continue;
    kinds |= kindsThatCanMatch(rule.condition, ALL, ofTest);
  }
  return { newPeer: (kinds & NEW_PEER) !== 0, other: (kinds & OTHER) !== 0 };
}
