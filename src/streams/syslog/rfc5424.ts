import type { Priority } from '../../rules/detection.ts';
import { escapeHidden, shorten } from '../escape.ts';
import { MAX_LINE_BYTES } from '../format.ts';
import { lineTags } from '../line-tags.ts';
import { dashed, printable } from '../printable.ts';
import type { OutgoingLine } from '../receiver.ts';
import { isoTime } from '../time.ts';

/**
 * Limit of one frame, octet count included. Log Cache's syslog server fails everything after a frame of about 65 KiB on its
 * connection, and all apps of a cell share one.
 */
export const MAX_FRAME_BYTES = 16_384;

/** Bytes of a message: a frame without its octet count (`16384 `). */
const MAX_MESSAGE_BYTES = MAX_FRAME_BYTES - 6;

/** Cloud Foundry's private enterprise number: receivers know this SD-ID and reject others. */
const SD_ID = 'tags@47450';

/** RFC 5424, 6: SD-NAME is 1*32PRINTUSASCII except '=', SP, ']', %d34 ("). */
const SD_NAME = /^[\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32}$/;

/** The platform has two: user-level messages, informational for OUT and error for ERR. */
const PRI_OUT = 14;
const PRI_ERR = 11;
const ERR: ReadonlySet<Priority> = new Set(['Emergency', 'Alert', 'Critical', 'Error']);

/** A message, and what became of the app's tags. */
export interface Rfc5424Message {
  /** One line without control characters, of at most MAX_FRAME_BYTES bytes with its octet count. */
  readonly text: string;
  /** Tags of the app's that have no place in it: the name is none of RFC 5424's, or there were too many. */
  readonly droppedTags: number;
  /** Something ends with `…`; the message has the tag `varvel_truncated`. */
  readonly cut: boolean;
}

/**
 * A line as the platform's own agent renders an app's (Cloud Foundry's loggregator-agent, egress/syslog/rfc5424.go), so that a
 * parser of tenants' logs sees one format:
 *
 *     <PRI>1 TIME org.space.app APP-GUID [VARVEL/0] - [tags@47450 app_id="…" … source_type="VARVEL" …] TEXT
 *
 * PRI is 11 for Error and above, 14 for what is below: it says no more there either, so the priority is a tag. The app's own tags
 * come first, then ours (`lineTags`). Without a platform's names HOSTNAME is the host's; without an app APP-NAME is `varvel`. Values
 * are escaped as RFC 5424, 6.3.3 says, after hidden characters were made visible. What differs from the platform: no newline ends
 * the text, TIME has its six digits where that one leaves out zeros at its end, and tags are not sorted together with ours.
 */
export function renderRfc5424(
  line: OutgoingLine,
  options: { readonly sourceType: string },
): Rfc5424Message {
  const { app } = line;
  const header = [
    `<${ERR.has(line.priority) ? PRI_ERR : PRI_OUT}>1`,
    microTime(line.timeNs),
    hostnameOf(line),
    printable(app === undefined ? 'varvel' : (app.guid ?? app.name), 48),
    procId(options.sourceType, app?.instance),
    '-',
  ].join(' ');
  // It is escaped already, but it may come from the spool: a newline in a damaged file must not split the message.
  const message = shorten(line.text, MAX_LINE_BYTES, escapeHidden);

  const { tags, droppedTags, cut } = lineTags(line, {
    sourceType: options.sourceType,
    isName: (name) => SD_NAME.test(name),
    roomBytes: MAX_MESSAGE_BYTES - Buffer.byteLength(`${header} [${SD_ID}] ${message.encoded}`),
    cut: message.cut,
  });
  const sd = `[${SD_ID}${tags.map(({ param }) => param).join('')}]`;
  return { text: `${header} ${sd} ${message.encoded}`, droppedTags, cut };
}

/** RFC 3339 with the microseconds that TIME-SECFRAC has room for; the offset as the platform writes it. */
function microTime(timeNs: bigint): string {
  return `${isoTime(timeNs).slice(0, -'000Z'.length)}+00:00`;
}

/** `org.space.app`, each at most 63 letters, digits and hyphens, where an org or space is known. */
function hostnameOf({ app, hostname }: OutgoingLine): string {
  const org = app?.org ?? app?.tags?.['organization_name'];
  const space = app?.space ?? app?.tags?.['space_name'];
  if (org === undefined && space === undefined) return printable(hostname, 255);
  return [org, space, app?.name].map((name) => label(name ?? '')).join('.');
}

function label(name: string): string {
  return dashed(name)
    .replace(/[^-A-Za-z0-9]+/g, '')
    .replace(/-+$/, '')
    .slice(0, 63);
}

/** PROCID: `[VARVEL/0]`; `[VARVEL]` where no instance is known. At most 128 characters. */
export function procId(sourceType: string, instance: string | undefined): string {
  const source = printable(dashed(sourceType), 32).toUpperCase();
  const index = instance === undefined ? '' : `/${printable(dashed(instance), 64)}`;
  return `[${source}${index}]`;
}
