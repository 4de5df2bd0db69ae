import { RecentMap } from '../shared/recent-map.ts';
import type { ResponseLimits, ResponseTarget } from './response.ts';

/** Limit on counted containers or apps; the oldest start again from zero. */
const MAX_COUNTED = 10_000;

/** When a response was applied, as far back as its limits look: any period of that length counts, not each by the clock. */
export class RecentUses {
  readonly #limits: ResponseLimits;
  #ofHost: readonly number[] = [];
  readonly #ofOne = new RecentMap<string, readonly number[]>(MAX_COUNTED);

  constructor(limits: ResponseLimits) {
    this.#limits = limits;
  }

  /** Whether the limits allow one more at this time (monotonic ms). */
  hasRoom({ container }: ResponseTarget, nowMs: number): boolean {
    const { ofHost, ofOne, oneOf, periodMs } = this.#limits;
    const isFree = (times: readonly number[], limit: number): boolean =>
      nowMs - (times.at(-limit) ?? -Infinity) >= periodMs;
    return isFree(this.#ofHost, ofHost) && isFree(this.#ofOne.get(oneOf(container)) ?? [], ofOne);
  }

  note({ container }: ResponseTarget, nowMs: number): void {
    const { ofHost, ofOne, oneOf } = this.#limits;
    const one = oneOf(container);
    this.#ofHost = [...this.#ofHost, nowMs].slice(-ofHost);
    this.#ofOne.set(one, [...(this.#ofOne.get(one) ?? []), nowMs].slice(-ofOne));
  }
}
