import { RecentMap } from '../shared/recent-map.ts';
import type { Response, ResponseTarget } from './response.ts';

/** Limit on containers or apps that are counted; the oldest start again from zero. */
const MAX_COUNTED = 10_000;
/** Limit on remembered targets, whose records may still arrive. */
const MAX_ENDED = 1024;

/** What one response has ended, and how often it may be applied for the operator in the current window. */
export class ResponseLedger {
  readonly #response: Response;
  /** By key of the target: when it was ended, CLOCK_BOOTTIME ns. */
  readonly #ended = new RecentMap<string, bigint>(MAX_ENDED);
  #counts = new RecentMap<string, number>(MAX_COUNTED);
  #ofHost = 0;
  #window = -1;

  constructor(response: Response) {
    this.#response = response;
  }

  /** Whether the detection is of what was ended before its record arrived. */
  hasEnded(target: ResponseTarget): boolean {
    const endedBootNs = this.#ended.get(this.#response.keyOf(target));
    return endedBootNs !== undefined && this.#response.isOfBefore(target, endedBootNs);
  }

  /** Whether the limits allow one more now (monotonic ms). */
  hasRoom({ container }: ResponseTarget, nowMs: number): boolean {
    const { windowMs, ofHost, ofOne, oneOf } = this.#response.limits;
    const window = Math.floor(nowMs / windowMs);
    if (window !== this.#window) {
      this.#window = window;
      this.#ofHost = 0;
      this.#counts = new RecentMap(MAX_COUNTED);
    }
    return this.#ofHost < ofHost && (this.#counts.get(oneOf(container)) ?? 0) < ofOne;
  }

  /** Notes what was ended at that time; `counts`: it uses up the limits. */
  note(target: ResponseTarget, bootNs: bigint, counts: boolean): void {
    this.#ended.set(this.#response.keyOf(target), bootNs);
    if (!counts) return;
    const one = this.#response.limits.oneOf(target.container);
    this.#ofHost++;
    this.#counts.set(one, (this.#counts.get(one) ?? 0) + 1);
  }
}
