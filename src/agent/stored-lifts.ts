import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { readOwnJson, writeOwnText } from '../host/own-json.ts';
import { isSameLift, LIFTS_MAX, type Lifted } from '../responses/lifts.ts';

/** The file, in the state folder. */
export const LIFTS_FILE = 'lifts';
const MAX_BYTES = 1 << 20;
const FORMAT = 1;

/** A lift that was asked for when no agent was running. */
export interface StoredLift extends Lifted {
  /** How long it goes on, in ms. */
  readonly leftMs: number;
}

interface Entry extends Lifted {
  /** Unix ms. */
  readonly untilMs: number;
  /** What was asked for: a clock that is set back makes it no longer. */
  readonly forMs: number;
}

/** Lifts with an end that were asked for without an agent: each agent until that end begins with them. */
export class StoredLifts {
  readonly #path: string;
  readonly #nowMs: () => number;

  /** `nowMs`: Unix time. */
  constructor(stateDir: string, nowMs: () => number = Date.now) {
    this.#path = join(stateDir, LIFTS_FILE);
    this.#nowMs = nowMs;
  }

  /** Throws an Error that says why they are not believed. */
  all(): readonly StoredLift[] {
    const nowMs = this.#nowMs();
    return this.#entries().map(({ app, rule, untilMs, forMs }) => ({
      app,
      rule,
      leftMs: Math.min(forMs, untilMs - nowMs),
    }));
  }

  /** Replaces a lift of the same. False if there are too many. Throws an Error that says why it cannot be kept. */
  add(lifted: Lifted, forMs: number): boolean {
    const others = this.#entries().filter((one) => !isSameLift(one, lifted));
    if (others.length >= LIFTS_MAX) return false;
    const { app, rule } = lifted;
    this.#write([...others, { app, rule, untilMs: this.#nowMs() + forMs, forMs }]);
    return true;
  }

  /** Ends the lift of the same, or all if neither an app nor a rule is named; how many it was. Throws as `add`. */
  end(lifted: Lifted): number {
    const isAll = lifted.app === undefined && lifted.rule === undefined;
    const before = this.#entries();
    const left = isAll ? [] : before.filter((one) => !isSameLift(one, lifted));
    if (left.length < before.length) this.#write(left);
    return before.length - left.length;
  }

  /** Those whose time is not over. */
  #entries(): readonly Entry[] {
    const kept = readOwnJson(this.#path, MAX_BYTES);
    if (kept === undefined) return [];
    const { format, lifts } = (kept ?? {}) as { format?: unknown; lifts?: unknown };
    if (format !== FORMAT || !Array.isArray(lifts) || !lifts.every(isEntry))
      throw new Error('it is damaged, or of another version');
    const nowMs = this.#nowMs();
    return lifts.filter(({ untilMs }) => untilMs > nowMs).slice(0, LIFTS_MAX);
  }

  #write(lifts: readonly Entry[]): void {
    if (lifts.length === 0) rmSync(this.#path, { force: true });
    else writeOwnText(this.#path, JSON.stringify({ format: FORMAT, lifts }));
  }
}

function isEntry(kept: unknown): kept is Entry {
  const { app, rule, untilMs, forMs } = (kept ?? {}) as Partial<Entry>;
  const isName = (name: unknown): boolean => name === undefined || typeof name === 'string';
  return isName(app) && isName(rule) && Number.isFinite(untilMs) && Number.isFinite(forMs);
}
