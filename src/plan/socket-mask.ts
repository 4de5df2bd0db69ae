import type { SocketMask } from '../probe/live.ts';
import type { Test } from '../rules/compile/checked.ts';
import type { RuleSet } from '../rules/rule-set.ts';
import { kindsThatCanMatch, valuesOf, type Possible } from './possible.ts';

/** Kinds of new sockets that rules can distinguish, as bits. */
const ORDINARY = 1;
const LOCAL = 2;
const OTHER = 4;
const ALL = ORDINARY | LOCAL | OTHER;

const NEVER: Possible = { holds: 0, fails: ALL };

/** By the names that `evt.arg.domain` has. */
const KINDS_OF_DOMAIN: ReadonlyMap<unknown, number> = new Map([
  // An IP socket that is not ordinary is raw.
  ['AF_INET', ORDINARY | OTHER],
  ['AF_INET6', ORDINARY | OTHER],
  ['AF_LOCAL', LOCAL],
  // AF_NETLINK, by its older name
  ['AF_ROUTE', LOCAL],
]);

/** SOCK_TYPE_MASK, include/linux/net.h: without SOCK_NONBLOCK and SOCK_CLOEXEC. */
const TYPE_MASK = 0xf;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;

function kindsOfType(type: unknown): number {
  const kind = Number(type) & TYPE_MASK;
  return kind === SOCK_STREAM || kind === SOCK_DGRAM ? ALL : LOCAL | OTHER;
}

function ofTest(test: Test): Possible | undefined {
  // Such a rule matches other events by another branch, which does not restrict sockets.
  if (valuesOf(test, 'evt.type')?.every((name) => name !== 'socket') === true) return NEVER;
  const kinds =
    valuesOf(test, 'evt.arg.domain')?.map((name) => KINDS_OF_DOMAIN.get(name) ?? OTHER) ??
    valuesOf(test, 'evt.rawarg.type')?.map(kindsOfType);
  // One value among several of a kind: the test can fail for each.
  return kinds && { holds: kinds.reduce((sum, kind) => sum | kind, 0), fails: ALL };
}

/**
 * Which calls of socket() some enabled rule can match. Sound: a call that a rule matches passes the mask (property test); others
 * may pass too. Same definitions as in the probe's hooks/call.bpf.c.
 */
export function socketMaskFor(ruleSet: RuleSet): SocketMask {
  let kinds = 0;
  for (const rule of ruleSet.rules) {
    if (rule.enabled && [...rule.events].includes('socket'))
      kinds |= kindsThatCanMatch(rule.condition, ALL, ofTest);
  }
  return {
    ordinary: (kinds & ORDINARY) !== 0,
    local: (kinds & LOCAL) !== 0,
    other: (kinds & OTHER) !== 0,
  };
}
