import type { Container } from '../apps/identity.ts';
import { startTicksOf } from '../context/proc-reader.ts';
import type { Process } from '../context/process.ts';
import { containerAncestors } from '../rules/fields/ancestors.ts';
import { originOf } from '../rules/lineage.ts';

/**
 * What starts so soon after a container's first process, below it, is the app's own start: a supervisor, its servers, their
 * workers. One for all that happens later would make everything one incident.
 */
export const START_NS = 10_000_000_000n;

/** Which process stands for the cause of what happens in another one. */
export interface Cause {
  /** The oldest process above that is not of the app's start, or the process itself. */
  readonly root: Process;
  /** What is above that in the container, parent first: all of it is of the app's start. */
  readonly start: readonly Process[];
}

/**
 * The cause of what a process does. What the runtime put in later (an exec, a health check) is a cause with all that is below it.
 * Where it is not known how the oldest process came in, it counts as the container's first.
 */
export function causeOf(process: Process, container: Container | undefined): Cause {
  const chain = [process, ...containerAncestors(process)];
  const first = chain.at(-1) ?? process;
  const origin = container && originOf(process, container);
  if (origin === 'exec' || origin === 'probe') return { root: first, start: [] };
  const isOfStart = (one: Process): boolean =>
    one === first || one.startBootNs - first.startBootNs < START_NS;
  const at = chain.findLastIndex((one) => !isOfStart(one));
  const root = chain[at] ?? process;
  return { root, start: chain.slice(Math.max(at, 0) + 1) };
}

/** Tells processes of a host apart, also where a pid is used again; the same before and after the exact start is known. */
export const processKey = ({ pid, startBootNs }: Process): string =>
  `${pid}@${startTicksOf(startBootNs)}`;
