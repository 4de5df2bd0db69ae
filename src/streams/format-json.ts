import type { Detection, OutputValue } from '../rules/detection.ts';
import type { Container } from '../apps/identity.ts';
import { briefOutput, LONG_LINE_BYTES } from './brief-output.ts';
import { escapeHidden, escapeJson, shorten } from './escape.ts';
import { lineageJson, MAX_LINEAGE_BYTES } from './lineage.ts';
import { clockSecond, isoTime } from './time.ts';
import type { Delivery } from './stream.ts';

/** Bytes of JSON text that a value may keep once the line has to be cut. Together with keys below 3840. */
const SHORT = {
  rule: 256,
  hostname: 96,
  id: 64,
  app: { name: 160, guid: 96, space: 128, org: 128, process_type: 64, instance: 64, sidecar: 64 },
  tags: 256,
  containerField: 128,
  output: 512,
} as const;

/** `container.*` fields that survive any cut, and the longest name of a field that does. */
const MAX_CONTAINER_FIELDS = 8;
const MAX_FIELD_NAME_BYTES = 64;

/** Length limits for the other fields: the first one with which all of them fit is used. */
const HIGHEST_LEVEL = 4096;
const LOWEST_LEVEL = 32;
const FIELD_LEVELS = [HIGHEST_LEVEL, 2048, 1024, 512, 256, 128, 64, LOWEST_LEVEL];

const bytesOf = (text: string): number => Buffer.byteLength(text);
const member = (key: string, json: string): string => `${escapeJson(key)}:${json}`;
const object = (members: readonly string[]): string => `{${members.join(',')}}`;

const APP_KEYS = ['name', 'guid', 'space', 'org', 'process_type', 'instance', 'sidecar'] as const;

type AppKey = (typeof APP_KEYS)[number];

/** What is known of whose container it is. */
export function appEntries(container: Container | undefined): (readonly [AppKey, string])[] {
  const app = container?.app;
  if (app === undefined) return [];
  const { processType: process_type, ...rest } = app;
  const values = { ...rest, process_type, sidecar: container?.sidecar };
  return APP_KEYS.flatMap((key) => {
    const value = values[key];
    return value === undefined ? [] : [[key, value] as const];
  });
}

function appMembers(
  container: Container | undefined,
  encode: (value: string, key: AppKey) => string,
): string[] {
  return appEntries(container).map(([key, value]) => member(key, encode(value, key)));
}

/** How `output` is written. */
export interface OutputForm {
  /** The time of day that it begins with. */
  readonly clock: (timeNs: bigint) => string;
  /** JSON of a text, as `shorten` takes it. */
  readonly encode: (text: string) => string;
}

const OWN_FORM: OutputForm = { clock: clockSecond, encode: escapeJson };

/**
 * A detection as Falco's JSON (`time`, `rule`, `priority`, `source`, `hostname`, `output`, `output_fields`,
 * `tags`) plus `app`, `lineage`, `incident`, `id` and `seq`; at most `maxBytes` (from 3840) bytes, in one line. Beyond
 * LONG_LINE_BYTES, `output` has only the start of long commands, and beyond TOO_LONG_LINE_BYTES of all long values, as far as
 * `output_fields` has them whole. A line that had to be
 * cut has `truncated: true`: `output` and the longest fields end with `…` then, and, when even short forms
 * are too many, the last fields and tags are left out.
 */
export function formatJson(delivery: Delivery, maxBytes: number, form = OWN_FORM): string {
  const { outputFields } = delivery.detection;
  const output = outputText(delivery, form);
  let around: ((output: string) => string) | undefined;
  const inFull = (text: string): string => (around ??= fullForm(delivery, form))(text);
  // Nothing shrinks when it is encoded: do not encode in full what cannot fit.
  const raw = rawLength(output, outputFields);
  const whole = raw > maxBytes ? undefined : inFull(output);
  const size = whole === undefined ? raw : bytesOf(whole);
  if (whole !== undefined && size <= Math.min(LONG_LINE_BYTES, maxBytes)) return whole;
  const brief = briefOutput(output, outputFields, size);
  if (rawLength(brief, outputFields) > maxBytes) return formatShortJson(delivery, maxBytes, form);
  const full = brief === output && whole !== undefined ? whole : inFull(brief);
  return bytesOf(full) <= maxBytes ? full : formatShortJson(delivery, maxBytes, form);
}

