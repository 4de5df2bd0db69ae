import type { Value } from '../fields/field.ts';
import { someTest } from './checked.ts';
import type { Checked, Read, Test } from './checked.ts';
import { MaskCache } from './mask-cache.ts';
import { Possibilities } from './possible.ts';
import type { Possible } from './possible.ts';

/** Limit on fields that are looked up before rules run; each costs a lookup for every event that gets that far. */
const MAX_MASKS = 4;

/** Minimum number of rules that the first field is expected to rule out, and each further field of the remaining ones. */
const MIN_FIRST = 4;
const MIN_FURTHER = 0.2;

/** How often a value is as ordinary as is expected: a guess, so that one field does not count for all. */
const ORDINARY = 0.7;

/** A field whose value says which rules can match. */
export interface Mask {
  readonly field: Read;
  readonly cache: MaskCache;
}

/** A field that may become a mask. */
interface Candidate {
  readonly field: Read;
  readonly possible: readonly (Possible | undefined)[];
  readonly possibilities: Possibilities;
  /** By rule, the expected probability that it remains. */
  readonly left: readonly number[];
}

/**
 * Chooses the fields that best separate the rules of some event types. Each next field is rated by the rules that it excludes
 * of those remaining. `after`: sightings of a value at which its mask is computed. `searches`: whether texts are searched while most
 * are new.
 */
export function chooseMasks(
  conditions: readonly Checked[],
  events: readonly string[],
  after: number,
  searches: boolean,
): readonly Mask[] {
  const candidates = recurringReads(conditions).map((field) =>
    toCandidate(field, conditions, events),
  );
  const chosen: Candidate[] = [];
  let left = conditions.map(() => 1);
  const ruledOut = (one: Candidate): number =>
    left.reduce((sum, weight, rule) => sum + weight * (1 - (one.left[rule] ?? 1)), 0);
  while (chosen.length < MAX_MASKS) {
    const rest = candidates.filter((one) => !chosen.includes(one));
    const [best] = rest.sort((one, other) => ruledOut(other) - ruledOut(one));
    const least = chosen.length === 0 ? MIN_FIRST : MIN_FURTHER;
    if (best === undefined || ruledOut(best) < least) break;
    chosen.push(best);
    left = left.map((weight, rule) => weight * (best.left[rule] ?? 1));
  }
  // Flags first: no table is asked for those, and they may leave no rule.
  const isFlag = ({ field }: Candidate): boolean => field.kind === 'bool';
  return [...chosen.filter(isFlag), ...chosen.filter((one) => !isFlag(one))].map(
    ({ field, possible, possibilities }) => ({
      field,
      cache: new MaskCache(possible, after, () => (searches ? possibilities.search() : undefined)),
    }),
  );
}

function toCandidate(
  field: Read,
  conditions: readonly Checked[],
  events: readonly string[],
): Candidate {
  const possibilities = new Possibilities(field, events);
  const possible = conditions.map((condition) => possibilities.of(condition));
  const values = ordinaryValues(field);
  const left = possible.map((can) => {
    const ruledOut = values.filter((value) => can?.of(value) === false).length / values.length;
    return 1 - ORDINARY * ruledOut;
  });
  return { field, possible, possibilities, left };
}

/** Sample values: for a flag both values, for anything else a value that no rule names. */
function ordinaryValues(field: Read): readonly Value[] {
  switch (field.kind) {
    case 'bool':
      return [true, false];
    case 'number':
      return [-7_654_321];
    default:
      return ['\u0000'];
  }
}

/** The reads of fields that recur, each once. */
function recurringReads(conditions: readonly Checked[]): readonly Read[] {
  const reads = new Map<string, Read>();
  const note = ({ left }: Test): boolean => {
    if (left.recurring && left.reader.shape === 'single') reads.set(left.key, left);
    return false;
  };
  for (const condition of conditions) someTest(condition, note);
  return [...reads.values()];
}
