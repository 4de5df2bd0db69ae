import { parseDurationMs } from '../config/units.ts';
import { msOf } from '../reading/found.ts';
import { UserError } from '../shared/user-error.ts';

/** Unix ms of `2026-01-31`, `2026-01-31T08:15`, with seconds and a zone if wanted (else UTC), or how long ago: `90s`, `30m`, `2h`. Throws UserError (exit code 2). */
export function momentOf(
  option: string,
  text: string | undefined,
  nowMs: number,
): number | undefined {
  if (text === undefined) return undefined;
  const agoMs = parseDurationMs(text);
  if (agoMs !== undefined) return nowMs - agoMs;
  const [, day = '', minute, second = ':00', fraction = '', zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(:\d\d)?(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)?)?$/.exec(text) ??
    [];
  const ms = msOf(`${day}T${minute ?? '00:00'}${second}${fraction}${zone}`);
  if (ms !== undefined) return ms;
  throw new UserError(
    `${option} is a time such as 2026-01-31T08:15 or 2026-01-31T08:15:04Z (UTC without a zone), or how long ago, such as 30m or 2h; it is "${text.slice(0, 60)}".`,
    { exitCode: 2 },
  );
}
