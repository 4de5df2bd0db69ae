// Records that go into a spool, and come out of it.
import { Spool } from '../../../src/streams/spool/spool.ts';

/** Is it taken? */
export const put = (spool: Spool, text: string, lane = 'app', urgent = false): boolean =>
  spool.append({ lane, urgent }, Buffer.from(text));

/** What is to be sent next. */
export const next = (spool: Spool, max = 100): string[] =>
  spool.peek(max).map(({ payload }) => payload.toString());

/** All that waits, in the order in which it is sent. */
export function drain(spool: Spool, max = 3): string[] {
  const all: string[] = [];
  for (let some = next(spool, max); some.length > 0; some = next(spool, max)) {
    all.push(...some);
    spool.settle(some.length);
  }
  return all;
}
