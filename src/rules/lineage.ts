import type { Container } from '../apps/identity.ts';
import type { Process } from '../context/process.ts';
import { startTicksOf } from '../context/proc-reader.ts';
import { ancestors, firstInContainer } from './fields/ancestors.ts';
import { probeOf } from './fields/probes.ts';

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

/**
 * How the oldest process above came into the container:
 * - `start`: it is the container's first process, or the platform started it (Garden: what Diego runs);
 * - `exec`: the runtime put it in later (`docker exec`, `kubectl exec`, the kubelet's probes by exec and its hooks);
 * - `ssh`: a login by `cf ssh` started what is below it;
 * - `probe`: the platform checks the app's health, or the command is that of Docker's health check.
 */
export const ORIGINS = ['start', 'exec', 'ssh', 'probe'] as const;
export type Origin = (typeof ORIGINS)[number];

/** The platform's sshd in app containers of Cloud Foundry, mounted there by Diego. */
const PLATFORM_SSHD = '/tmp/lifecycle/diego-sshd';

/** On Garden: what the platform starts in a container, it starts so soon after the container's own first process. */
const GARDEN_START_NS = 60_000_000_000n;

/** The process of an event and those above it, within the container. */
export interface Lineage {
  /** The process itself, then its parent, … */
  readonly processes: readonly LineageProcess[];
  /** What is above the last process: the container boundary (the runtime started it), more ancestors, or unknown. */
  readonly above: 'outside' | 'more' | 'unknown';
  /** Undefined where that is not known, as in cgroups that no container runtime made. */
  readonly origin?: Origin;
}

/** Made from what the agent has in any case: names and paths of ancestors of which only the name is known are not looked up. */
export function lineageOf(process: Process, container?: Container): Lineage {
  const origin = container && originOf(process, container);
  return { ...chainOf(process), ...(origin === undefined ? {} : { origin }) };
}

/** How the oldest process above came into the container; undefined where that is not known. */
export function originOf(process: Process, container: Container): Origin | undefined {
  const first = firstInContainer(process);
  if (first.parent?.inScope === true || isAdopted(process, first)) return undefined;
  const probe = probeOf({ process, container });
  if (probe !== undefined && probe !== 'none') return 'probe';
  switch (container.runtime) {
    // With an unknown parent, the process may be one that the app has started.
    case 'garden':
      if (first.parent === undefined) return undefined;
      // An app can run the program itself: only the one that the platform has started counts.
      if (process !== first && knownExePath(first) === PLATFORM_SSHD) return 'ssh';
      return startedWithContainer(first) ? 'start' : undefined;
    case 'docker':
    case 'cri':
      if (first.vpid === 1 || first.pid === container.initPid) return 'start';
      // In a shared pid namespace a process can be adopted from outside of its container.
      if (container.initPid === 0 || container.details?.hostPid !== false) return undefined;
      return first.parent !== undefined && isFromProbe(first) ? 'exec' : undefined;
    case 'cgroup':
      return undefined;
  }
}

/** Of others only /proc told: their parent may have adopted them, and need not have started them. */
const isFromProbe = ({ origin }: Process): boolean => origin === 'probe';

/** Whether a process in between may be one that the first process of a pid namespace has adopted. */
function isAdopted(process: Process, first: Process): boolean {
  if (first.vpid !== 1) return false;
  for (let at: Process | undefined = process; at !== undefined && at !== first; at = at.parent)
    if (at.parent === first) return !isFromProbe(at);
  return false;
}

function startedWithContainer({ startBootNs, pidNamespaceStartBootNs }: Process): boolean {
  if (pidNamespaceStartBootNs === 0n) return false;
  return startBootNs - pidNamespaceStartBootNs < GARDEN_START_NS;
}

/** Not that of an ancestor of which only the name is known: looking would read /proc. */
const knownExePath = ({ origin, image }: Process): string | undefined =>
  origin === 'ancestor' ? undefined : image.exePath;

function chainOf(process: Process): Omit<Lineage, 'origin'> {
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
