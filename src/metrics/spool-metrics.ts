import { Counter, Gauge, type Registry } from 'prom-client';
import type { SpooledCounters } from '../streams/spool/spooled-stream.ts';

/** The streams that have a spool, asked at each scrape. */
export type SpoolSource = () => Iterable<{
  readonly name: string;
  readonly counters: Pick<SpooledCounters, 'spool' | 'retries'>;
}>;

/** Series by stream: what waits on the disk, since when, and what became of it. */
export function spoolMetrics(registers: Registry[], spools: SpoolSource): void {
  for (const [name, help, value] of [
    ['lines', 'Lines that wait for their receiver.', 'waiting'],
    ['bytes', 'Size of the spool on the disk.', 'bytes'],
    ['max_bytes', 'Bound on the size of the spool (spool.max_bytes).', 'maxBytes'],
    [
      'memory_lines',
      'Of the waiting lines, those in memory because the disk took nothing.',
      'inMemory',
    ],
  ] as const) {
    new Gauge({
      name: `varvel_spool_${name}`,
      help,
      labelNames: ['stream'],
      registers,
      collect() {
        for (const { name: stream, counters } of spools()) {
          this.set({ stream }, counters.spool[value]);
        }
      },
    });
  }
  new Gauge({
    name: 'varvel_spool_oldest_timestamp_seconds',
    help: 'Unix time of the detection in the oldest waiting line; absent when none waits.',
    labelNames: ['stream'],
    registers,
    collect() {
      this.reset();
      for (const { name: stream, counters } of spools()) {
        const { oldestMs } = counters.spool;
        if (oldestMs !== undefined) this.set({ stream }, oldestMs / 1000);
      }
    },
  });
  for (const [name, help, value] of [
    ['refused_lines', 'Lines lost because the spool was full, or disk and memory were.', 'refused'],
    ['dropped_lines', 'Lines dropped from a full spool to make room for other apps.', 'dropped'],
    ['given_up_lines', 'Lines dropped because the stream’s url has changed.', 'givenUp'],
    ['recovered_lines', 'Lines taken over from the agent before.', 'recovered'],
    ['unread_bytes', 'Bytes of the spool that could not be read back.', 'unreadBytes'],
    ['set_aside_files', 'Damaged files of the spool that were moved to NAME.damaged.', 'setAside'],
  ] as const) {
    new Counter({
      name: `varvel_spool_${name}_total`,
      help,
      labelNames: ['stream'],
      registers,
      collect() {
        this.reset();
        for (const { name: stream, counters } of spools()) {
          this.inc({ stream }, counters.spool[value]);
        }
      },
    });
  }
  new Counter({
    name: 'varvel_stream_retries_total',
    help: 'Times that a receiver was tried again.',
    labelNames: ['stream'],
    registers,
    collect() {
      this.reset();
      for (const { name: stream, counters } of spools()) this.inc({ stream }, counters.retries);
    },
  });
}
