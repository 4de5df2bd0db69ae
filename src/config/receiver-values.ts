import { validateHeaderName, validateHeaderValue } from 'node:http';

/** Limit on configured headers of a request. */
export const MAX_HEADERS = 16;

/** Limit on the size of a header's value. */
export const MAX_HEADER_BYTES = 1024;

/** The request sets these itself: a second one could contradict it. */
const OWN_HEADERS = [
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

/** Checks headers against RFC 9110, 5.1 and 5.5. Returns a phrase that says what they must be; undefined if they are valid. */
export function wrongHeaders(headers: Readonly<Record<string, string>>): string | undefined {
  const names = Object.keys(headers);
  if (names.length > MAX_HEADERS) return `at most ${MAX_HEADERS} headers`;
  if (new Set(names.map((name) => name.toLowerCase())).size < names.length)
    return 'headers of which each is there once';
  for (const [name, value] of Object.entries(headers)) {
    const own = OWN_HEADERS.find((it) => it === name.toLowerCase());
    if (own !== undefined) return `headers without ${own}, which the request sets itself`;
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      return 'headers with names as in RFC 9110 and values without control characters';
    }
    if (name.length > 256 || Buffer.byteLength(value) > MAX_HEADER_BYTES)
      return `headers with values of at most ${MAX_HEADER_BYTES} bytes`;
  }
  return undefined;
}

/**
 * Whether gRPC can send them: names that are not its own (`grpc-…`) and mean no bytes (`…-bin`), values in printable ASCII.
 * Returns a phrase that says what they must be; undefined if they are valid.
 */
export function wrongMetadata(headers: Readonly<Record<string, string>>): string | undefined {
  const valid = Object.entries(headers).every(
    ([name, value]) => !/^grpc-|-bin$/i.test(name) && /^[\x20-\x7e]*$/.test(value),
  );
  return valid
    ? undefined
    : 'must have no names that begin with grpc- or end with -bin, and values in printable ASCII';
}

/** Whether PROCID and a tag can hold it: 1 to 32 printable ASCII characters, not only blanks and hyphens. */
export function isSourceType(text: string): boolean {
  return /^[\x20-\x7e]{1,32}$/.test(text) && /[^ -]/.test(text);
}

/** Whether APP-NAME can hold it: 1 to 48 printable ASCII characters, none blank. */
export function isSourceId(text: string): boolean {
  return /^[\x21-\x7e]{1,48}$/.test(text);
}