/** Makes the whole line of an output. All else is encoded once. */
function fullForm(delivery: Delivery, form: OutputForm): (output: string) => string {
  const { detection } = delivery;
  const { container } = detection;
  const app = appMembers(container, escapeJson);
  const before = [
    member('time', escapeJson(isoTime(detection.timeNs))),
    member('rule', escapeJson(detection.rule)),
    member('priority', escapeJson(detection.priority)),
    member('source', escapeJson(detection.source)),
    member('hostname', escapeJson(delivery.hostname)),
  ];
  const after = [
    member(
      'output_fields',
      object(
        Object.entries(detection.outputFields).map(([key, value]) =>
          member(key, escapeJson(value)),
        ),
      ),
    ),
    member('tags', escapeJson(sortedTags(delivery))),
    ...(container?.app === undefined ? [] : [member('app', object(app))]),
    ...lineageMembers(delivery, MAX_LINEAGE_BYTES),
    ...incidentMember(detection),
    member('id', escapeJson(delivery.id)),
    member('seq', escapeJson(delivery.seq)),
    ...(detection.truncated === true ? [member('truncated', 'true')] : []),
  ];
  return (output) => object([...before, member('output', form.encode(output)), ...after]);
}

function rawLength(output: string, outputFields: Detection['outputFields']): number {
  let length = output.length;
  for (const value of Object.values(outputFields)) {
    if (typeof value === 'string') length += value.length;
  }
  return length;
}

/**
 * Falco's text form of a detection, but for the fraction of the second, which `time` has. Whoever shows it after it was parsed gets
 * one line, with nothing that steers a terminal.
 */
function outputText({ detection }: Delivery, form: OutputForm): string {
  return outputStart(detection, form) + escapeHidden(detection.output);
}

/** What `output` has before the message. */
export function outputStart(
  { timeNs, priority }: Pick<Detection, 'timeNs' | 'priority'>,
  { clock } = OWN_FORM,
): string {
  return `${clock(timeNs)}: ${priority} `;
}

function sortedTags(delivery: Delivery): readonly string[] {
  return [...delivery.detection.tags].sort();
}

/** None where the detection has none, or where there is no room. */
function lineageMembers({ detection }: Delivery, maxBytes: number): string[] {
  const name = escapeJson('lineage');
  const json = detection.lineage && lineageJson(detection.lineage, maxBytes - bytesOf(`${name}:,`));
  return json === undefined ? [] : [`${name}:${json}`];
}

/** An incident's id is short and plain, whatever the line holds. */
function incidentMember({ incident }: Detection): string[] {
  return incident === undefined ? [] : [member('incident', escapeJson(incident))];
}

function shortString(text: string, maxBytes: number, encode = OWN_FORM.encode): string {
  return shorten(text, maxBytes, encode).encoded;
}

function formatShortJson(delivery: Delivery, maxBytes: number, form: OutputForm): string {
  const { detection } = delivery;
  const { container } = detection;
  const app = appMembers(container, (value, key) => shortString(value, SHORT.app[key]));
  const head = [
    member('time', escapeJson(isoTime(detection.timeNs))),
    member('rule', shortString(detection.rule, SHORT.rule)),
    member('priority', escapeJson(detection.priority)),
    member('source', escapeJson(detection.source)),
    member('hostname', shortString(delivery.hostname, SHORT.hostname)),
  ];
  const tail = [
    member('tags', shortArray(sortedTags(delivery), SHORT.tags)),
    ...(container?.app === undefined ? [] : [member('app', object(app))]),
    ...incidentMember(detection),
    member('id', shortString(delivery.id, SHORT.id)),
    member('seq', escapeJson(delivery.seq)),
    member('truncated', 'true'),
  ];
  const { kept, others } = splitFields(detection.outputFields);
  const text = outputText(delivery, form);
  const wanted = bytesOf(form.encode(text.slice(0, maxBytes)));
  let lineage: readonly string[] = [];
  const assemble = (output: string, fields: readonly string[]): string =>
    object([
      ...head,
      member('output', output),
      member('output_fields', object(fields)),
      ...lineage,
      ...tail,
    ]);
  const room = maxBytes - bytesOf(assemble('', kept)) - Math.min(wanted, SHORT.output);
  lineage = lineageMembers(delivery, Math.min(MAX_LINEAGE_BYTES, room));

  const spare = maxBytes - bytesOf(assemble('', kept));
  const forOutput = Math.min(wanted, Math.max(SHORT.output, Math.floor(spare / 2)));
  const fields = [...kept, ...fitFields(others, spare - forOutput)];
  const output = shortString(text, maxBytes - bytesOf(assemble('', fields)), form.encode);
  return assemble(output, fields);
}

