import { randomFillSync } from 'node:crypto';

/** Crockford's base 32: no I, L, O, U, and in ASCII order, so that text order is number order. */
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
/** A thousand hosts with ten lines a second each make two that are the same once in 400 years. */
const RANDOM_BITS = 50n;
const LENGTH = 20;
const TIME_MASK = (1n << 48n) - 1n;
const RANDOM_MASK = (1n << RANDOM_BITS) - 1n;

/** Makes detection ids: 20 characters, as a ULID begins (48 bits of Unix ms), then 50 random bits. */
export class DetectionIds {
  #lastMs = -1n;
  #random = 0n;

  /**
   * The id of a detection at `timeNs` (Unix ns). Ids of the same millisecond count up, so they sort in the
   * order in which they were made. Unique across hosts by chance of the random part only.
   */
  next(timeNs: bigint): string {
    const ms = (timeNs / 1_000_000n) & TIME_MASK;
    this.#random = ms === this.#lastMs ? (this.#random + 1n) & RANDOM_MASK : freshRandom();
    this.#lastMs = ms;
    let value = (ms << RANDOM_BITS) | this.#random;
    let text = '';
    for (let digit = 0; digit < LENGTH; digit++) {
      text = (DIGITS[Number(value & 31n)] ?? '') + text;
      value >>= 5n;
    }
    return text;
  }
}

function freshRandom(): bigint {
  const bytes = randomFillSync(Buffer.allocUnsafe(7));
  // The top bit stays clear: counting up within a millisecond never wraps.
  return BigInt(`0x${bytes.toString('hex')}`) & (RANDOM_MASK >> 1n);
}
