import type { VerdictTable } from '../plan/verdicts/table.ts';
import type { Logger } from '../shared/logger.ts';

/** Limit on rule names in one log line. */
const NAMES_MAX = 10;

/** A table, and for whom it was made. */
export interface MadeTable extends VerdictTable {
  readonly containerType: string | undefined;
  /** Of an app with a policy. */
  readonly ownRules: boolean;
  /** Undefined if it did not fit. */
  readonly number: number | undefined;
}

/** Says which rules a new table is of, and what did not fit. */
export function logTable(logger: Logger, made: MadeTable): void {
  const { containerType, ownRules, number, bytes, clauses, states, transitions } = made;
  const { widened, leftOut, certain, denied } = made;
  const about = {
    containerType,
    ownRules,
    table: number,
    clauses: clauses.length,
    states,
    transitions,
    widened: widened.length,
    widenedRules: widened.slice(0, NAMES_MAX),
    leftOut: leftOut.slice(0, NAMES_MAX),
    certain: certain.length,
    denied: denied.slice(0, NAMES_MAX),
  };
  if (bytes === undefined)
    logger.warn(
      about,
      'too many rules to filter in the kernel: the agent gets all file calls and connects',
    );
  else logger.info(about, 'the kernel now discards file calls and connects that no rule can match');
}
