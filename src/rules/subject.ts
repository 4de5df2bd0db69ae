import type { Container } from '../apps/identity.ts';
import type { AddressNames, Process, UserNames } from '../context/process.ts';
import type { ProcessUsage } from '../context/process-usage.ts';
import type { KernelEvent } from '../events/event.ts';

/** What a rule is evaluated against. */
export interface Subject {
  readonly event: KernelEvent;
  readonly process: Process;
  readonly container: Container | undefined;
  readonly users: UserNames;
  readonly domains: AddressNames;
  readonly usage: ProcessUsage;
  readonly hostname: string;
}
