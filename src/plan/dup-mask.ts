import type { DupMask } from '../probe/live.ts';
import type { Test } from '../rules/compile/checked.ts';
import { isEventName } from '../rules/fields/events.ts';
import type { RuleSet } from '../rules/rule-set.ts';
import { kindsThatCanMatch, valuesOf, type Possible } from './possible.ts';

/** Kinds of new descriptors that rules can distinguish, as bits. */
const NETWORK = 1;
const OTHER = 2;
const ALL = NETWORK | OTHER;

const DUPS: ReadonlySet<unknown> = new Set(['dup', 'dup2', 'dup3']);

const NEVER: Possible = { holds: 0, fails: ALL };

/** Field values that only IPv4 and IPv6 sockets have. */
const OF_NETWORK: ReadonlyMap<string, ReadonlySet<unknown>> = new Map([
  ['fd.type', new Set(['ipv4', 'ipv6'])],
  ['fd.typechar', new Set(['4', '6'])],
]);

function ofTest(test: Test): Possible | undefined {
  // Such a rule matches other events by another branch, which does not restrict descriptors.
  if (valuesOf(test, 'evt.type')?.every((name) => !DUPS.has(name)) === true) return NEVER;
  for (const [field, ofNetwork] of OF_NETWORK) {
    const values = valuesOf(test, field);
    if (values === undefined) continue;
    const isNetwork = values.map((value) => ofNetwork.has(value));
    // The test may ask for one of the two families only, so it can fail for the other.
    const holds =
      (isNetwork.includes(true) ? NETWORK : 0) | (isNetwork.includes(false) ? OTHER : 0);
    return { holds, fails: ALL };
  }
  return undefined;
}

/**
 * Which of dup, dup2 and dup3 some enabled rule can match. Sound: a call that a rule matches passes the mask (property test);
 * others may pass too. Same definitions as in the probe's hooks/call.bpf.c.
 */
export function dupMaskFor(ruleSet: RuleSet): DupMask {
  let kinds = 0;
  for (const rule of ruleSet.rules) {
    if (!rule.enabled || ![...rule.events].some((event) => isEventName(event) && DUPS.has(event)))
      continue;
    kinds |= kindsThatCanMatch(rule.condition, ALL, ofTest);
  }
  return { network: (kinds & NETWORK) !== 0, other: (kinds & OTHER) !== 0 };
}
