import type { IncomingHttpHeaders } from 'node:http';

import { escapeText } from '../escape.ts';

/** Meaning of a response for the lines of its request. */
export type Verdict =
  | {
      readonly kind: 'taken';
      /** Of what was sent, so many parts were not kept: the receiver does not say which, but maybe why. */
      readonly rejected?: number;
      readonly reason?: string;
    }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'later'; readonly reason: string; readonly retryAfterMs?: number };

/** Upper limit for the delay that a receiver asks for. */
export const MAX_RETRY_AFTER_MS = 3_600_000;

/** About the sender, not about the line: lines are not to be lost while a token or certificate is being replaced. */
const NOT_LET_IN = new Set([401, 403, 407]);

/** The same request may do at another time: Request Timeout, Too Early, Too Many Requests (RFC 9110, 8470, 6585). */
const ANOTHER_TIME = new Set([408, 425, 429]);

const SAID_CHARS = 160;

/**
 * 2xx: taken. 401, 403, 407 (about the sender): later. 408, 425, 429 (about the time) and 5xx: later, at Retry-After if given.
 * Other 4xx: refused, since a retry would be refused as well. 3xx: refused; redirects are not followed, since only the
 * configuration decides where lines go. `said` is the start of the body, for the message; `nowMs` is Unix time.
 */
export function verdictOf(
  status: number,
  headers: IncomingHttpHeaders,
  said: string,
  nowMs: number,
): Verdict {
  if (status >= 200 && status < 300) return { kind: 'taken' };
  if (status >= 300 && status < 400) {
    const target = headers.location === undefined ? '' : ` to ${visible(headers.location)}`;
    return {
      kind: 'refused',
      reason: `it redirects the request (${status}${target}); redirects are not followed`,
    };
  }
  const words = visible(said);
  const answer = `${status}${words === '' ? '' : `: ${words}`}`;
  if (NOT_LET_IN.has(status))
    return { kind: 'later', reason: `it rejects the agent’s credentials (${answer})` };
  if (status >= 400 && status < 500 && !ANOTHER_TIME.has(status))
    return { kind: 'refused', reason: `it refuses the request (${answer})` };
  const retryAfterMs = retryAfter(headers['retry-after'], nowMs);
  return {
    kind: 'later',
    reason: `it cannot take it now (${answer})`,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** RFC 9110, 10.2.3: seconds or a date. At most MAX_RETRY_AFTER_MS; undefined for anything else. */
export function retryAfter(value: string | undefined, nowMs: number): number | undefined {
  const text = value?.trim() ?? '';
  if (/^\d{1,10}$/.test(text)) return Math.min(Number(text) * 1000, MAX_RETRY_AFTER_MS);
  // Date.parse takes much that is no HTTP date; those begin with the day's name.
  const atMs = /^[A-Z][a-z]{2,8}[, ]/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.min(Math.max(0, atMs - nowMs), MAX_RETRY_AFTER_MS);
}

/** What a receiver says, as one line of visible text of some 160 characters at most. */
export function visible(text: string): string {
  const line = text.trim().replace(/\s+/g, ' ');
  return escapeText(line.length <= SAID_CHARS ? line : `${line.slice(0, SAID_CHARS)}…`);
}
