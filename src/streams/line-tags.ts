import type { AppIdentity } from '../apps/identity.ts';
import { escapeHidden, shorten } from './escape.ts';
import type { OutgoingLine } from './receiver.ts';

/** Tags of the app's that are looked at. */
const MAX_APP_TAGS = 64;

/** Bytes of a value as syslog has it. With a text of MAX_LINE_BYTES our own leave 4 KiB for the app's, header included. */
const MAX_APP_VALUE_BYTES = 1024;
const MAX_OWN_VALUE_BYTES = 256;

/** Names that only we write, whatever tags the app has. */
const isOwnName = (name: string): boolean => name === 'source_type' || name.startsWith('varvel_');

/** A tag as syslog has it, and as it is elsewhere. */
export interface LineTag {
  readonly name: string;
  /** Without hidden characters, valid UTF-8. */
  readonly value: string;
  /** ` name="value"`, escaped as RFC 5424, 6.3.3 says. */
  readonly param: string;
}

/** What a line is tagged with, and what became of the app's tags. */
export interface LineTags {
  readonly tags: readonly LineTag[];
  /** Tags of the app's that have no place: the name is none, or there were too many. */
  readonly droppedTags: number;
  /** Something ends with `…`; `varvel_truncated` is among the tags. */
  readonly cut: boolean;
}

export interface LineTagOptions {
  readonly sourceType: string;
  /** Which names a tag of the app's may have. */
  readonly isName: (name: string) => boolean;
  /** Byte limit for all params together, rendered for syslog. Our own are always included: some 3 KiB at most. */
  readonly roomBytes: number;
  /** The line's own text was cut. */
  readonly cut: boolean;
}

/**
 * The tags of a line, for every receiver that has tags. The app's own come first, sorted by name, then ours, which an app's tag
 * cannot replace. Ours are `app_id`, `source_id`, `app_name`, `organization_name`, `space_name`, `process_type`, `instance_id`
 * where known, `source_type`, `varvel_priority`, `varvel_rule`, `varvel_incident` where there is one, `varvel_seq`, `varvel_id`.
 */
export function lineTags(line: OutgoingLine, options: LineTagOptions): LineTags {
  const own = ownTags(line, options.sourceType).map((tag) => tagOf(tag, MAX_OWN_VALUE_BYTES));
  const taken = new Set(own.map(({ name }) => name));
  const truncated = tagOf(['varvel_truncated', 'true'], MAX_OWN_VALUE_BYTES);
  let room = options.roomBytes - [...own, truncated].reduce((sum, { bytes }) => sum + bytes, 0);

  const apps: MeasuredTag[] = [];
  let droppedTags = 0;
  for (const [index, [name, value]] of sorted(line.app?.tags).entries()) {
    if (taken.has(name) || isOwnName(name)) continue;
    const tag =
      index < MAX_APP_TAGS && options.isName(name)
        ? tagOf([name, value], MAX_APP_VALUE_BYTES)
        : undefined;
    if (tag === undefined || tag.bytes > room) {
      droppedTags++;
      continue;
    }
    room -= tag.bytes;
    apps.push(tag);
  }

  const cut = options.cut || [...apps, ...own].some((it) => it.cut);
  return { tags: [...apps, ...own, ...(cut ? [truncated] : [])], droppedTags, cut };
}

interface MeasuredTag extends LineTag {
  /** Of `param`. */
  readonly bytes: number;
  readonly cut: boolean;
}

/** `[name, value]` as they are before any escape. */
type Tag = readonly [name: string, value: string];

function tagOf([name, value]: Tag, maxValueBytes: number): MeasuredTag {
  const { encoded, cut } = shorten(value, maxValueBytes, escapeValue);
  const param = ` ${name}="${encoded}"`;
  const visible = encoded.replace(/\\(["\\\]])/g, '$1');
  return { name, value: visible, param, bytes: Buffer.byteLength(param), cut };
}

function escapeValue(value: string): string {
  return escapeHidden(value).replace(/["\\\]]/g, '\\$&');
}

function ownTags(line: OutgoingLine, sourceType: string): Tag[] {
  const { app } = line;
  const known: readonly (readonly [string, string | undefined])[] = [
    ['app_id', app?.guid],
    ['source_id', app?.guid],
    ['app_name', app?.name],
    ['organization_name', app?.org],
    ['space_name', app?.space],
    ['process_type', app?.processType],
    ['instance_id', app?.instance],
    ['source_type', sourceType],
    ['varvel_priority', line.priority],
    ['varvel_rule', line.rule],
    ['varvel_incident', line.incident],
    ['varvel_seq', String(line.seq)],
    ['varvel_id', line.id],
  ];
  return known.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
}

function sorted(tags: AppIdentity['tags']): Tag[] {
  return Object.entries(tags ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
}
