import { payloadOf, type RecordPlace } from './record.ts';
import type { SpoolSegment } from './segment.ts';

/** Records that the disk did not take: they end with the process. Bound: `maxBytes`. */
export class MemorySegment implements SpoolSegment {
  readonly number: number;
  readonly #maxBytes: number;
  readonly #records = new Map<number, Buffer>();
  #next = 0;
  #bytes = 0;

  constructor(number: number, maxBytes: number) {
    this.number = number;
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get unsettled(): number {
    return this.#records.size;
  }

  /** Throws an Error when there is no room. */
  append(record: Buffer): { readonly ordinal: number; readonly offset: number } {
    if (this.#bytes + record.length > this.#maxBytes) throw new Error('there is no room in memory');
    this.#bytes += record.length;
    const ordinal = this.#next++;
    this.#records.set(ordinal, record);
    return { ordinal, offset: ordinal };
  }

  read({ offset }: Pick<RecordPlace, 'offset'>): Buffer | undefined {
    const record = this.#records.get(offset);
    return record === undefined ? undefined : payloadOf(record);
  }

  settle(ordinals: readonly number[]): void {
    for (const ordinal of ordinals) {
      this.#bytes -= this.#records.get(ordinal)?.length ?? 0;
      this.#records.delete(ordinal);
    }
  }

  sync(): void {
    // Nothing outlives the process.
  }

  close(): void {
    this.#records.clear();
    this.#bytes = 0;
  }

  remove(): void {
    this.close();
  }
}
