import { isEventName } from '../../rules/fields/events.ts';
import type { Test } from '../../rules/compile/checked.ts';
import { predicateOf } from '../../rules/compile/modifiers.ts';
import { kindsOfOpens } from '../open-mask.ts';
import type { Possible } from '../possible.ts';

/** The calls that open a file, in the order of the probe's verdict.h. */
export const OPEN_EVENTS = ['open', 'openat', 'openat2', 'creat'] as const;
export type OpenEvent = (typeof OPEN_EVENTS)[number];

/** Kinds per call: READ, WRITE, BOTH and NEITHER, then the same for failed calls. */
const KINDS_OF_CALL = 8;
/** One bit for each kind of each call. */
export const ALL_KINDS = 0xffff_ffff | 0;
const OF_CALL = (1 << KINDS_OF_CALL) - 1;

/** An open as known to the kernel before its path. */
export interface OpenKind {
  readonly event: OpenEvent;
  readonly reads: boolean;
  readonly writes: boolean;
  readonly failed: boolean;
}

/** The index of its bit. */
export function kindIndex({ event, reads, writes, failed }: OpenKind): number {
  const access = reads ? (writes ? 2 : 0) : writes ? 1 : 3;
  return OPEN_EVENTS.indexOf(event) * KINDS_OF_CALL + access + (failed ? 4 : 0);
}

const everywhere = (ofCall: number): number =>
  OPEN_EVENTS.reduce((kinds, _, index) => kinds | (ofCall << (index * KINDS_OF_CALL)), 0);

/** The opens for which a comparison can hold and can fail; undefined if their kind does not decide it. */
export function kindsOf(test: Test): Possible | undefined {
  if (test.left.key === 'evt.type') return kindsOfType(test);
  const found = kindsOfOpens(test);
  if (found.holds === OF_CALL && found.fails === OF_CALL) return undefined;
  return { holds: everywhere(found.holds), fails: everywhere(found.fails) };
}

function kindsOfType(test: Test): Possible | undefined {
  if (test.right !== undefined) return undefined;
  const holds = predicateOf(test);
  const bits = OPEN_EVENTS.reduce(
    (kinds, event, index) => (holds(event) ? kinds | (OF_CALL << (index * KINDS_OF_CALL)) : kinds),
    0,
  );
  return { holds: bits, fails: ALL_KINDS & ~bits };
}

/** Whether the event is one of these calls. */
export const isOpenEvent = (event: string): boolean =>
  isEventName(event) && (OPEN_EVENTS as readonly string[]).includes(event);

/** What the opens of a set of kinds have in common; bits as in ALL_KINDS. */
export interface KindsSummary {
  readonly events: readonly OpenEvent[];
  /** Whether all of them read; whether all of them write. */
  readonly reads: boolean;
  readonly writes: boolean;
  /** Whether some succeeded; whether some failed. */
  readonly worked: boolean;
  readonly failed: boolean;
}

/** The calls of which a set contains kinds, and a summary of the kinds over all calls. */
export function summaryOf(kinds: number): KindsSummary {
  const ofCall = (index: number): number => (kinds >>> (index * KINDS_OF_CALL)) & OF_CALL;
  const all = OPEN_EVENTS.reduce((sum, _, index) => sum | ofCall(index), 0);
  const has = (bits: number): boolean => (all & bits) !== 0;
  return {
    events: OPEN_EVENTS.filter((_, index) => ofCall(index) !== 0),
    // Any kind other than READ and BOTH, or other than WRITE and BOTH.
    reads: !has(0b1010_1010),
    writes: !has(0b1001_1001),
    worked: has(0b0000_1111),
    failed: has(0b1111_0000),
  };
}
