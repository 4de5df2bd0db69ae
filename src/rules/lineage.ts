import type { Process } from '../context/process.ts';
import { startTicksOf } from '../context/proc-reader.ts';
import { ancestors } from './fields/ancestors.ts';

/** Limit on the ancestors of a detection, nearest first; beyond it, `above` is `more`. */
export const MAX_LINEAGE_ANCESTORS = 8;

/** A process, identified by pid and start time. */
export interface LineageProcess {
  /** In its own pid namespace, as it is seen in the container; 0 when not known. */
  readonly pid: number;
  /** Hundredths of a second since the host's start, as in /proc/PID/stat: distinguishes processes that reuse a pid. */
  readonly start: number;
  /** comm, at most 15 bytes: the process chose it. */
  readonly name: string;
}

/** The process of an event and those above it, within the container. */
export interface Lineage {
  /** The process itself, then its parent, … */
  readonly processes: readonly LineageProcess[];
  /** What is above the last process: the container boundary (the runtime started it), more ancestors, or unknown. */
  readonly above: 'outside' | 'more' | 'unknown';
}

/** Made from what the process tree has in any case: reads nothing, and asks nothing of the kernel. */
export function lineageOf(process: Process): Lineage {
  const processes = [identify(process)];
  for (const found of ancestors(process)) {
    // The host's own processes are nobody's in the container.
    if (!found.inScope) return { processes, above: 'outside' };
    if (processes.length > MAX_LINEAGE_ANCESTORS) return { processes, above: 'more' };
    processes.push(identify(found));
  }
  return { processes, above: 'unknown' };
}

function identify({ vpid, startBootNs, image }: Process): LineageProcess {
  return { pid: vpid, start: startTicksOf(startBootNs), name: image.name };
}
