import type { RegistryEntry } from '../apps/resolution.ts';
import type { Detection } from '../rules/detection.ts';
import { noRoomNotice } from '../streams/notices.ts';

export interface UnwatchedOptions {
  readonly say: (line: Detection) => void;
  /** Looks for containers that the kernel had no room for and so did not report. */
  readonly rescan: () => void;
}

/** Notifies containers, in their own logs, that there is no room to watch them, and when there is again. */
export class UnwatchedContainers {
  readonly #options: UnwatchedOptions;
  /** Root cgroups that have been notified; at most as many as the registry has. */
  #told = new Set<number>();
  #scopeFull = 0;

  constructor(options: UnwatchedOptions) {
    this.#options = options;
  }

  /** Call every second. `scopeFull`: number of containers so far that found the kernel's map full. */
  onTick(entries: readonly RegistryEntry[], scopeFull: number): void {
    const now = new Set<number>();
    for (const { cgroupId, resolution, goneAtMs, unwatched } of entries) {
      if (resolution.state !== 'included' || goneAtMs !== undefined) continue;
      if (unwatched) now.add(cgroupId);
      if (unwatched === this.#told.has(cgroupId)) continue;
      const timeNs = BigInt(Date.now()) * 1_000_000n;
      this.#options.say(noRoomNotice(unwatched, resolution.container, timeNs));
    }
    this.#told = now;
    if (scopeFull === this.#scopeFull) return;
    this.#scopeFull = scopeFull;
    this.#options.rescan();
  }
}
