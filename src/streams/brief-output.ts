import type { OutputValue } from '../rules/detection.ts';
import { escapeHidden } from './escape.ts';

/** Bytes of a line of JSON beyond which its `output` has of commands only how they begin. */
export const LONG_LINE_BYTES = 900;
/** Bytes beyond which that is so of all long values. */
export const TOO_LONG_LINE_BYTES = 1500;
/** Of a value, at least so many UTF-16 units stay. */
const MIN_START = 64;
/** Of the command of a process above: `lineage` has their names. */
const MIN_START_ABOVE = 40;
const MARK = '…';
const MARK_BYTES = Buffer.byteLength(MARK);
/** Limit on the places where a reader looks for a cut value: logs hold what apps choose. */
const MAX_TRIES = 8;

type Fields = Readonly<Record<string, unknown>>;

/** A value that can be cut. */
interface LongText {
  readonly text: string;
  readonly isCommand: boolean;
  /** UTF-16 units that stay at least. */
  readonly least: number;
}

/**
 * The output of a line of `lineBytes` bytes, with the longest values cut: commands until the line has LONG_LINE_BYTES, all others
 * until it has TOO_LONG_LINE_BYTES, or nothing is left to cut. `…` ends a cut value. Only what stands whole in `fields` is cut, so
 * that nothing is lost. `output` is escaped (`escapeHidden`), the fields are not.
 */
export function briefOutput(
  output: string,
  fields: Readonly<Record<string, OutputValue>>,
  lineBytes: number,
): string {
  const texts = longTexts(fields);
  const commands = texts.filter(({ isCommand }) => isCommand);
  const brief = cutLongest(output, commands, texts, lineBytes - LONG_LINE_BYTES);
  const saved = Buffer.byteLength(output) - Buffer.byteLength(brief);
  return cutLongest(brief, texts, texts, lineBytes - saved - TOO_LONG_LINE_BYTES);
}

/** Cuts until `excess` bytes are saved. What stays of a text is the start of no other one: else nobody could tell whose it is. */
function cutLongest(
  output: string,
  some: readonly LongText[],
  all: readonly LongText[],
  excess: number,
): string {
  let brief = output;
  let left = excess;
  for (const { text, least } of some) {
    if (left <= 0) break;
    const whole = escapeHidden(text);
    // Another value may have it within: there it stays.
    const place = brief.includes(`=${whole}`) ? `=${whole}` : whole;
    if (!brief.includes(place)) continue;
    const length = Math.max(least, text.length - left - MARK_BYTES, ownLength(text, all));
    if (length + MARK_BYTES >= text.length) continue;
    const start = escapeHidden(startOf(text, length)) + MARK;
    const shorter = brief.replaceAll(place, () => place.slice(0, -whole.length) + start);
    left -= Buffer.byteLength(brief) - Buffer.byteLength(shorter);
    brief = shorter;
  }
  return brief;
}

/** How long a start of the text must be, for no other one to begin with it. */
function ownLength(text: string, all: readonly LongText[]): number {
  let longest = 0;
  for (const { text: other } of all) {
    if (other === text) continue;
    let length = 0;
    while (length < text.length && text[length] === other[length]) length++;
    longest = Math.max(longest, length);
  }
  // Half a character does not stay.
  return longest + 2;
}

/** The output as it was before `briefOutput`, given the fields of its line. What was not cut stays as it is. */
export function wholeOutput(output: string, fields: Fields): string {
  if (!output.includes(MARK)) return output;
  let whole = output;
  for (const { text, least } of longTexts(fields)) {
    const escaped = escapeHidden(text);
    const start = escapeHidden(startOf(text, least));
    const cut = findCut(whole, escaped, start, '=') ?? findCut(whole, escaped, start, '');
    if (cut !== undefined)
      whole = whole.slice(0, cut.start) + escaped + whole.slice(cut.end + MARK.length);
  }
  return whole;
}

/** Where only the start of the text stands behind `before`, of at least the length of `least`: the mark follows at `end`. */
function findCut(
  output: string,
  text: string,
  least: string,
  before: string,
): { readonly start: number; readonly end: number } | undefined {
  let found = -1;
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    found = output.indexOf(before + least, found + 1);
    if (found < 0) return undefined;
    const start = found + before.length;
    let length = least.length;
    while (length < text.length && output[start + length] === text[length]) length++;
    if (length < text.length && output[start + length] === MARK)
      return { start, end: start + length };
  }
  return undefined;
}

/** Texts that can be cut, the longest first. A lone surrogate does not get into JSON, so that such a text is not whole there. */
function longTexts(fields: Fields): readonly LongText[] {
  return Object.entries(fields)
    .flatMap(([key, text]) => (typeof text === 'string' ? [{ text, ...kindOf(key) }] : []))
    .filter(({ text, least }) => text.length > least + MARK_BYTES && text.isWellFormed())
    .sort((one, other) => other.text.length - one.text.length);
}

const COMMAND = /^proc\.([ap]?)cmdline\b/;

function kindOf(key: string): Omit<LongText, 'text'> {
  const above = COMMAND.exec(key)?.[1];
  return { isCommand: above !== undefined, least: above ? MIN_START_ABOVE : MIN_START };
}

/** The first `length` units; one less where the last is the first half of a character. */
function startOf(text: string, length: number): string {
  const last = text.charCodeAt(length - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length);
}
