import type { Detection, Priority } from '../rules/detection.ts';
import { quoteField, escapeText, shorten } from './escape.ts';
import { formatFalcoJson } from './falco-form.ts';
import { formatJson } from './format-json.ts';
import { lineageText } from './lineage.ts';
import { RecentLines } from './recent-lines.ts';
import { clockTime } from './time.ts';
import type { Delivery } from './stream.ts';

/** Of the fields in a text line of the agent's own. */
const MAX_OWN_FIELDS_BYTES = 1024;

/** How a line looks: JSON for machines, the same for what reads Falco's events, text for eyes. */
export type LineFormat = 'json' | 'falco' | 'text';

/** A line of any stream takes at most this many bytes, without its newline. */
export const MAX_LINE_BYTES = 8192;

/** Lowest `maxBytes` that is accepted: the parts that every line keeps need it. */
export const MIN_LINE_BYTES = 3840;

/** What `formatLine` is to make. */
export interface LineOptions {
  readonly format: LineFormat;
  /** UTF-8 bytes without the newline; from MIN_LINE_BYTES, default MAX_LINE_BYTES. */
  readonly maxBytes?: number;
  /** Text only: colour the priority with ANSI codes of our own. */
  readonly colour?: boolean;
}

/** SGR parameters by priority. */
export const COLOURS: Readonly<Record<Priority, string>> = {
  Emergency: '1;31',
  Alert: '1;31',
  Critical: '1;31',
  Error: '31',
  Warning: '33',
  Notice: '36',
  Informational: '2',
  Debug: '2',
};

/**
 * One detection as one line, without a newline, of at most `maxBytes` bytes. What had to be cut is marked in
 * the line (`truncated`); rule, priority, time, app, id, seq and container are always kept. The same delivery
 * always gives the same line.
 *
 * Text is `HH:MM:SS.nnnnnnnnn: Priority [app=… instance=… rule=… container=… sidecar=… id=… seq=… incident=… lineage=…] message` (UTC). What
 * we vouch for comes first, quoted where needed; the message, which holds text that attackers choose, comes
 * last and cannot end before the line does: whatever it claims stands behind the closing bracket. Of what the agent says of
 * itself the fields stand there too, in the place of a lineage: a machine has no need to read the sentence.
 */
export function formatLine(delivery: Delivery, options: LineOptions): string {
  const maxBytes = options.maxBytes ?? MAX_LINE_BYTES;
  if (maxBytes < MIN_LINE_BYTES) {
    throw new RangeError(`a line cannot be bounded to less than ${MIN_LINE_BYTES} bytes`);
  }
  const { format, colour = false } = options;
  const make = (): string => {
    if (format === 'text') return formatText(delivery, maxBytes, colour);
    return (format === 'json' ? formatJson : formatFalcoJson)(delivery, maxBytes);
  };
  return maxBytes === MAX_LINE_BYTES && !colour ? RECENT[format].get(delivery, make) : make();
}

/** As all streams but a terminal want them; 2 MiB of each form. */
const RECENT: Readonly<Record<LineFormat, RecentLines>> = {
  json: new RecentLines(),
  falco: new RecentLines(),
  text: new RecentLines(),
};

function formatText(delivery: Delivery, maxBytes: number, colour: boolean): string {
  const { detection, id, seq } = delivery;
  const { container } = detection;
  const cuts: boolean[] = [];
  const field = (name: string, value: string | undefined, limit: number): string[] => {
    if (value === undefined) return [];
    const short = shorten(value, limit, quoteField);
    cuts.push(short.cut);
    return [`${name}=${short.encoded}`];
  };
  const fields = [
    ...field('app', container?.app?.name, 256),
    ...field('instance', container?.app?.instance, 64),
    ...field('rule', detection.rule, 512),
    // A notice about a line from the spool has no container any more.
    ...field('container', container?.id || undefined, 64),
    ...field('sidecar', container?.sidecar, 64),
    ...field('id', id, 64),
    `seq=${seq}`,
    ...field('incident', detection.incident, 64),
    ...(detection.lineage === undefined ? [] : [`lineage=${lineageText(detection.lineage)}`]),
  ];
  if (detection.source === 'varvel') {
    const own = ownFields(detection);
    fields.push(...own.fields);
    cuts.push(own.cut);
  }
  const paint = colour ? `\x1b[${COLOURS[detection.priority]}m` : '';
  const priority = `${paint}${detection.priority}${colour ? '\x1b[0m' : ''}`;
  const start = `${clockTime(detection.timeNs)}: ${priority} [`;
  const mark = ' truncated=true';
  const used = Buffer.byteLength(start + fields.join(' ') + mark) + '] '.length;
  const message = shorten(messageOf(detection), maxBytes - used, escapeText);
  const isCut = message.cut || cuts.includes(true) || detection.truncated === true;
  const marked = isCut ? mark : '';
  return `${start}${fields.join(' ')}${marked}] ${message.encoded}`;
}

/** The output without the rule's name at its start: the line has it already. */
function messageOf({ rule, output }: Detection): string {
  return output.startsWith(`${rule} | `) ? output.slice(rule.length + 3) : output;
}

/** `name=value` of those that have a value, in their order, as long as there is room. */
function ownFields({ outputFields }: Pick<Detection, 'outputFields'>): {
  readonly fields: readonly string[];
  readonly cut: boolean;
} {
  const fields: string[] = [];
  let room = MAX_OWN_FIELDS_BYTES;
  for (const [name, value] of Object.entries(outputFields)) {
    if (value === null) continue;
    const field = `${name}=${quoteField(String(value))}`;
    room -= Buffer.byteLength(field) + 1;
    if (room < 0) return { fields, cut: true };
    fields.push(field);
  }
  return { fields, cut: false };
}
