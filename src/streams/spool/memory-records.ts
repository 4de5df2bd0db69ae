import { payloadOf, type RecordLabel } from './record.ts';
import type { Waiting } from './segments.ts';

/** Records that the disk did not take: they are lost when the process ends. The caller limits their number. */
export class MemoryRecords {
  readonly #records = new Map<number, Buffer>();
  #next = 0;

  get size(): number {
    return this.#records.size;
  }

  /** Adds an encoded record. `originFile` orders it among the files. */
  append(label: RecordLabel, record: Buffer, originFile: number): Waiting {
    const ordinal = this.#next++;
    this.#records.set(ordinal, record);
    const place = { segment: this, ordinal, offset: 0, length: record.length };
    return { ...label, ...place, originFile, originOrdinal: ordinal };
  }

  read({ ordinal }: Pick<Waiting, 'ordinal'>): Buffer | undefined {
    const record = this.#records.get(ordinal);
    return record === undefined ? undefined : payloadOf(record);
  }

  settle({ ordinal }: Pick<Waiting, 'ordinal'>): void {
    this.#records.delete(ordinal);
  }

  clear(): void {
    this.#records.clear();
  }
}
