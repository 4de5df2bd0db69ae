import type { AppIdentity } from '../apps/identity.ts';

/** Apps that have series of their own; the others share one that is called `other`. */
export const APP_SERIES_MAX = 200;

/** The kernel's counters of one cgroup, since it is watched. */
export interface CgroupCounts {
  readonly emitted: number;
  readonly dropped: number;
  readonly prefiltered: number;
}

/** What an app's cgroups add up to. Monotonic. */
export interface AppTotal extends CgroupCounts {
  readonly app: string;
  readonly space: string;
  readonly org: string;
}

interface Sums {
  emitted: number;
  dropped: number;
  prefiltered: number;
}

const OTHER = { app: 'other', space: '', org: '' };

/**
 * Turns counters of cgroups, which come and go, into counters of apps, which only grow. The first
 * APP_SERIES_MAX apps keep a series each for good, so that no series ever falls.
 */
export class AppTotals {
  readonly #totals = new Map<string, { labels: typeof OTHER; sums: Sums }>();
  readonly #seen = new Map<number, CgroupCounts>();
  readonly #other = { labels: OTHER, sums: { emitted: 0, dropped: 0, prefiltered: 0 } };

  /**
   * The counters of a cgroup now. Call it at every look at the scope map, and once more before a cgroup
   * leaves it. Without an app (nobody knows for certain whose it is) they count as `other`.
   */
  observe(cgroupId: number, app: AppIdentity | undefined, now: CgroupCounts): void {
    const before = this.#seen.get(cgroupId);
    const { sums } = app === undefined ? this.#other : this.#entry(app);
    sums.emitted += Math.max(0, now.emitted - (before?.emitted ?? 0));
    sums.dropped += Math.max(0, now.dropped - (before?.dropped ?? 0));
    sums.prefiltered += Math.max(0, now.prefiltered - (before?.prefiltered ?? 0));
    this.#seen.set(cgroupId, {
      emitted: now.emitted,
      dropped: now.dropped,
      prefiltered: now.prefiltered,
    });
  }

  /** The cgroup has left the scope map; its id may come again with counters from 0. */
  forget(cgroupId: number): void {
    this.#seen.delete(cgroupId);
  }

  totals(): readonly AppTotal[] {
    const all = [...this.#totals.values()];
    if (Object.values(this.#other.sums).some((sum) => sum > 0)) all.push(this.#other);
    return all.map(({ labels, sums }) => ({ ...labels, ...sums }));
  }

  #entry(app: AppIdentity): { labels: typeof OTHER; sums: Sums } {
    const labels = { app: app.name, space: app.space ?? '', org: app.org ?? '' };
    const key = [labels.org, labels.space, labels.app].join('\0');
    let entry = this.#totals.get(key);
    if (entry === undefined) {
      if (this.#totals.size >= APP_SERIES_MAX) return this.#other;
      entry = { labels, sums: { emitted: 0, dropped: 0, prefiltered: 0 } };
      this.#totals.set(key, entry);
    }
    return entry;
  }
}
