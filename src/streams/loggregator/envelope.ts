import type { Priority } from '../../rules/detection.ts';
import { escapeHidden, shorten } from '../escape.ts';
import { MAX_LINE_BYTES } from '../format.ts';
import { lineTags } from '../line-tags.ts';
import { dashed, printable } from '../printable.ts';
import type { OutgoingLine } from '../receiver.ts';
import { MAX_FRAME_BYTES } from '../syslog/rfc5424.ts';
import type { LogEnvelope } from './api.ts';

const ERRORS: readonly Priority[] = ['Emergency', 'Alert', 'Critical', 'Error'];

/**
 * Bytes of the platform's own syslog frame that are neither tags nor text: header, SD-ID, octet count (some 500 at most), and
 * what its agents add to the tags (deployment, job, index, ip).
 */
const PLATFORM_BYTES = 1536;

/** What is wrong in the header of a syslog message, or in a tag's name there (RFC 5424, 6). */
const APP_NAME = /^[\x21-\x7e]{1,128}$/;
const TAG_NAME = /^[\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32}$/;

/**
 * A line of an app as the platform's envelope, with the app's tags and ours. An app's tag cannot replace ours of the same name.
 * Undefined without a usable app guid, as the line would belong to nobody. By the tag `source_type` tenants tell our lines from
 * the app's. Error and more severe lines are on the ERR side.
 *
 * The platform later renders it for syslog: at most MAX_FRAME_BYTES, and without a name or id that RFC 5424 forbids. On such a
 * name the platform's syslog agent gets stuck (seen with real ones): it retries for ever, and later lines wait. A name of more
 * than 32 characters passes there, and ends what Log Cache reads. Hidden characters are made visible, since the platform passes
 * them on.
 */
export function envelopeOf(
  line: OutgoingLine,
  sourceType: string,
): { readonly envelope: LogEnvelope; readonly droppedTags: number } | undefined {
  const { app, priority, timeNs } = line;
  if (app?.guid === undefined || !APP_NAME.test(app.guid)) return undefined;
  const instance = app.instance ?? '0';
  const { encoded: text, cut } = shorten(line.text, MAX_LINE_BYTES, escapeHidden);
  const { tags, droppedTags } = lineTags(
    { ...line, app: { ...app, instance } },
    {
      sourceType,
      isName: (name) => TAG_NAME.test(name),
      roomBytes: MAX_FRAME_BYTES - PLATFORM_BYTES - Buffer.byteLength(text),
      cut,
    },
  );
  const envelope: LogEnvelope = {
    timestamp: String(timeNs),
    sourceId: app.guid,
    instanceId: printable(dashed(instance), 64),
    tags: Object.fromEntries(tags.map(({ name, value }) => [name, value])),
    log: { payload: Buffer.from(text), type: ERRORS.includes(priority) ? 'ERR' : 'OUT' },
  };
  return { envelope, droppedTags };
}
