import type { Lineage } from '../rules/lineage.ts';
import { escapeJson, quoteField, shorten } from './escape.ts';

/** Of `lineage` in a JSON line, with its name; a name of 15 bytes takes at most 90 of them. */
export const MAX_LINEAGE_BYTES = 640;
/** Of the value in a text line. */
const MAX_TEXT_BYTES = 256;
/** Longer than any comm, also escaped. */
const MAX_NAME_BYTES = 96;

/**
 * `{"processes":[{"pid","start","name"}, …],"above":…,"origin":…}` as JSON of at most `maxBytes` bytes. It has no `above`
 * where that is `outside`. Drops the oldest ancestors if they
 * do not fit, and `above` is `more` then. Undefined if not even the process itself fits.
 */
export function lineageJson(
  { processes, above, origin }: Lineage,
  maxBytes: number,
): string | undefined {
  const told = origin === undefined ? '' : `,"origin":${escapeJson(origin)}`;
  const whole = (parts: readonly string[], what: Lineage['above']): string => {
    const end = what === 'outside' ? '' : `,"above":${escapeJson(what)}`;
    return `{"processes":[${parts.join(',')}]${end}${told}}`;
  };
  // Sized with the longest possible value of `above`.
  let left = maxBytes - Buffer.byteLength(whole([], 'unknown'));
  const parts: string[] = [];
  for (const { pid, start, name } of processes) {
    const shown = shorten(name, MAX_NAME_BYTES, escapeJson).encoded;
    const part = `{"pid":${pid},"start":${start},"name":${shown}}`;
    left -= Buffer.byteLength(part) + 1;
    if (left < 0) return parts.length === 0 ? undefined : whole(parts, 'more');
    parts.push(part);
  }
  return whole(parts, above);
}

/**
 * `"cat(31)<sh(30)<exec"`: the process with its pid, its ancestors, and how the first one came into the container. There is
 * a `<…` after the ancestors if there are more, and a `<?` if that is unknown. At most 256 bytes. Delimiters of this format
 * become `?` in names.
 */
export function lineageText(lineage: Lineage): string {
  return quoteField(lineageWords(lineage));
}

/** The same without the quotes. */
export function lineageWords({ processes, above, origin }: Lineage): string {
  const from = origin === undefined ? '' : `<${origin}`;
  const last = { outside: '', more: '<…', unknown: '<?' }[above];
  const text = processes.map(({ pid, name }) => `${name.replace(/[()<>?…]/g, '?')}(${pid})`);
  for (let count = text.length; count > 0; count--) {
    const end = count === text.length ? last : '<…';
    const words = text.slice(0, count).join('<') + end + from;
    if (Buffer.byteLength(quoteField(words)) <= MAX_TEXT_BYTES) return words;
  }
  return '…';
}
