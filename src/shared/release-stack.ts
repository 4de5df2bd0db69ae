/** Gives back what was acquired, in reverse order; each release runs even if another failed. */
export class ReleaseStack {
  readonly #releases: (() => void | Promise<void>)[] = [];

  /** Registers how to give back what has just been acquired. */
  defer(release: () => void | Promise<void>): void {
    this.#releases.push(release);
  }

  /** Idempotent. Throws the first error when all have run. */
  async release(): Promise<void> {
    let failed = false;
    let first: unknown;
    for (let next = this.#releases.pop(); next !== undefined; next = this.#releases.pop()) {
      try {
        await next();
      } catch (error) {
        if (!failed) first = error;
        failed = true;
      }
    }
    if (failed) throw first;
  }
}
