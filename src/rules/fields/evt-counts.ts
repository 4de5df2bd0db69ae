import type { KernelEvent } from '../../events/event.ts';
import { falcoEvent } from './falco-events.ts';
import { field } from './field.ts';
import type { FieldDefinition, View } from './field.ts';

/** 1 for an event that failed, 0 for one that did not; undefined for one that has no result. */
function failures({ event }: View): number | undefined {
  if (!hasResult(event)) return undefined;
  return event.result < 0 ? 1 : 0;
}

/** The process's end has a status, not a result. */
export function hasResult(event: KernelEvent): boolean {
  return event.type !== 'procexit';
}

type Subject = 'file' | 'net' | 'memory' | 'other';

/** What Falco counts an event's failure under: by its descriptor, or the one that an open was to make. */
function subjectOf({ event }: View): Subject {
  if (event.open !== undefined) return 'file';
  if (event.call?.socket !== undefined) return 'net';
  if (event.call?.file !== undefined) return 'file';
  return falcoEvent(event.type)?.category === 'memory' ? 'memory' : 'other';
}

const countOf =
  (subject: Subject) =>
  (view: View): number | undefined =>
    subjectOf(view) === subject ? failures(view) : undefined;

export const EVT_COUNT_FIELDS: readonly FieldDefinition[] = [
  field('evt.count', 'UINT32', 'Always 1.', () => 1),
  field('evt.count.error', 'UINT32', '1 for events that failed, 0 for others.', failures),
  field('evt.count.error.file', 'UINT32', 'The same, of files.', countOf('file')),
  field('evt.count.error.net', 'UINT32', 'The same, of connections.', countOf('net')),
  field('evt.count.error.memory', 'UINT32', 'The same, of memory.', countOf('memory')),
  field('evt.count.error.other', 'UINT32', 'The same, of everything else.', countOf('other')),
  field('evt.count.exit', 'UINT32', "1 for the end of a call; absent for a process's end.", (v) => {
    return hasResult(v.event) ? 1 : undefined;
  }),
  field('evt.count.procinfo', 'UINT32', 'Always 0: of procinfo events only.', () => 0),
  field('evt.count.threadinfo', 'UINT32', 'Always 0: of procinfo events only.', () => 0),
];
