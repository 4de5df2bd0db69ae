import type { KernelEvent } from '../events/event.ts';
import { JUDGED_CALLS } from '../events/table.gen.ts';
import type { Denied } from '../responses/response.ts';

const EPERM = -1;
/** Besides opens. */
const REFUSABLE: readonly string[] = ['connect', ...JUDGED_CALLS];

/** What of the event was denied. `byFormer`: the programs of a former agent deny as well, and its records do not come here. */
export function deniedOf(event: KernelEvent, byFormer: boolean): Denied | undefined {
  const { denied, exec, open, result, type } = event;
  const isRefused = result === EPERM && (open !== undefined || REFUSABLE.includes(type));
  if (!denied && !(byFormer && isRefused)) return undefined;
  if (exec !== undefined) return 'program';
  if (type === 'connect') return 'connection';
  return open === undefined ? 'change' : 'file';
}
