import * as z from 'zod';

/** As in a Falco configuration, where `info` is another word for `informational`. */
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

/** One of them, in whatever case. */
export const priorityName = z
  .string()
  .transform((it) => it.toLowerCase())
  .transform((it) => (it === 'info' ? 'informational' : it))
  .pipe(z.enum(PRIORITY_NAMES));

export const PRIORITY_EXPECTED = `one of ${PRIORITY_NAMES.join(', ')}`;
