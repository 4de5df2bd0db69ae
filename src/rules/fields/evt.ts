import { constants } from 'node:os';
import type { KernelEvent } from '../../events/event.ts';
import { categoryOf, paramsOf, paramType, paramTypes } from './events.ts';
import { isFalcoParam } from './falco-events.ts';
import { field, fieldWithReader, future } from './field.ts';
import type { FieldClass, View } from './field.ts';

const O_CREAT = 0o100;
const O_TMPFILE_BIT = 0o20000000;
const EXECUTE_BITS = 0o111;

const ERRNO_NAMES: ReadonlyMap<number, string> = new Map(
  // EWOULDBLOCK is EAGAIN and EOPNOTSUPP is ENOTSUP: Linux's own names come first.
  Object.entries(constants.errno)
    .filter(([name]) => name !== 'EWOULDBLOCK' && name !== 'ENOTSUP')
    .map(([name, number]) => [number, name]),
);

/** The process's end and threads' beginnings have a status or an id, not a result that can fail. */
function resultOf(event: KernelEvent): number | undefined {
  return event.type === 'procexit' ? undefined : event.result;
}

function resultText(event: KernelEvent): string | undefined {
  const result = resultOf(event);
  if (result === undefined) return undefined;
  return errorText(result);
}

function errorText(result: number): string {
  return result >= 0 ? 'SUCCESS' : (ERRNO_NAMES.get(-result) ?? String(result));
}

/** A param as text, as Falco prints its type: errors and users by their names (S8). */
function paramText(view: View, name: string): string | undefined {
  const { event, users } = view;
  const value = event.param(name);
  if (value === undefined || typeof value === 'string') return value;
  if (typeof value === 'object') return value.join(' ');
  switch (paramType(event.type, name)) {
    case 'ERRNO':
      return errorText(Number(value));
    case 'UID':
      return users.userName(Number(value)) ?? (Number(value) === 0 ? 'root' : String(value));
    case 'GID':
      return users.groupName(Number(value)) ?? (Number(value) === 0 ? 'root' : String(value));
    default:
      return String(value);
  }
}

function allParams(view: View): string {
  return paramsOf(view.event.type)
    .map(([name]) => `${name}=${paramText(view, name) ?? '<NA>'}`)
    .join(' ');
}

const SECOND = 1_000_000_000n;

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0');
}

function nanoseconds(view: View): string {
  return String(view.event.timeNs % SECOND).padStart(9, '0');
}

function localDate(view: View): Date {
  return new Date(Number(view.event.timeNs / 1_000_000n));
}

function clock(date: Date): string {
  return `${pad(date.getHours(), 2)}:${pad(date.getMinutes(), 2)}:${pad(date.getSeconds(), 2)}`;
}

function day(date: Date): string {
  return `${pad(date.getFullYear(), 4)}-${pad(date.getMonth() + 1, 2)}-${pad(date.getDate(), 2)}`;
}

