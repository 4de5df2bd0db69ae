import type { Container } from '../apps/identity.ts';
import { HOST } from './instance-key.ts';
import { MAX_LOST_RANGES, type Lost } from './notices.ts';
import { withRange, type NumberRange } from './number-range.ts';

/** Limit on containers with unreported losses; losses of further ones only show in the stream's counters. */
const MAX_CONTAINERS = 1024;

/** Lost lines by container, until they are reported. */
export class Losses {
  readonly #byContainer = new Map<string, Lost>();

  /** Containers of which something is to be told. */
  get size(): number {
    return this.#byContainer.size;
  }

  /** One line; `seq` undefined where its number would say nothing. */
  note(container: Container | undefined, timeNs: bigint, seq: number | undefined): void {
    const numbers = seq === undefined ? undefined : [{ from: seq, to: seq }];
    this.add({ container, count: 1, firstNs: timeNs, lastNs: timeNs, numbers });
  }

  add({ container, count, firstNs, lastNs, numbers, atMost }: Lost): void {
    const key = container?.fullId ?? HOST;
    const before = this.#byContainer.get(key);
    if (before === undefined && this.#byContainer.size >= MAX_CONTAINERS) return;
    this.#byContainer.set(key, {
      container,
      count: (before?.count ?? 0) + count,
      firstNs: before === undefined || firstNs < before.firstNs ? firstNs : before.firstNs,
      lastNs: before === undefined || lastNs > before.lastNs ? lastNs : before.lastNs,
      numbers: before === undefined ? numbers : joined(before.numbers, numbers),
      ...((atMost ?? before?.atMost) ? { atMost: true } : {}),
    });
  }

  /** Returns all losses and clears them. */
  take(): readonly Lost[] {
    const lost = [...this.#byContainer.values()];
    this.#byContainer.clear();
    return lost;
  }
}

/** The joined numbers are unknown if either side's are unknown. */
function joined(
  before: readonly NumberRange[] | undefined,
  more: readonly NumberRange[] | undefined,
): readonly NumberRange[] | undefined {
  if (before === undefined || more === undefined) return undefined;
  return more.reduce((all, range) => withRange(all, range, MAX_LOST_RANGES), before);
}
