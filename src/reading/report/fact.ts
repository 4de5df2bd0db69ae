import { escapeHidden, escapeText } from '../../streams/escape.ts';
import type { Found } from '../found.ts';
import { html } from './html.ts';
import type { Html } from './html.ts';

/** Of a name, an address or a command; the whole line has all of it. */
const MAX_FACT_CHARS = 200;

/** What a detection can be about besides its command; the first that the line has is named. */
const OBJECT_FIELDS = [
  'fd.name',
  'fs.path.placed',
  'evt.arg.path',
  'evt.arg.filename',
  'evt.arg.linkpath',
  'evt.arg.oldpath',
  'fs.path.name',
] as const;

/** The file or the connection that the detection is about, and the command that did it; else what its output begins with. */
export function factOf(found: Found): Html {
  const object = OBJECT_FIELDS.map((name) => textOf(found, name)).find((it) => it !== undefined);
  const command = textOf(found, 'proc.cmdline');
  if (object === undefined && command === undefined)
    return html`<code>${cut(withoutRule(found.output, found.rule))}</code>`;
  const kind = object?.includes('->') === true ? 'Connection' : 'File';
  const what = object === undefined ? undefined : html`${kind} <code>${short(object)}</code>`;
  if (command === undefined) return html`${what}`;
  const by = what === undefined ? html`Command` : html`${what}, command`;
  return html`${by} <code>${short(command)}</code>`;
}

/** A field of the line as text; undefined where it is not there. */
export function textOf({ fields }: Pick<Found, 'fields'>, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' && value !== '' && value !== '<NA>' ? value : undefined;
}

/** Outputs by custom begin with the rule's name, which is right above. */
export function withoutRule(output: string, rule: string): string {
  // In JSON a backslash of it stays one.
  const start = [escapeText(rule), escapeHidden(rule)].find((it) => output.startsWith(`${it} | `));
  return start === undefined ? output : output.slice(start.length + ' | '.length);
}

const short = (text: string): string => escapeText(cut(text));

function cut(text: string): string {
  return text.length > MAX_FACT_CHARS ? `${text.slice(0, MAX_FACT_CHARS)}…` : text;
}
