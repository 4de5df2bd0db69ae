import { deliverySize } from '../../../src/streams/delivery-size.ts';
import type { Delivery, LogStream, StreamCounters } from '../../../src/streams/stream.ts';
import { deliveryOf } from './delivery-fixture.ts';

/** A stream that notes what it is given and takes `take` for each: the real thing for a fan-out. */
export class NotingStream implements LogStream {
  readonly taken: Delivery[] = [];
  closed = false;
  active = 0;
  mostActive = 0;
  readonly name: string;
  readonly audience: 'tenant' | 'operator';
  readonly #take: (delivery: Delivery) => Promise<boolean>;

  constructor(
    audience: 'tenant' | 'operator',
    take: (delivery: Delivery) => Promise<boolean> = () => Promise.resolve(true),
    name: string = audience,
  ) {
    this.name = name;
    this.audience = audience;
    this.#take = take;
  }

  accepts(): boolean {
    return true;
  }

  async deliver(delivery: Delivery): Promise<boolean> {
    this.mostActive = Math.max(this.mostActive, ++this.active);
    try {
      const taken = await this.#take(delivery);
      this.taken.push(delivery);
      return taken;
    } finally {
      this.active--;
    }
  }

  counters(): StreamCounters {
    return { delivered: 0, failed: 0, dropped: 0 };
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

export const idOf = (index: number): string => index.toString(16).padStart(64, '0');
export const options = { hostname: 'cell-1' };
/** Deliveries of the least size that all containers together may have waiting for one stream. */
export const BOUND = Math.floor((64 * 1024 * 1024) / deliverySize(deliveryOf()));
