import * as z from 'zod';

import { parseHttpAddress } from './receiver-address.ts';
import { clientTls, duration, flag, optionalPath, parsedText, text, value } from './value-types.ts';

const LOG_CACHE_FORM = 'an address such as https://log-cache.example.org, without a query';

/** HTTPS only: the response contains an app's log, and the request may contain a token. */
function parseLogCacheAddress(address: string): unknown {
  const parsed = parseHttpAddress(address);
  if (typeof parsed === 'string') return parsed;
  return parsed.secure && !parsed.path.includes('?') ? parsed : LOG_CACHE_FORM;
}

/** A name of the app, as in lines. */
const name = () =>
  value(
    text('a name')
      .max(256)
      .refine((it) => !/\p{Cc}/u.test(it))
      .optional(),
    'text',
    'a name of at most 256 characters without control characters',
  );

/** The section `canary`. */
export const CANARY_SCHEMA = z.strictObject({
  enabled: flag(false),
  interval: duration(60_000, 7 * 86_400_000, '24h'),
  timeout: duration(1000, 600_000, '60s'),
  app: z
    .strictObject({
      name: name(),
      guid: value(
        z
          .string()
          .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/)
          .optional(),
        'text',
        'the guid of an app: letters, digits, "_", "." and "-", at most 128 of them',
      ),
      space: name(),
      org: name(),
    })
    .prefault({}),
  read: z
    .strictObject({
      log_cache: z
        .strictObject({
          address: parsedText(parseLogCacheAddress, LOG_CACHE_FORM),
          ...clientTls('Log Cache'),
          token_file: optionalPath('the path of a file with a bearer token'),
        })
        .prefault({}),
    })
    .prefault({}),
});