export const EVT_CLASS: FieldClass = {
  name: 'evt',
  description: 'The event itself',
  fields: [
    field('evt.num', 'UINT64', 'Running number of the event, from 1.', (v) => v.event.num),
    field('evt.time', 'CHARBUF', 'Local time of day with nanoseconds.', (v) => {
      return `${clock(localDate(v))}.${nanoseconds(v)}`;
    }),
    field('evt.time.s', 'CHARBUF', 'Local time of day.', (v) => clock(localDate(v))),
    field('evt.time.iso8601', 'CHARBUF', 'UTC time as ISO 8601 with nanoseconds.', (v) => {
      const seconds = new Date(Number(v.event.timeNs / 1_000_000n)).toISOString().slice(0, 19);
      return `${seconds}.${nanoseconds(v)}+0000`;
    }),
    field('evt.datetime', 'CHARBUF', 'Local date and time with nanoseconds.', (v) => {
      const date = localDate(v);
      return `${day(date)} ${clock(date)}.${nanoseconds(v)}`;
    }),
    field('evt.datetime.s', 'CHARBUF', 'Local date and time.', (v) => {
      const date = localDate(v);
      return `${day(date)} ${clock(date)}`;
    }),
    field('evt.rawtime', 'ABSTIME', 'Unix time in nanoseconds.', (v) => v.event.timeNs),
    field('evt.rawtime.s', 'ABSTIME', 'Unix time in seconds.', (v) => v.event.timeNs / SECOND),
    field('evt.rawtime.ns', 'ABSTIME', 'The nanoseconds within the second.', (v) => {
      return v.event.timeNs % SECOND;
    }),
    field('evt.source', 'CHARBUF', "Where the event comes from: 'syscall'.", () => 'syscall'),
    field('evt.is_async', 'BOOL', 'Always false: the probe reports no such events.', () => false),
    field('evt.hostname', 'CHARBUF', "The host's name.", (v) => v.hostname),
    field('evt.type', 'CHARBUF', "The event's name, such as 'openat'.", (v) => v.event.type),
    field('syscall.type', 'CHARBUF', "The system call's name; absent for other events.", (v) => {
      return v.event.type === 'procexit' ? undefined : v.event.type;
    }),
    field('evt.category', 'CHARBUF', "Kind of event: 'file', 'net' or 'process'.", (v) => {
      return categoryOf(v.event.type);
    }),
    field('evt.cpu', 'INT16', 'Number of the CPU it happened on.', (v) => v.event.cpu),
    field('evt.dir', 'CHARBUF', "Always '<': every event is seen at its end.", () => '<'),
    fieldWithReader(
      'evt.arg',
      'CHARBUF',
      "One of the event's params by name, as text: evt.arg.flags.",
      (name = '') => {
        if (/^\d+$/.test(name)) return { problem: 'with a number', notYet: true };
        const types = paramTypes(name);
        if (types.size === 0 && !isFalcoParam(name)) {
          return { problem: `has no param '${name}' in any event`, notYet: false };
        }
        // A descriptor prints as what it is of, which is fd.name's business until then.
        if (types.size === 0 || types.has('FD')) {
          return { problem: `with param '${name}'`, notYet: true };
        }
        return { shape: 'single', read: (v) => paramText(v, name) };
      },
      { argument: 'required', dotArgument: true },
    ),
    field('evt.args', 'CHARBUF', 'All params as one text: name=value name=value.', allParams),
    field('evt.info', 'CHARBUF', 'The same as evt.args.', allParams),
    field('evt.res', 'CHARBUF', "'SUCCESS' or the error's name, such as 'ENOENT'.", (v) => {
      return resultText(v.event);
    }),
    field('evt.rawres', 'INT64', 'Return value; an error is negative.', (v) => resultOf(v.event)),
    field('evt.failed', 'BOOL', 'The call returned an error.', (v) => {
      const result = resultOf(v.event);
      return result === undefined ? undefined : result < 0;
    }),
    field('evt.count', 'UINT32', 'Always 1.', () => 1),
    field('evt.is_open_read', 'BOOL', 'A file was asked to be opened for reading.', (v) => {
      return v.event.open?.forRead ?? false;
    }),
    field('evt.is_open_write', 'BOOL', 'A file was asked to be opened for writing.', (v) => {
      return v.event.open?.forWrite ?? false;
    }),
    field('evt.is_open_exec', 'BOOL', 'A file was to be created with an execute bit.', (v) => {
      const { open } = v.event;
      if (open === undefined || (open.mode & EXECUTE_BITS) === 0) return false;
      return (open.flags & (O_CREAT | O_TMPFILE_BIT)) !== 0;
    }),
    field('evt.is_open_create', 'BOOL', 'The call created the file.', (v) => {
      return v.event.open?.created ?? false;
    }),
    future('evt.rawarg', 'DYNAMIC', 'A param by name, with its own type.', 'required'),
    future('evt.reltime', 'RELTIME', 'Nanoseconds since the capture began.'),
    future('evt.reltime.s', 'RELTIME', 'Seconds since the capture began.'),
    future('evt.reltime.ns', 'RELTIME', 'Fraction of the time since the capture began.'),
    future('evt.deltatime', 'RELTIME', 'Nanoseconds since the event before.'),
    future('evt.deltatime.s', 'RELTIME', 'Seconds since the event before.'),
    future('evt.deltatime.ns', 'RELTIME', 'Fraction of the time since the event before.'),
    future('evt.pluginname', 'CHARBUF', 'Name of the plugin an event is from.'),
    future('evt.plugininfo', 'CHARBUF', "A plugin's summary of the event."),
    future('evt.asynctype', 'CHARBUF', 'Type of an asynchronous event.'),
    future('evt.type.is', 'UINT32', '1 for events of the named type.', 'required'),
    future('evt.buffer', 'BYTEBUF', 'The bytes read or written.'),
    future('evt.buflen', 'UINT64', 'Length of the bytes read or written.'),
    future('evt.is_io', 'BOOL', 'Reads or writes a descriptor.'),
    future('evt.is_io_read', 'BOOL', 'Reads from a descriptor.'),
    future('evt.is_io_write', 'BOOL', 'Writes to a descriptor.'),
    future('evt.io_dir', 'CHARBUF', "'r' or 'w' for reads and writes."),
    future('evt.is_wait', 'BOOL', 'Makes the thread wait.'),
    future('evt.is_syslog', 'BOOL', 'Writes to /dev/log.'),
    future('evt.count.error', 'UINT32', '1 for events that failed.'),
    future('evt.count.error.file', 'UINT32', '1 for failed file events.'),
    future('evt.count.error.net', 'UINT32', '1 for failed network events.'),
    future('evt.count.error.memory', 'UINT32', '1 for failed memory events.'),
    future('evt.count.error.other', 'UINT32', '1 for other failed events.'),
    future('evt.count.exit', 'UINT32', '1 for exit events.'),
    future('evt.around', 'UINT64', 'Within some milliseconds of a time.', 'required'),
    future('evt.abspath', 'CHARBUF', 'Absolute path from a directory descriptor and a name.'),
    future('evt.abspath.src', 'CHARBUF', 'The source path, made absolute.'),
    future('evt.abspath.dst', 'CHARBUF', 'The target path, made absolute.'),
  ],
};
