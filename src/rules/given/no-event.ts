import type { View } from '../fields/field.ts';

/** What readers of given fields get in place of an event: they look at nothing of it. */
export const NO_EVENT = Object.freeze({}) as unknown as View;

/** The same for an output, which always has the event's time. */
export function eventAt(timeNs: bigint): View {
  return { event: { timeNs } } as unknown as View;
}
