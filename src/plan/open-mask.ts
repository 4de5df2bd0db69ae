import type { OpenMask } from '../probe/live.ts';
import type { Checked, CheckedMacro, Test } from '../rules/compile/checked.ts';
import type { RuleSet } from '../rules/rule-set.ts';
import { EVENT_TABLE, KINDS } from '../events/table.gen.ts';
import { isEventName } from '../rules/fields/events.ts';

/**
 * Kinds of opens that rules can tell apart, as bits: for reading, for writing, for both, for neither (O_PATH); and
 * each of these failed.
 */
const READ = 1;
const WRITE = 2;
const BOTH = 4;
const NEITHER = 8;
const FAILED_SHIFT = 4;
const OK = READ | WRITE | BOTH | NEITHER;
const FAILED = OK << FAILED_SHIFT;
const ALL = OK | FAILED;

/** The opens for which a condition can hold, and for which it can fail: upper bounds, as in rules/compile/infer. */
interface Possible {
  readonly holds: number;
  readonly fails: number;
}

const ANYTHING: Possible = { holds: ALL, fails: ALL };

/** Exactly these opens. */
const exactly = (kinds: number): Possible => ({ holds: kinds, fails: ALL & ~kinds });

const withFailed = (kinds: number): number => kinds | (kinds << FAILED_SHIFT);

const FLAGS: Readonly<Record<string, number>> = {
  'evt.is_open_read': withFailed(READ | BOTH),
  'evt.is_open_write': withFailed(WRITE | BOTH),
  'evt.failed': FAILED,
};

function not({ holds, fails }: Possible): Possible {
  return { holds: fails, fails: holds };
}

/** fd.num of an open is the descriptor, or -1 when it failed; evt.rawres is the descriptor or -errno. */
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

function ofTest(test: Test): Possible {
  if (test.modifier !== undefined || test.right !== undefined || test.values.length !== 1)
    return ANYTHING;
  const { field } = test.left;
  if (field === undefined) return ANYTHING;
  const equal = test.operator === '=' || test.operator === '==';
  const [value] = test.values;
  const flag = FLAGS[field];
  if (flag !== undefined && typeof value === 'boolean' && (equal || test.operator === '!=')) {
    return value === equal ? exactly(flag) : not(exactly(flag));
  }
  if (field === 'evt.res') {
    // the name of an error, or SUCCESS
    const named = value === 'SUCCESS' ? exactly(OK) : { holds: FAILED, fails: ALL };
    if (equal) return named;
    if (test.operator === '!=') return not(named);
  }
  if (field === 'fd.num' || field === 'evt.rawres') return ofSignedResult(test);
  return ANYTHING;
}

function possible(condition: Checked, macros: Map<CheckedMacro, Possible>): Possible {
  switch (condition.kind) {
    case 'and': {
      const parts = condition.operands.map((operand) => possible(operand, macros));
      return {
        holds: parts.reduce((kinds, part) => kinds & part.holds, ALL),
        fails: parts.reduce((kinds, part) => kinds | part.fails, 0),
      };
    }
    case 'or': {
      const parts = condition.operands.map((operand) => possible(operand, macros));
      return {
        holds: parts.reduce((kinds, part) => kinds | part.holds, 0),
        fails: parts.reduce((kinds, part) => kinds & part.fails, ALL),
      };
    }
    case 'not':
      return not(possible(condition.operand, macros));
    case 'macro': {
      const known = macros.get(condition.macro);
      if (known !== undefined) return known;
      const found = possible(condition.macro.body, macros);
      macros.set(condition.macro, found);
      return found;
    }
    case 'test':
      return ofTest(condition.test);
  }
}

/**
 * Which opens some enabled rule can match. Sound: an open that a rule matches passes the mask (property test);
 * it may let through others. The same definitions as in the probe's hooks/open.bpf.c.
 */
export function openMaskFor(ruleSet: RuleSet): OpenMask {
  let kinds = 0;
  for (const rule of ruleSet.rules) {
    if (!rule.enabled) continue;
    const reported = [...rule.events].filter(isEventName);
    if (!reported.some((event) => EVENT_TABLE[event].kind === KINDS.open)) continue;
    kinds |= possible(rule.condition, new Map()).holds;
  }
  return {
    // O_PATH opens may carry any access bits, which O_PATH voids: they pass as whatever they look like.
    read: (kinds & (READ | NEITHER)) !== 0,
    write: (kinds & (WRITE | BOTH | NEITHER)) !== 0,
    failed: (kinds & FAILED) !== 0,
  };
}
