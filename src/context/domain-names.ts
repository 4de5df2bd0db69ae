import { lookup } from 'node:dns/promises';
import type { Logger } from '../shared/logger.ts';

/** As the host resolves names, its hosts file included (getaddrinfo). */
export type ResolveName = (name: string) => Promise<readonly string[]>;

/** Limit on names; further ones are not looked up, and `watch` logs a warning. */
const MAX_NAMES = 2048;
const MAX_ADDRESSES = 64;
/** A name without an answer after this long counts as one without addresses: its server may never answer. */
const WAIT_MS = 10_000;
/** A round begins this long after the one before has ended. */
const REFRESH_MS = 60_000;

const resolveByHost: ResolveName = async (name) =>
  (await lookup(name, { all: true })).map(({ address }) => address);

/**
 * The domain names that rules compare addresses with (`fd.sip.name`), by address. They are resolved apart from the
 * events, one at a time, and again every minute. An address that none of them resolves to has no name. A name that no
 * longer resolves keeps its last addresses.
 */
export class DomainNames {
  readonly #logger: Logger;
  readonly #resolve: ResolveName;
  readonly #addresses = new Map<string, readonly string[]>();
  #names: ReadonlySet<string> = new Set();
  /** When each was looked up last, monotonic ms. */
  readonly #lookedUpMs = new Map<string, number>();
  /** When each name that was never looked up was first wanted, monotonic ms. */
  readonly #wantedMs = new Map<string, number>();
  #byAddress: ReadonlyMap<string, readonly string[]> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #round = 0;
  #lookingUp: Promise<void> = Promise.resolve();

  readonly #nowMs: () => number;

  constructor(
    logger: Logger,
    resolve: ResolveName = resolveByHost,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#logger = logger;
    this.#resolve = resolve;
    this.#nowMs = nowMs;
  }

  /** The names that lead to this address, in the rules' order. */
  namesOf(address: string): readonly string[] {
    return this.#byAddress.get(address) ?? NONE;
  }

  areKnown(names: Iterable<string>): boolean {
    for (const name of names) {
      const sinceMs = this.#wantedMs.get(name);
      if (sinceMs !== undefined && this.#nowMs() - sinceMs < WAIT_MS) return false;
    }
    return true;
  }

  /** Replaces the names; resolves when all have been looked up once, or others have taken their place. */
  watch(names: Iterable<string>): Promise<void> {
    const wanted = [...new Set(names)];
    if (wanted.length > MAX_NAMES) {
      this.#logger.warn(
        { names: wanted.length, looked_up: MAX_NAMES },
        'the rules name more domains than are looked up: conditions on the others are never true',
      );
    }
    this.#names = new Set(wanted.slice(0, MAX_NAMES));
    for (const known of [this.#addresses, this.#lookedUpMs, this.#wantedMs]) {
      for (const name of known.keys()) if (!this.#names.has(name)) known.delete(name);
    }
    let fresh = 0;
    for (const name of this.#names) {
      if (this.#lookedUpMs.has(name) || this.#wantedMs.has(name)) continue;
      this.#wantedMs.set(name, this.#nowMs());
      fresh++;
    }
    this.#index();
    if (fresh > 0) this.#lookingUp = this.#lookUpAll();
    return this.#lookingUp;
  }

  stop(): void {
    this.#round++;
    clearTimeout(this.#timer);
  }

  /** New names first, then the least recently looked up: a new round may interrupt this one again and again. */
  async #lookUpAll(): Promise<void> {
    clearTimeout(this.#timer);
    const round = ++this.#round;
    const lastMs = (name: string): number => this.#lookedUpMs.get(name) ?? -Infinity;
    const order = [...this.#names].sort((a, b) => Math.sign(lastMs(a) - lastMs(b)) || 0);
    for (const name of order) {
      if (!this.#names.has(name)) continue;
      // A slow name server holds one thread of the pool at a time, not all of them.
      const found = await this.#resolve(name).catch(() => undefined);
      if (round !== this.#round) return;
      if (!this.#names.has(name)) continue;
      this.#wantedMs.delete(name);
      this.#lookedUpMs.set(name, this.#nowMs());
      if (found === undefined) continue;
      this.#addresses.set(name, found.slice(0, MAX_ADDRESSES));
      this.#index();
    }
    this.#timer = setTimeout(() => this.#again(), REFRESH_MS).unref();
  }

  #again(): void {
    if (this.#names.size > 0) this.#lookingUp = this.#lookUpAll();
  }

  #index(): void {
    const byAddress = new Map<string, string[]>();
    for (const name of this.#names) {
      for (const address of this.#addresses.get(name) ?? NONE) {
        const known = byAddress.get(address);
        if (known === undefined) byAddress.set(address, [name]);
        else known.push(name);
      }
    }
    this.#byAddress = byAddress;
  }
}

const NONE: readonly string[] = [];
