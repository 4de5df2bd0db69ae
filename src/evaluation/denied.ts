import type { KernelEvent } from '../events/event.ts';
import { CALL_WAYS, JUDGED_CALLS } from '../events/table.gen.ts';
import type { Denied } from '../responses/response.ts';
import type { Subject } from '../rules/subject.ts';

const EPERM = -1;
/** Besides opens. */
const REFUSABLE: readonly string[] = ['connect', ...JUDGED_CALLS, ...Object.keys(CALL_WAYS)];

/** What of the event was denied. `byFormer`: the programs of a former agent deny as well, and its records do not come here. */
export function deniedOf(event: KernelEvent, byFormer: boolean): Denied | undefined {
  const { denied, exec, open, result, type } = event;
  const isRefused = result === EPERM && (open !== undefined || REFUSABLE.includes(type));
  if (!denied && !(byFormer && isRefused)) return undefined;
  if (exec !== undefined) return 'program';
  if (type === 'connect') return 'connection';
  if (open !== undefined) return 'file';
  return Object.hasOwn(CALL_WAYS, type) ? 'call' : 'change';
}

/**
 * Whether the rules know at least what the kernel's verdict was made of. They may ask for what the container is, they leave out
 * the runtime's set-up, and a program that was read from /proc can be another by now. So can that of an ancestor which has run another
 * one between the verdict and the record.
 */
export function isComparable({ container, event, process }: Subject): boolean {
  for (let above = process.parent; above !== undefined; above = above.parent)
    if (above.imageSinceBootNs > event.bootNs) return false;
  return container !== undefined && !process.setup && process.origin === 'probe';
}
