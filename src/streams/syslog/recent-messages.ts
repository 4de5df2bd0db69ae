/** More than the buffers of two kernels hold by default (net.ipv4.tcp_wmem and tcp_rmem: 4 and 6 MiB, half of it overhead). */
const MAX_BYTES = 8 * 1024 * 1024;

/** Longer than a `send` waits for a receiver that does not read. */
const MAX_AGE_MS = 60_000;

interface Entry {
  readonly message: string;
  readonly bytes: number;
  readonly writtenMs: number;
}

/**
 * The messages written to a connection recently, oldest first: when it breaks, some may not have been read. Keeps those of the
 * last minute, at most 8 MiB; the oldest are evicted first. Times are of a monotonic clock.
 */
export class RecentMessages {
  #entries: Entry[] = [];
  #bytes = 0;

  /** Which has just been written. */
  add(message: string, nowMs: number): void {
    const bytes = Buffer.byteLength(message);
    this.#entries.push({ message, bytes, writtenMs: nowMs });
    this.#bytes += bytes;
    this.#prune(nowMs - MAX_AGE_MS);
  }

  /** Forgets what was written before. */
  forgetBefore(sinceMs: number): void {
    this.#prune(sinceMs);
  }

  messages(): readonly string[] {
    return this.#entries.map(({ message }) => message);
  }

  #prune(fromMs: number): void {
    let gone = 0;
    for (const { bytes, writtenMs } of this.#entries) {
      if (this.#bytes <= MAX_BYTES && writtenMs >= fromMs) break;
      this.#bytes -= bytes;
      gone++;
    }
    if (gone > 0) this.#entries = this.#entries.slice(gone);
  }
}