type Field = readonly [string, OutputValue];

/** The `container.*` fields that are always kept, ready, and the rest. Overlong names are left out. */
function splitFields(fields: Readonly<Record<string, OutputValue>>): {
  readonly kept: string[];
  readonly others: Field[];
} {
  const kept: string[] = [];
  const others: Field[] = [];
  for (const [key, value] of Object.entries(fields)) {
    if (bytesOf(escapeJson(key)) > MAX_FIELD_NAME_BYTES) continue;
    if (key.startsWith('container.') && kept.length < MAX_CONTAINER_FIELDS) {
      kept.push(member(key, shortValue(value, SHORT.containerField)));
    } else {
      others.push([key, value]);
    }
  }
  return { kept, others };
}

function fitFields(fields: readonly Field[], budget: number): string[] {
  const keys = fields.reduce((sum, [key]) => sum + bytesOf(`${escapeJson(key)}:,`), 0);
  const longest = fields.map(([, value]) => longestForm(value));
  const sizeAt = (level: number): number =>
    longest.reduce((sum, { bytes }) => sum + Math.min(bytes, level), keys);
  const level = FIELD_LEVELS.find((candidate) => sizeAt(candidate) <= budget);
  const most = level ?? LOWEST_LEVEL;
  const members = fields.map(([key, value], index) => {
    const { json, bytes } = longest[index] ?? longestForm(value);
    return member(key, json !== undefined && bytes <= most ? json : shortValue(value, most));
  });
  if (level !== undefined) return members;
  let used = 0;
  return members.filter((text) => {
    const fits = used + bytesOf(text) + 1 <= budget;
    if (fits) used += bytesOf(text) + 1;
    return fits;
  });
}

/** The value's JSON and its size. For a text longer than the highest level only a size, which is above every level. */
function longestForm(value: OutputValue): { readonly json?: string; readonly bytes: number } {
  if (typeof value === 'string' && value.length > HIGHEST_LEVEL)
    return { bytes: bytesOf(escapeJson(value.slice(0, HIGHEST_LEVEL))) };
  const json = typeof value === 'string' ? escapeJson(value) : shortValue(value, HIGHEST_LEVEL);
  return { json, bytes: bytesOf(json) };
}

function shortValue(value: OutputValue, maxBytes: number): string {
  if (typeof value === 'string') return shortString(value, maxBytes);
  return Array.isArray(value)
    ? shortArray(value as readonly string[], maxBytes)
    : escapeJson(value);
}

/** The first elements that fit, and `…` for the others. */
function shortArray(values: readonly string[], maxBytes: number): string {
  const mark = escapeJson('…');
  const elements: string[] = [];
  let used = bytesOf(`[${mark}]`);
  for (const value of values) {
    // No encoding makes a UTF-16 unit shorter than a byte: do not encode what cannot fit.
    const element = value.length < maxBytes ? escapeJson(value) : undefined;
    if (element === undefined || used + bytesOf(element) + 1 > maxBytes) {
      elements.push(mark);
      break;
    }
    elements.push(element);
    used += bytesOf(element) + 1;
  }
  return `[${elements.join(',')}]`;
}
