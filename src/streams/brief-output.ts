import type { OutputValue } from '../rules/detection.ts';
import { escapeHidden } from './escape.ts';

/** Bytes of a line of JSON beyond which its `output` has of long values only how they begin. */
export const LONG_LINE_BYTES = 1500;
/** Of a value, at least so many UTF-16 units stay. */
const MIN_START = 64;
const MARK = '…';
const MARK_BYTES = Buffer.byteLength(MARK);
/** Limit on the places where a reader looks for a cut value: logs hold what apps choose. */
const MAX_TRIES = 8;

type Fields = Readonly<Record<string, unknown>>;

/**
 * The output with the longest values cut until `excess` bytes are saved, or nothing is left to cut. `…` ends a cut value. Only
 * what stands whole in `fields` is cut, so that nothing is lost. `output` is escaped (`escapeHidden`), the fields are not.
 */
export function briefOutput(
  output: string,
  fields: Readonly<Record<string, OutputValue>>,
  excess: number,
): string {
  let brief = output;
  let left = excess;
  for (const value of longTexts(fields)) {
    if (left <= 0) break;
    const whole = escapeHidden(value);
    const start = startOf(value, Math.max(MIN_START, value.length - left - MARK_BYTES));
    if (start === value || !brief.includes(whole)) continue;
    const shorter = brief.replaceAll(whole, () => escapeHidden(start) + MARK);
    left -= Buffer.byteLength(brief) - Buffer.byteLength(shorter);
    brief = shorter;
  }
  return brief;
}

/** The output as it was before `briefOutput`, given the fields of its line. What was not cut stays as it is. */
export function wholeOutput(output: string, fields: Fields): string {
  if (!output.includes(MARK)) return output;
  let whole = output;
  for (const value of longTexts(fields)) {
    const escaped = escapeHidden(value);
    const cut = findCut(whole, escaped, escapeHidden(startOf(value, MIN_START)));
    if (cut !== undefined)
      whole = whole.slice(0, cut.start) + escaped + whole.slice(cut.end + MARK.length);
  }
  return whole;
}

/** Where only the start of the text stands, of at least the length of `least`: the mark follows at `end`. */
function findCut(
  output: string,
  text: string,
  least: string,
): { readonly start: number; readonly end: number } | undefined {
  let start = -1;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    start = output.indexOf(least, start + 1);
    if (start < 0) return undefined;
    let length = least.length;
    while (length < text.length && output[start + length] === text[length]) length++;
    if (length < text.length && output[start + length] === MARK)
      return { start, end: start + length };
  }
  return undefined;
}

/** Texts that can be cut, the longest first. A lone surrogate does not get into JSON, so that such a text is not whole there. */
function longTexts(fields: Fields): readonly string[] {
  return Object.values(fields)
    .filter((value) => typeof value === 'string')
    .filter((value) => value.length > MIN_START + MARK_BYTES && value.isWellFormed())
    .sort((one, other) => other.length - one.length);
}

/** The first `length` units; one less where the last is the first half of a character. */
function startOf(text: string, length: number): string {
  const last = text.charCodeAt(length - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length);
}
