import { pinProcess } from '../context/pinned-process.ts';
import type { Process } from '../context/process.ts';
import type { KernelEvent } from '../events/event.ts';

/** The kernel reports a move some microseconds after it; on a busy host the process can run until then. */
const WAIT_MS = 1000;
/** Limit on events that wait; one beyond it is evaluated at once. */
const EVENTS_MAX = 1000;

interface Waiting {
  readonly events: { readonly event: KernelEvent; readonly process: Process }[];
  readonly timer: NodeJS.Timeout;
}

/**
 * Keeps events of processes of which nothing has told yet how they came into a container. Between the move of a runtime's
 * process into the cgroup and its record, the process acts as if it were the app's. The record, or an exec, decides; without
 * either its events are evaluated after a second. Its later events wait behind them, those of other processes do not.
 */
export class UntoldEvents {
  readonly #evaluate: (event: KernelEvent, process: Process) => void;
  readonly #waiting = new Map<Process, Waiting>();
  /** Of which nothing was told in time. */
  readonly #settled = new WeakSet<Process>();
  #count = 0;

  constructor(evaluate: (event: KernelEvent, process: Process) => void) {
    this.#evaluate = evaluate;
  }

  /** Whether the event waits; it may be reused then. Else it is to be evaluated now, as what has waited was. */
  takes(event: KernelEvent, process: Process): boolean {
    if (process.untold !== true && this.#waiting.size === 0) return false;
    const isOpen =
      process.untold === true && event.type !== 'procexit' && !this.#settled.has(process);
    if (!isOpen || this.#count >= EVENTS_MAX) {
      this.#release(process);
      return false;
    }
    const known = this.#waiting.get(process) ?? this.#begin(process);
    known.events.push({ event: event.detach(), process: pinProcess(process) });
    this.#count++;
    return true;
  }

  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** Call when the tree has been told of a move: evaluates what has waited for it. */
  onMove(): void {
    for (const process of this.#waiting.keys()) if (process.untold !== true) this.#release(process);
  }

  /** Evaluates all that waits. */
  finish(): void {
    for (const process of this.#waiting.keys()) this.#release(process);
  }

  #begin(process: Process): Waiting {
    const timer = setTimeout(() => this.#release(process), WAIT_MS).unref();
    const waiting = { events: [], timer };
    this.#waiting.set(process, waiting);
    return waiting;
  }

  #release(process: Process): void {
    const waiting = this.#waiting.get(process);
    if (waiting === undefined) return;
    clearTimeout(waiting.timer);
    this.#waiting.delete(process);
    this.#count -= waiting.events.length;
    if (process.untold === true) this.#settled.add(process);
    // Set-up has the mark now, and is left out; anything else is as it was then.
    for (const { event, process: then } of waiting.events)
      this.#evaluate(event, process.setup ? process : then);
  }
}
