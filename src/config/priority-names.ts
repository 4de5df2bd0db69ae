import * as z from 'zod';

/** Falco's names; Falco's configuration also accepts `info` for `informational`. */
export const PRIORITY_NAMES = [
  'emergency',
  'alert',
  'critical',
  'error',
  'warning',
  'notice',
  'informational',
  'debug',
] as const;

/** One of them, case-insensitive. */
export const priorityName = z
  .string()
  .transform((it) => it.toLowerCase())
  .transform((it) => (it === 'info' ? 'informational' : it))
  .pipe(z.enum(PRIORITY_NAMES));

export const PRIORITY_EXPECTED = `one of ${PRIORITY_NAMES.join(', ')}`;
