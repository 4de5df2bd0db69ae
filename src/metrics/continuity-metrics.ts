import { Gauge, type Registry } from 'prom-client';
import { size } from './collected.ts';

/** The gap before this agent's start, and state that it cannot write for the next; read at each scrape. */
export type ContinuitySource = () => {
  readonly troubles: readonly { readonly part: string }[];
  readonly unwatched: { readonly seconds: number; readonly containers: number };
};

/** The gap before this agent's start, and state that cannot be written. */
export function continuityMetrics(registers: Registry[], source: ContinuitySource): void {
  size(
    registers,
    'varvel_unwatched_seconds',
    'The longest time that nobody watched a container before this agent’s start; 0 without a gap.',
    () => source().unwatched.seconds,
  );
  size(
    registers,
    'varvel_unwatched_containers',
    'Containers that were told how long nobody watched them before this agent’s start.',
    () => source().unwatched.containers,
  );
  size(
    registers,
    'varvel_state_parts_not_kept',
    'Parts of the agent’s state that the disk does not take now: varvel_state_not_kept names them.',
    () => source().troubles.length,
  );
  new Gauge({
    name: 'varvel_state_not_kept',
    help: '1 for each part of the agent’s state that the disk does not take now; absent when it takes all.',
    labelNames: ['part'],
    registers,
    collect() {
      this.reset();
      for (const { part } of source().troubles) this.set({ part }, 1);
    },
  });
}
