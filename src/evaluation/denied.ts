import type { KernelEvent } from '../events/event.ts';
import type { Denied } from '../responses/response.ts';

const EPERM = -1;

/** What of the event was denied. `byFormer`: the programs of a former agent deny as well, and its records do not come here. */
export function deniedOf(event: KernelEvent, byFormer: boolean): Denied | undefined {
  const { denied, exec, open, result, type } = event;
  const isRefused = result === EPERM && (open !== undefined || type === 'connect');
  if (!denied && !(byFormer && isRefused)) return undefined;
  if (exec !== undefined) return 'program';
  return open === undefined ? 'connection' : 'file';
}
