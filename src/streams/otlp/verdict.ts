import type { IncomingHttpHeaders } from 'node:http';
import { MAX_RETRY_AFTER_MS, retryAfter, visible, type Verdict } from '../http/answer.ts';
import type { Answer } from '../http/post.ts';
import { decodeResponse, readStatus, type ExportResponse } from './api.ts';
import { isObject } from './any-value.ts';

/** Codes of gRPC that the specification says to retry: CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS. */
const RETRYABLE = new Set([1, 4, 10, 11, 14, 15]);
const RESOURCE_EXHAUSTED = 8;
/** PERMISSION_DENIED, UNAUTHENTICATED. */
const NOT_LET_IN = new Set([7, 16]);

/** Statuses of HTTP that the specification says to retry. */
const HTTP_RETRYABLE = new Set([429, 502, 503, 504]);
const HTTP_NOT_LET_IN = new Set([401, 403, 407]);

/** What gRPC tells of a call that failed. */
export interface CallFailure {
  readonly code: number;
  readonly details: string;
  /** `grpc-status-details-bin`: a google.rpc.Status. */
  readonly status: Buffer | undefined;
}

/**
 * What is taken, by the receiver's answer. `rejected` of the records it did not keep, and it does not say which. By the
 * specification such a request is never sent again.
 */
export function verdictOfResponse(response: ExportResponse): Verdict {
  const partial = isObject(response.partialSuccess) ? response.partialSuccess : {};
  const { rejectedLogRecords, errorMessage } = partial as Record<string, unknown>;
  const rejected = Number(rejectedLogRecords ?? 0);
  const reason = typeof errorMessage === 'string' ? visible(errorMessage) : '';
  return {
    kind: 'taken',
    ...(rejected > 0 ? { rejected } : {}),
    ...(reason === '' ? {} : { reason }),
  };
}

/**
 * By the specification's table, but for one thing: a receiver that does not let us in is tried again. Credentials are renewed
 * while the agent runs, and what is sent then is another request. RESOURCE_EXHAUSTED is about a request's size, unless the
 * receiver says when to come back.
 */
export function verdictOfFailure({ code, details, status }: CallFailure): Verdict {
  const { retryAfterMs } = status === undefined ? {} : readStatus(status);
  const reason = reasonOf(details);
  if (NOT_LET_IN.has(code))
    return { kind: 'later', reason: `it rejects the agent’s credentials (${reason})` };
  const canRecover = code === RESOURCE_EXHAUSTED && retryAfterMs !== undefined;
  if (!RETRYABLE.has(code) && !canRecover)
    return { kind: 'refused', reason: `it refuses the request (code ${code}: ${reason})` };
  return { kind: 'later', reason, ...bounded(retryAfterMs) };
}

/** The same of an answer over HTTP, whose body is a message of the protocol, or that of somebody between. `nowMs` is Unix time. */
export function verdictOfAnswer({ status, headers, body }: Answer, nowMs: number): Verdict {
  const isJson = headers['content-type']?.startsWith('application/json') === true;
  if (status >= 200 && status < 300) return verdictOfResponse(responseOf(body, isJson));
  const words = visible(messageOf(body, headers));
  const answer = `${status}${words === '' ? '' : `: ${words}`}`;
  if (HTTP_NOT_LET_IN.has(status))
    return { kind: 'later', reason: `it rejects the agent’s credentials (${answer})` };
  if (!HTTP_RETRYABLE.has(status))
    return { kind: 'refused', reason: `it refuses the request (${answer})` };
  return {
    kind: 'later',
    reason: `it cannot take it now (${answer})`,
    ...bounded(retryAfter(headers['retry-after'], nowMs)),
  };
}

/** What cannot be read says nothing: the status has said that it is taken. */
function responseOf(body: Buffer, isJson: boolean): ExportResponse {
  try {
    const response: unknown = isJson ? JSON.parse(body.toString()) : decodeResponse(body);
    return isObject(response) ? response : {};
  } catch {
    return {};
  }
}

function messageOf(body: Buffer, headers: IncomingHttpHeaders): string {
  const type = headers['content-type'] ?? '';
  if (type.startsWith('application/x-protobuf')) return readStatus(body).message ?? '';
  const text = body.toString();
  if (!type.startsWith('application/json')) return text;
  try {
    const parsed: unknown = JSON.parse(text);
    return isObject(parsed) && typeof parsed['message'] === 'string' ? parsed['message'] : text;
  } catch {
    return text;
  }
}

/** Of "No connection established. Last error: …. Resolution note: …" the error, with what to look at. */
function reasonOf(details: string): string {
  const error = /Last error: (.*?)\.?(?: Resolution note: .*)?$/s.exec(details)?.[1] ?? details;
  const hint = /altnames/.test(error)
    ? '; see server_name'
    : /certificate/.test(error) && !/alert/.test(error)
      ? '; see ca'
      : '';
  return `${visible(error)}${hint}`;
}

const bounded = (ms: number | undefined): { readonly retryAfterMs?: number } =>
  ms === undefined ? {} : { retryAfterMs: Math.min(ms, MAX_RETRY_AFTER_MS) };
