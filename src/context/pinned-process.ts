import type { Process } from './process.ts';

/**
 * A copy of the process as it is now, for held events: a later exec does not change it. The parent is not copied: rules
 * look at its present image in any event.
 */
export function pinProcess(process: Process): Process {
  return {
    pid: process.pid,
    vpid: process.vpid,
    startBootNs: process.startBootNs,
    image: process.image,
    imageSinceBootNs: process.imageSinceBootNs,
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

/**
 * Copies processes with their nearest ancestors, for queued events. Events come in runs of one process, so the last
 * copy is reused while nothing of it has changed.
 */
export class LineagePins {
  #process: Process | undefined;
  #pinned: Process | undefined;

  /** `isNew`: the copy was made for this call, which accounts for its memory. */
  pin(process: Process): { readonly process: Process; readonly isNew: boolean } {
    if (this.#pinned !== undefined && this.#process === process && isSame(this.#pinned, process))
      return { process: this.#pinned, isNew: false };
    this.#process = process;
    this.#pinned = pinLineage(process, PINNED_ANCESTORS);
    return { process: this.#pinned, isNew: true };
  }
}

function pinLineage(process: Process, ancestors: number): Process {
  const pinned = pinProcess(process);
  const { parent } = pinned;
  if (parent === undefined || ancestors === 0) return pinned;
  return { ...pinned, parent: pinLineage(parent, ancestors - 1) };
}

/** Whether the process is as it was when it was pinned, and so are the ancestors that were pinned with it. */
function isSame(pinned: Process, process: Process, ancestors = PINNED_ANCESTORS): boolean {
  if (
    pinned.image !== process.image ||
    pinned.imageSinceBootNs !== process.imageSinceBootNs ||
    pinned.previousImage !== process.previousImage ||
    pinned.pid !== process.pid ||
    pinned.vpid !== process.vpid ||
    pinned.startBootNs !== process.startBootNs ||
    pinned.loginUid !== process.loginUid ||
    pinned.tty !== process.tty ||
    pinned.pidNamespaceStartBootNs !== process.pidNamespaceStartBootNs ||
    pinned.pgid !== process.pgid ||
    pinned.vpgid !== process.vpgid ||
    pinned.sid !== process.sid ||
    pinned.vsid !== process.vsid ||
    pinned.nestedCgroup !== process.nestedCgroup ||
    pinned.inScope !== process.inScope ||
    pinned.setup !== process.setup ||
    pinned.origin !== process.origin
  )
    return false;
  const { parent } = process;
  if (parent === undefined || pinned.parent === undefined || ancestors === 0)
    return parent === pinned.parent;
  return isSame(pinned.parent, parent, ancestors - 1);
}
