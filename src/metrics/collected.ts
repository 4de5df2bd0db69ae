import { Counter, Gauge, type Registry } from 'prom-client';

/** A gauge whose value is asked for at each scrape. */
export function size(registers: Registry[], name: string, help: string, value: () => number): void {
  new Gauge({
    name,
    help,
    registers,
    collect() {
      this.set(value());
    },
  });
}

/** A counter whose value is asked for at each scrape: it must never fall. */
export function total(
  registers: Registry[],
  name: string,
  help: string,
  value: () => number,
): void {
  new Counter({
    name,
    help,
    registers,
    collect() {
      this.reset();
      this.inc(value());
    },
  });
}
