import type { KernelEvent } from '../../events/event.ts';
import { nearestWord } from '../../shared/nearest.ts';
import { errorName } from './errno.ts';
import { ARG_FIELDS } from './evt-args.ts';
import { EVT_COUNT_FIELDS, hasResult } from './evt-counts.ts';
import { FALCO_EVENT_NAMES, falcoEvent, isSyscall } from './falco-events.ts';
import { descriptorName, typeOf } from './descriptor.ts';
import { absent, field, fieldWithReader, future } from './field.ts';
import type { ArgumentProblem, FieldClass, Reader, View } from './field.ts';

const O_CREAT = 0o100;
const O_TMPFILE_BIT = 0o20000000;
const EXECUTE_BITS = 0o111;

function resultOf(event: KernelEvent): number | undefined {
  return hasResult(event) ? event.result : undefined;
}

function resultText(event: KernelEvent): string | undefined {
  const result = resultOf(event);
  if (result === undefined || result >= 0) return result === undefined ? undefined : 'SUCCESS';
  return errorName(result) ?? String(result);
}

function typeIs(name = ''): Reader | ArgumentProblem {
  const event = falcoEvent(name);
  if (event === undefined) {
    const close = nearestWord(name, FALCO_EVENT_NAMES);
    const help = close === undefined ? '' : `: did you mean '${close}'?`;
    return { problem: `needs the name of an event, not '${name.slice(0, 100)}'${help}` };
  }
  return { shape: 'single', read: (v) => (v.event.type === event.name ? 1 : 0) };
}

/**
 * `evt.abspath`: the path of a call that takes a directory's descriptor, made absolute. Of calls with two paths, which
 * Falco tells apart by the field, the first for `.src` and the second for `.dst`.
 */
const absolutePath =
  (which: 'only' | 'first' | 'second') =>
  (view: View): string | undefined => {
    const { type, call } = view.event;
    if (type === 'openat' || type === 'openat2') return descriptorName(view);
    const numbers = AT_CALLS.get(type);
    if (numbers === undefined || call === undefined) return undefined;
    const [first, second] = numbers;
    const number = which === 'second' ? (second ?? first) : first;
    return which === 'only' && second !== undefined ? undefined : call.path(number);
  };

/** Calls with a directory's descriptor: which of their strings are paths. */
const AT_CALLS: ReadonlyMap<string, readonly [number, number?]> = new Map([
  ['renameat', [1, 2]],
  ['renameat2', [1, 2]],
  ['linkat', [1, 2]],
  ['symlinkat', [2]],
  ['unlinkat', [1]],
  ['mkdirat', [1]],
  ['fchmodat', [1]],
  ['fchownat', [1]],
  ['mknodat', [1]],
]);

/** What a read or write of this descriptor is, in Falco's words. */
function ioCategory(view: View): string {
  const type = typeOf(view);
  if (type === 'file' || type === 'directory') return 'file';
  if (type === 'ipv4' || type === 'ipv6') return 'net';
  return type === 'unix' || type === 'pipe' ? 'IPC' : 'unknown';
}

/** The bytes that a call sent or received: as many as the probe takes. */
function buffer({ event }: View): string | undefined {
  const { call } = event;
  if (call === undefined || !transfers(event)) return undefined;
  return call.data.toString('latin1');
}

/** How many bytes it sent or received. */
const bufferLength =
  (direction?: 'in' | 'out') =>
  (subject?: 'file' | 'net') =>
  (view: View): number | undefined => {
    const { event } = view;
    const io = falcoEvent(event.type);
    if (!transfers(event) || event.result < 0) return undefined;
    if (direction === 'in' && io?.readsFromFd !== true) return undefined;
    if (direction === 'out' && io?.writesToFd !== true) return undefined;
    return subject === undefined || ioCategory(view) === subject ? event.result : undefined;
  };

