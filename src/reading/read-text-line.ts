import { PRIORITIES } from '../rules/detection.ts';
import type { Priority } from '../rules/detection.ts';
import { ORIGINS } from '../rules/lineage.ts';
import type { ReadLineage } from './read-detection.ts';

/** A detection as one of the agent's text lines tells it: what `streams/format.ts` wrote. */
export interface ReadTextLine {
  /** Time of day, UTC, nanoseconds: a text line has no date. */
  readonly clock: string;
  readonly priority: Priority;
  readonly app: string | undefined;
  readonly instance: string | undefined;
  readonly rule: string;
  readonly container: string | undefined;
  readonly id: string;
  readonly seq: number;
  readonly incident: string | undefined;
  readonly lineage: ReadLineage | undefined;
  /** Of what the agent says of itself: as in `output_fields`, but every value is text. */
  readonly fields: Readonly<Record<string, string>>;
  /** As the line has it, escaped. */
  readonly output: string;
}

/** A terminal's colours may stand around the priority. */
const HEAD = /^(\d\d:\d\d:\d\d\.\d{9}): (?:\x1b\[[\d;]{1,8}m)?([A-Z][a-z]+)(?:\x1b\[0m)? \[/;
const FIELD = /([a-z][a-z_.]*)=("(?:[^"\\]|\\.)*"|[A-Za-z0-9_.:/@+-]+)( |\] )/y;
const ESCAPE = /\\(?:x([0-9a-f]{2})|u\{([0-9a-f]{1,6})\}|u([0-9a-f]{4})|(.))/gs;

/**
 * The detection that a text line is; undefined for any other text. What it claims stands before the closing bracket, where
 * nothing that a container chose can end a value. Never throws.
 */
export function readTextLine(text: string): ReadTextLine | undefined {
  const head = HEAD.exec(text);
  const priority = PRIORITIES.find((name) => name === head?.[2]);
  if (head === null || priority === undefined) return undefined;
  const fields = new Map<string, string>();
  let at = head[0].length;
  for (let ended = false; !ended;) {
    FIELD.lastIndex = at;
    const match = FIELD.exec(text);
    if (match === null) return undefined;
    const [whole, name = '', value = '', end] = match;
    if (fields.has(name)) return undefined;
    fields.set(name, value.startsWith('"') ? unescape(value.slice(1, -1)) : value);
    at += whole.length;
    ended = end === '] ';
  }
  const [rule, id, seq] = [fields.get('rule'), fields.get('id'), Number(fields.get('seq'))];
  if (rule === undefined || id === undefined || !Number.isSafeInteger(seq) || seq < 0)
    return undefined;
  return {
    clock: head[1] ?? '',
    priority,
    rule,
    id,
    seq,
    app: fields.get('app'),
    instance: fields.get('instance'),
    container: fields.get('container'),
    incident: fields.get('incident'),
    lineage: lineageOf(fields.get('lineage')),
    fields: Object.fromEntries([...fields].filter(([name]) => name.includes('.'))),
    output: text.slice(at),
  };
}

function unescape(escaped: string): string {
  const short: Record<string, string> = { n: '\n', r: '\r', t: '\t' };
  return escaped.replace(
    ESCAPE,
    (_, x?: string, braced?: string, u?: string, other: string = '') => {
      const hex = x ?? braced ?? u;
      if (hex === undefined) return short[other] ?? other;
      const code = Number.parseInt(hex, 16);
      return code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
    },
  );
}

/** `cat(31)<sh(30)<node(1)`, then perhaps `<…` or `<?`, then perhaps an origin. */
function lineageOf(text: string | undefined): ReadLineage | undefined {
  if (text === undefined) return undefined;
  const parts = text.split('<');
  const origin = ORIGINS.find((one) => one === parts.at(-1));
  if (origin !== undefined) parts.pop();
  const last = parts.at(-1);
  const above = last === '…' ? 'more' : last === '?' ? 'unknown' : 'outside';
  const told = above === 'outside' ? parts : parts.slice(0, -1);
  const processes = told.flatMap((part) => {
    const match = /^([^()]*)\((\d{1,10})\)$/s.exec(part);
    return match === null
      ? []
      : [{ pid: Number(match[2]), start: undefined, name: match[1] ?? '' }];
  });
  return processes.length === 0 || processes.length !== told.length
    ? undefined
    : { processes, above, ...(origin && { origin }) };
}
