import { isEventName } from '../../rules/fields/events.ts';
import type { Test } from '../../rules/compile/checked.ts';
import { predicateOf } from '../../rules/compile/modifiers.ts';
import { kindsOfOpens } from '../open-mask.ts';
import type { Possible } from '../possible.ts';

/** The calls that open a file, in the order of the probe's verdict.h. */
export const OPEN_EVENTS = ['open', 'openat', 'openat2', 'creat'] as const;
export type OpenEvent = (typeof OPEN_EVENTS)[number];

/** Kinds of each call: READ, WRITE, BOTH and NEITHER, then the same failed. */
const KINDS_OF_CALL = 8;
/** A bit for each kind of each call. */
export const ALL_KINDS = 0xffff_ffff | 0;
const OF_CALL = (1 << KINDS_OF_CALL) - 1;

/** An open as the kernel knows it before its path. */
export interface OpenKind {
  readonly event: OpenEvent;
  readonly reads: boolean;
  readonly writes: boolean;
  readonly failed: boolean;
}

/** The number of its bit. */
export function kindIndex({ event, reads, writes, failed }: OpenKind): number {
  const access = reads ? (writes ? 2 : 0) : writes ? 1 : 3;
  return OPEN_EVENTS.indexOf(event) * KINDS_OF_CALL + access + (failed ? 4 : 0);
}

const everywhere = (ofCall: number): number =>
  OPEN_EVENTS.reduce((kinds, _, index) => kinds | (ofCall << (index * KINDS_OF_CALL)), 0);

/** For which opens a comparison can hold and can fail; undefined where their kind does not say. */
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

/** What opens a set of kinds has: bits, as ALL_KINDS. */
export interface KindsSummary {
  readonly events: readonly OpenEvent[];
  /** All of them read; all of them write. */
  readonly reads: boolean;
  readonly writes: boolean;
  /** Some worked; some failed. */
  readonly worked: boolean;
  readonly failed: boolean;
}

/** The calls of which a set has kinds, and what these are, all calls together. */
export function summaryOf(kinds: number): KindsSummary {
  const ofCall = (index: number): number => (kinds >>> (index * KINDS_OF_CALL)) & OF_CALL;
  const all = OPEN_EVENTS.reduce((sum, _, index) => sum | ofCall(index), 0);
  const has = (bits: number): boolean => (all & bits) !== 0;
  return {
    events: OPEN_EVENTS.filter((_, index) => ofCall(index) !== 0),
    // But for READ and BOTH, and for WRITE and BOTH.
    reads: !has(0b1010_1010),
    writes: !has(0b1001_1001),
    worked: has(0b0000_1111),
    failed: has(0b1111_0000),
  };
}
