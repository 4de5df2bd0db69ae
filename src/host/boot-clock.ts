import { readFileSync } from 'node:fs';
import { bootTimeNs } from 'ebpf-loader-napi';

/** CLOCK_BOOTTIME in ns. */
export function bootNs(): bigint {
  return bootTimeNs();
}

/** Unix time minus CLOCK_BOOTTIME; `refresh` about once a second follows steps of the wall clock. */
export class SystemBootClock {
  unixMinusBootNs = 0n;

  constructor() {
    this.refresh();
  }

  refresh(): void {
    // The wall clock has ms only; what lies between the two readings is far less.
    const wallMs = performance.timeOrigin + performance.now();
    const stepMs = Math.abs(Date.now() - wallMs);
    const unixNs =
      stepMs > 2 ? BigInt(Date.now()) * 1_000_000n : BigInt(Math.round(wallMs * 1000)) * 1000n;
    this.unixMinusBootNs = unixNs - bootNs();
  }
}

/** proc(5): new with each boot. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
