/** Handles that one list may have; Garden's own bound is 250 a cell by default. */
export const MAX_HANDLES = 16384;

/**
 * A handle that can be asked for: it becomes a part of a query in which a comma separates. Diego's are guids, with or
 * without a suffix; Garden's own are letters and digits.
 */
const HANDLE = /^[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,254}$/;

export function isUsableHandle(handle: string): boolean {
  return HANDLE.test(handle);
}

/** What Garden says of one container. */
export type GardenInfo =
  | { readonly state: 'known'; readonly properties: Readonly<Record<string, unknown>> }
  /** It has an error instead: it knows no such container, not yet or no more. It does not tell these apart. */
  | { readonly state: 'unknown' }
  /** Nothing, or something that is no answer. */
  | { readonly state: 'nonsense' };

const NONSENSE: GardenInfo = { state: 'nonsense' };

/** `GET /containers`: the handles of the containers that are completely made. Undefined when it is no such answer. */
export function parseHandles(answer: unknown): readonly string[] | undefined {
  if (!isRecord(answer)) return undefined;
  const handles = answer['Handles'];
  // Go writes an empty list as null.
  if (handles === null) return [];
  if (!Array.isArray(handles)) return undefined;
  return handles
    .filter((handle): handle is string => typeof handle === 'string' && isUsableHandle(handle))
    .slice(0, MAX_HANDLES);
}

/**
 * What `GET /containers/bulk_info` says of one of the handles that it was asked for. Undefined when the whole is no
 * such answer; what it says of others than those asked for is never looked at.
 */
export function parseBulkInfo(answer: unknown, handle: string): GardenInfo | undefined {
  if (!isRecord(answer)) return undefined;
  const entry = Object.hasOwn(answer, handle) ? answer[handle] : undefined;
  if (!isRecord(entry)) return NONSENSE;
  const { Err: error, Info: info } = entry;
  if (error !== null && error !== undefined) return { state: 'unknown' };
  if (!isRecord(info)) return NONSENSE;
  const properties = info['Properties'];
  if (properties === null || properties === undefined) return { state: 'known', properties: {} };
  return isRecord(properties) ? { state: 'known', properties } : NONSENSE;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
