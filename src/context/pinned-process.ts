import type { Process } from './process.ts';

/**
 * The process as it is now: a later exec does not change it. For events that wait. The parent is the living one:
 * its present image is what rules look at in any event.
 */
export function pinProcess(process: Process): Process {
  return {
    pid: process.pid,
    vpid: process.vpid,
    startBootNs: process.startBootNs,
    image: process.image,
    previousImage: process.previousImage,
    parent: process.parent,
    loginUid: process.loginUid,
    tty: process.tty,
    pidNamespaceStartBootNs: process.pidNamespaceStartBootNs,
    pgid: process.pgid,
    vpgid: process.vpgid,
    sid: process.sid,
    vsid: process.vsid,
    nestedCgroup: process.nestedCgroup,
    inScope: process.inScope,
    setup: process.setup,
    origin: process.origin,
  };
}

/** Ancestors that are pinned with a process. */
const PINNED_ANCESTORS = 8;

/** As `pinProcess`, with its nearest ancestors as they are now: for what is only written later, of a match that has seen these. */
export function pinLineage(process: Process, ancestors = PINNED_ANCESTORS): Process {
  const pinned = pinProcess(process);
  const { parent } = pinned;
  if (parent === undefined || ancestors === 0) return pinned;
  return { ...pinned, parent: pinLineage(parent, ancestors - 1) };
}
