import {
  EXEC_KINDS,
  IP_KINDS,
  kindsOfEvents,
  NO_KINDS,
  OPEN_EVENTS,
  UNIX_KINDS,
  WORKED_PATHS,
  type Kinds,
} from '../plan/verdicts/call-kinds.ts';
import { deniedKindsOf } from '../plan/verdicts/rule-clauses.ts';
import { BIND_WAYS, DEVICE_WAYS, KINDS_OF_WAYS } from '../plan/verdicts/ways.ts';
import type { RefusedCall } from '../responses/response.ts';
import type { Checked } from '../rules/compile/checked.ts';
import type { LoadedRule } from '../rules/rule-set.ts';

/** Each call has one of these; `cgroup` is a second way to refuse some of `call`. */
type Refusing = Exclude<RefusedCall, 'cgroup'> | 'program';
const KINDS: Readonly<Record<Refusing, Kinds>> = {
  program: EXEC_KINDS,
  connection: IP_KINDS,
  unix: UNIX_KINDS,
  file: kindsOfEvents(OPEN_EVENTS) | WORKED_PATHS,
  ...KINDS_OF_WAYS,
};

const ALL = Object.keys(KINDS) as Refusing[];

/** What refuses calls of these kinds, or ends them. */
export const refusingOf = (kinds: Kinds): readonly Refusing[] =>
  ALL.filter((call) => (kinds & KINDS[call]) !== NO_KINDS);

/** What refuses each call of these kinds that is of this sort, the cheapest first; and what refuses some of them. */
export function waysToRefuse(
  sort: Exclude<Refusing, 'program'>,
  kinds: Kinds,
): { readonly all: readonly RefusedCall[]; readonly some: readonly RefusedCall[] } {
  const ofSort = kinds & KINDS[sort];
  // Of a bind it sees those to IP addresses.
  const byCgroup = sort === 'call' && (ofSort & (DEVICE_WAYS | BIND_WAYS)) !== NO_KINDS;
  if (!byCgroup) return { all: [sort], some: [] };
  return (ofSort & ~DEVICE_WAYS) === NO_KINDS
    ? { all: ['cgroup', sort], some: [] }
    : { all: [sort], some: ['cgroup'] };
}

/** The kinds of calls that the rule can deny, as deniedKindsOf, which it finds once for each rule. */
export function knownDeniedKindsOf(rule: LoadedRule): Kinds {
  const known = KNOWN.get(rule.condition) ?? deniedKindsOf(rule);
  KNOWN.set(rule.condition, known);
  return known;
}
const KNOWN = new WeakMap<Checked, Kinds>();