function transfers(event: KernelEvent): boolean {
  const io = falcoEvent(event.type);
  return io?.category.startsWith('io-') === true && (io.readsFromFd || io.writesToFd);
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
      return isSyscall(v.event.type) ? v.event.type : undefined;
    }),
    field('evt.category', 'CHARBUF', "Kind of event, such as 'file', 'net' or 'process'.", (v) => {
      const category = falcoEvent(v.event.type)?.category;
      // Those of reads and writes follow the descriptor.
      return category?.startsWith('io-') === true ? ioCategory(v) : category;
    }),
    field('evt.cpu', 'INT16', 'Number of the CPU it happened on.', (v) => v.event.cpu),
    field('evt.dir', 'CHARBUF', "Always '<': every event is seen at its end.", () => '<', {
      deprecated: true,
    }),
    fieldWithReader(
      'evt.type.is',
      'UINT32',
      '1 for events of one name, 0 for others: evt.type.is.open.',
      typeIs,
      {
        argument: 'required',
        dotArgument: true,
        dotLength: (text) => /^\w*/.exec(text)?.[0].length ?? 0,
      },
    ),
    ...ARG_FIELDS,
    field('evt.res', 'CHARBUF', "'SUCCESS' or the error's name, such as 'ENOENT'.", (v) => {
      return resultText(v.event);
    }),
    field('evt.rawres', 'INT64', 'Return value; an error is negative.', (v) => resultOf(v.event)),
    field('evt.failed', 'BOOL', 'The call returned an error.', (v) => {
      const result = resultOf(v.event);
      return result === undefined ? undefined : result < 0;
    }),
    field('evt.is_open_read', 'BOOL', 'A file was asked to be opened for reading.', (v) => {
      return v.event.open?.forRead ?? false;
    }),
    field('evt.is_open_write', 'BOOL', 'The same for writing; of creat too, unlike Falco.', (v) => {
      return v.event.open?.forWrite ?? false;
    }),
    field('evt.is_open_exec', 'BOOL', 'A file was to be created with an execute bit.', (v) => {
      const { open } = v.event;
      if (open === undefined || (open.mode & EXECUTE_BITS) === 0) return false;
      return (open.flags & (O_CREAT | O_TMPFILE_BIT)) !== 0;
    }),
    field(
      'evt.is_open_create',
      'BOOL',
      'The call created the file; creat too, unlike Falco.',
      (v) => {
        return v.event.open?.created ?? false;
      },
    ),
    ...EVT_COUNT_FIELDS,
    field(
      'evt.abspath',
      'CHARBUF',
      'The path of a call that takes a directory (openat, unlinkat, …), made absolute.',
      absolutePath('only'),
      { pathDependent: true },
    ),
    field(
      'evt.abspath.src',
      'CHARBUF',
      'The same, of the first of two paths.',
      absolutePath('first'),
      { pathDependent: true },
    ),
    field(
      'evt.abspath.dst',
      'CHARBUF',
      'The same, of the second of two paths.',
      absolutePath('second'),
      { pathDependent: true },
    ),
    field('evt.is_io', 'BOOL', 'Reads from a descriptor or writes to one.', (v) => {
      const event = falcoEvent(v.event.type);
      return event !== undefined && (event.readsFromFd || event.writesToFd);
    }),
    field('evt.is_io_read', 'BOOL', 'Reads from a descriptor.', (v) => {
      return falcoEvent(v.event.type)?.readsFromFd ?? false;
    }),
    field('evt.is_io_write', 'BOOL', 'Writes to a descriptor.', (v) => {
      return falcoEvent(v.event.type)?.writesToFd ?? false;
    }),
    field('evt.io_dir', 'CHARBUF', "'read' or 'write' for events that do.", (v) => {
      const event = falcoEvent(v.event.type);
      if (event?.writesToFd === true) return 'write';
      return event?.readsFromFd === true ? 'read' : undefined;
    }),
    field('evt.is_wait', 'BOOL', 'Makes the thread wait.', (v) => {
      return falcoEvent(v.event.type)?.waits ?? false;
    }),
    // The probe reports no writes yet.
    field('evt.is_syslog', 'BOOL', 'Writes to /dev/log.', () => false),
    absent('evt.pluginname', 'CHARBUF', 'The plugin an event is from: there are none here.'),
    absent('evt.plugininfo', 'CHARBUF', "A plugin's summary of the event: there are none here."),
    absent('evt.asynctype', 'CHARBUF', 'Type of an asynchronous event: there are none here.'),
    future('evt.reltime', 'RELTIME', 'Nanoseconds since the capture began.'),
    future('evt.reltime.s', 'RELTIME', 'Seconds since the capture began.'),
    future('evt.reltime.ns', 'RELTIME', 'Fraction of the time since the capture began.'),
    future('evt.deltatime', 'RELTIME', 'Nanoseconds since the event before.'),
    future('evt.deltatime.s', 'RELTIME', 'Seconds since the event before.'),
    future('evt.deltatime.ns', 'RELTIME', 'Fraction of the time since the event before.'),
    future('evt.outputtime', 'CHARBUF', 'Time in the format that a capture is printed with.'),
    future('evt.around', 'UINT64', 'Within some milliseconds of a time: evt.around[T] = D.', {
      argument: 'required',
      filterOnly: true,
      noVal: true,
      noTransformer: true,
      problem: (time) =>
        /^\d{1,20}$/.test(time)
          ? undefined
          : { problem: `takes a time in nanoseconds, not [${time.slice(0, 100)}]` },
    }),
    field('evt.buffer', 'BYTEBUF', 'The bytes sent or received: the first 80.', buffer),
    field('evt.buflen', 'UINT64', 'How many bytes were sent or received.', bufferLength()()),
    field('evt.buflen.in', 'UINT64', 'The same, received.', bufferLength('in')()),
    field('evt.buflen.out', 'UINT64', 'The same, sent.', bufferLength('out')()),
    ...(['file', 'net'] as const).flatMap((subject) => [
      field(`evt.buflen.${subject}`, 'UINT64', `The same, of ${subject}.`, bufferLength()(subject)),
      ...(['in', 'out'] as const).map((direction) =>
        field(
          `evt.buflen.${subject}.${direction}`,
          'UINT64',
          `The same, of ${subject}, in one direction.`,
          bufferLength(direction)(subject),
        ),
      ),
    ]),
    field('evt.latency', 'RELTIME', 'Always 0.', () => 0n, { deprecated: true }),
    field('evt.latency.s', 'RELTIME', 'Always 0.', () => 0n, { deprecated: true }),
    field('evt.latency.ns', 'RELTIME', 'Always 0.', () => 0n, { deprecated: true }),
    field('evt.latency.quantized', 'UINT64', 'Always 0.', () => 0, { deprecated: true }),
    field('evt.latency.human', 'CHARBUF', "Always '0ns'.", () => '0ns', { deprecated: true }),
    field('evt.wait_latency', 'RELTIME', 'Always 0.', () => 0n, { deprecated: true }),
    ...['name', 'container.id', 'container.name', 'container.image'].map((part) =>
      absent(`evt.infra.docker.${part}`, 'CHARBUF', 'Of infra events only, which no probe sends.'),
    ),
  ],
};
