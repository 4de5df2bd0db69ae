import type { OpenMask } from '../probe/live.ts';
import type { Test } from '../rules/compile/checked.ts';
import type { RuleSet } from '../rules/rule-set.ts';
import { EVENT_TABLE, KINDS } from '../events/table.gen.ts';
import { isEventName } from '../rules/fields/events.ts';
import { equality, kindsThatCanMatch, not, type Possible } from './possible.ts';

/**
 * Kinds of opens that rules can distinguish, as bits: for reading, for writing, for both, for neither (O_PATH); and the same
 * for failed opens.
 */
const READ = 1;
const WRITE = 2;
const BOTH = 4;
const NEITHER = 8;
const FAILED_SHIFT = 4;
const OK = READ | WRITE | BOTH | NEITHER;
const FAILED = OK << FAILED_SHIFT;
const ALL = OK | FAILED;

const ANYTHING: Possible = { holds: ALL, fails: ALL };

/** Holds for exactly these opens. */
const exactly = (kinds: number): Possible => ({ holds: kinds, fails: ALL & ~kinds });

const withFailed = (kinds: number): number => kinds | (kinds << FAILED_SHIFT);

const FLAGS: Readonly<Record<string, number>> = {
  'evt.is_open_read': withFailed(READ | BOTH),
  'evt.is_open_write': withFailed(WRITE | BOTH),
  'evt.failed': FAILED,
};

/** For an open, fd.num is the descriptor, or -1 if it failed; evt.rawres is the descriptor or -errno. */
function ofSignedResult(test: Test): Possible {
  const [value] = test.values;
  if (typeof value !== 'number') return ANYTHING;
  const negativeOnly = { holds: FAILED, fails: ALL };
  const successOnly = { holds: OK, fails: ALL };
  switch (test.operator) {
    case '>=':
      return value === 0 ? exactly(OK) : value > 0 ? successOnly : ANYTHING;
    case '>':
      return value === -1 ? exactly(OK) : value >= 0 ? successOnly : ANYTHING;
    case '<':
      return value === 0 ? exactly(FAILED) : value < 0 ? negativeOnly : ANYTHING;
    case '<=':
      return value === -1 ? exactly(FAILED) : value < 0 ? negativeOnly : ANYTHING;
    case '=':
    case '==':
      return value < 0 ? negativeOnly : successOnly;
    default:
      return ANYTHING;
  }
}

/** The kinds, as bits, for which a comparison can hold and can fail. */
export function kindsOfOpens(test: Test): Possible {
  const { field } = test.left;
  if (field === 'fd.num' || field === 'evt.rawres') {
    const plain = test.modifier === undefined && test.right === undefined;
    return plain && test.values.length === 1 ? ofSignedResult(test) : ANYTHING;
  }
  const said = equality(test);
  if (said === undefined) return ANYTHING;
  const flag = FLAGS[said.field];
  if (flag !== undefined && typeof said.value === 'boolean')
    return said.value === said.equal ? exactly(flag) : not(exactly(flag));
  if (said.field === 'evt.res') {
    // the name of an error, or SUCCESS
    const named = said.value === 'SUCCESS' ? exactly(OK) : { holds: FAILED, fails: ALL };
    return said.equal ? named : not(named);
  }
  return ANYTHING;
}

/**
 * Which opens some enabled rule can match. Sound: an open that a rule matches passes the mask (property test); others may pass
 * too. Same definitions as in the probe's hooks/open.bpf.c.
 */
export function openMaskFor(ruleSet: RuleSet): OpenMask {
  let kinds = 0;
  for (const rule of ruleSet.rules) {
    if (!rule.enabled) continue;
    const reported = [...rule.events].filter(isEventName);
    if (!reported.some((event) => EVENT_TABLE[event].kind === KINDS.open)) continue;
    kinds |= kindsThatCanMatch(rule.condition, ALL, kindsOfOpens);
  }
  return {
    // O_PATH opens may carry any access bits, which O_PATH ignores: they are classified by these bits.
    read: (kinds & (READ | NEITHER)) !== 0,
    write: (kinds & (WRITE | BOTH | NEITHER)) !== 0,
    failed: (kinds & FAILED) !== 0,
  };
}
