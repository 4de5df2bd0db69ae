import { LineagePins, pinProcess } from '../context/pinned-process.ts';
import type { Process } from '../context/process.ts';
import type { KernelEvent } from '../events/event.ts';

/** An event with the process it happened in; as it passes, or detached and pinned to wait. */
export interface Occurrence {
  readonly cgroupId: number;
  readonly event: KernelEvent;
  readonly process: Process;
  /** What it costs while it waits; 0 as it passes. */
  readonly heldBytes: number;
  /** Unix ns. */
  readonly timeNs: bigint;
  /** As it is now, but that the parent is the living one. */
  detach(): Occurrence;
}

/** Objects around a record that is kept, as V8 has them; and the ancestors that are pinned with it. */
const OCCURRENCE_BYTES = 1024;
const LINEAGE_BYTES = 2048;

/** The occurrence that passes: one object for all, so that passing allocates nothing. */
export class Passing implements Occurrence {
  event!: KernelEvent;
  process!: Process;
  readonly heldBytes = 0;

  get cgroupId(): number {
    return this.event.cgroupId;
  }

  get timeNs(): bigint {
    return this.event.timeNs;
  }

  detach(): Occurrence {
    return new Kept(this.event.detach(), pinProcess(this.process), OCCURRENCE_BYTES);
  }
}

/** An occurrence that waits: the record and its processes are its own. */
class Kept implements Occurrence {
  readonly event: KernelEvent;
  readonly process: Process;
  readonly heldBytes: number;

  constructor(event: KernelEvent, process: Process, objectBytes: number) {
    this.event = event;
    this.process = process;
    // The program that an exec brings is as large as its record, and lives on with it.
    const programBytes = event.type === 'execve' || event.type === 'execveat' ? event.bytes : 0;
    this.heldBytes = objectBytes + event.bytes + programBytes;
  }

  get cgroupId(): number {
    return this.event.cgroupId;
  }

  get timeNs(): bigint {
    return this.event.timeNs;
  }

  detach(): Occurrence {
    return this;
  }
}

/** One that only waits for its turn: its nearest ancestors are pinned in their current state, too. */
export class Pinned extends Kept {}

/** Pins occurrences that wait for their container's turn. */
export class OccurrencePins {
  readonly #lineages = new LineagePins();

  pin(occurrence: Occurrence): Pinned {
    if (occurrence instanceof Pinned) return occurrence;
    const event = occurrence instanceof Kept ? occurrence.event : occurrence.event.detach();
    const { process, isNew } = this.#lineages.pin(occurrence.process);
    return new Pinned(event, process, OCCURRENCE_BYTES + (isNew ? LINEAGE_BYTES : 0));
  }
}
