import type { Container } from '../apps/identity.ts';
import type { Process } from '../context/process.ts';
import type { KernelEvent } from '../events/event.ts';
import type { Subject } from '../rules/subject.ts';

/** Sees what containers do, and what rules find in it. Called synchronously for each event; must not throw. */
export interface Observer {
  /**
   * An event was evaluated, at once or after it was held, and its container was known by then. There are only events that some
   * rule asks for (`Evaluation.needs`). Both may be reused as soon as this returns.
   */
  evaluated(event: KernelEvent, process: Process, container: Container): void;
  /** A rule matched and the match counts, so there is a detection, or one more is counted. Called before it is written. */
  matched(rule: string, subject: Subject): void;
}
