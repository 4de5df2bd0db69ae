/** Handles that one list may have; Garden's own bound is 250 a cell by default. */
export const MAX_HANDLES = 16384;

/**
 * A handle that fits into a query, where a comma separates handles. Diego's are guids, with or without a suffix;
 * Garden's own are letters and digits.
 */
const HANDLE = /^[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,254}$/;

export function isUsableHandle(handle: string): boolean {
  return HANDLE.test(handle);
}

/** What Garden says of one container. */
export type GardenInfo =
  | { readonly state: 'known'; readonly properties: Readonly<Record<string, unknown>> }
  /** Garden answered with an error: it does not know the container yet, or no longer. It does not distinguish these. */
  | { readonly state: 'unknown' }
  /** No answer, or an invalid one. */
  | { readonly state: 'nonsense' };

const NONSENSE: GardenInfo = { state: 'nonsense' };

/** `GET /containers`: the handles of the fully created containers. Undefined for an invalid answer. */
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
 * The entry of one requested handle in the answer of `GET /containers/bulk_info`. Undefined when the whole answer is
 * invalid; entries of other handles are never read.
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
