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
import { KINDS_OF_WAYS } from '../plan/verdicts/ways.ts';
import { REFUSED_CALLS, type RefusedCall } from '../responses/response.ts';
import type { Checked } from '../rules/compile/checked.ts';
import type { LoadedRule } from '../rules/rule-set.ts';

const KINDS: Readonly<Record<RefusedCall, Kinds>> = {
  connection: IP_KINDS,
  unix: UNIX_KINDS,
  file: kindsOfEvents(OPEN_EVENTS) | WORKED_PATHS,
  ...KINDS_OF_WAYS,
};

/** What refuses calls of these kinds, or has `program` end them. */
export const refusingOf = (kinds: Kinds): readonly (RefusedCall | 'program')[] => [
  ...((kinds & EXEC_KINDS) === NO_KINDS ? [] : (['program'] as const)),
  ...REFUSED_CALLS.filter((call) => (kinds & KINDS[call]) !== NO_KINDS),
];

/** The kinds of calls that the rule can deny, as deniedKindsOf, which it finds once for each rule. */
export function knownDeniedKindsOf(rule: LoadedRule): Kinds {
  const known = KNOWN.get(rule.condition) ?? deniedKindsOf(rule);
  KNOWN.set(rule.condition, known);
  return known;
}
const KNOWN = new WeakMap<Checked, Kinds>();
