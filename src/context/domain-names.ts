import { lookup } from 'node:dns/promises';
import type { Logger } from '../shared/logger.ts';

/** As the host resolves names, its hosts file included (getaddrinfo). */
export type ResolveName = (name: string) => Promise<readonly string[]>;

/** Names beyond these are not looked up: said once. */
const MAX_NAMES = 2048;
const MAX_ADDRESSES = 64;
/** A round begins this long after the one before has ended. */
const REFRESH_MS = 60_000;

const resolveByHost: ResolveName = async (name) =>
  (await lookup(name, { all: true })).map(({ address }) => address);

/**
 * The domain names that rules compare addresses with (`fd.sip.name`), by address. Rules name them, so they are looked
 * up beside the events, one at a time, and again every minute; an address that no such name leads to has no name.
 * Between two rounds an answer stays; a name that cannot be resolved any more keeps its last addresses.
 */
export class DomainNames {
  readonly #logger: Logger;
  readonly #resolve: ResolveName;
  readonly #addresses = new Map<string, readonly string[]>();
  #names: readonly string[] = [];
  #byAddress: ReadonlyMap<string, readonly string[]> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #round = 0;

  constructor(logger: Logger, resolve: ResolveName = resolveByHost) {
    this.#logger = logger;
    this.#resolve = resolve;
  }

  /** The names that lead to this address, in the rules' order. */
  namesOf(address: string): readonly string[] {
    return this.#byAddress.get(address) ?? NONE;
  }

  /** Replaces the names; resolves when all have been looked up once, or others have taken their place. */
  async watch(names: Iterable<string>): Promise<void> {
    const wanted = [...new Set(names)];
    if (wanted.length > MAX_NAMES) {
      this.#logger.warn(
        { names: wanted.length, looked_up: MAX_NAMES },
        'the rules name more domains than are looked up: conditions on the others are never true',
      );
    }
    this.#names = wanted.slice(0, MAX_NAMES);
    for (const name of this.#addresses.keys()) {
      if (!this.#names.includes(name)) this.#addresses.delete(name);
    }
    this.#index();
    await this.#lookUpAll();
  }

  stop(): void {
    this.#round++;
    clearTimeout(this.#timer);
  }

  async #lookUpAll(): Promise<void> {
    clearTimeout(this.#timer);
    const round = ++this.#round;
    for (const name of this.#names) {
      // A slow name server holds one thread of the pool at a time, not all of them.
      const found = await this.#resolve(name).catch(() => undefined);
      if (round !== this.#round) return;
      if (found === undefined) continue;
      this.#addresses.set(name, found.slice(0, MAX_ADDRESSES));
      this.#index();
    }
    if (this.#names.length === 0) return;
    this.#timer = setTimeout(() => void this.#lookUpAll(), REFRESH_MS).unref();
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
