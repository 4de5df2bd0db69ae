import { constants } from 'node:os';
import { pathNumber } from '../../events/call-params.ts';
import type { ParamValue } from '../../events/event.ts';
import { errorName } from './errno.ts';
import type { FalcoParam } from './falco-events.ts';
import { flagsNumber } from './falco-flags.ts';
import { descriptorName, descriptorText } from './descriptor.ts';
import type { View } from './field.ts';
import { normalizePath } from '../../shared/path.ts';
import { encodeText } from '../../shared/text.ts';

/** A param as Falco prints it: `0` and `root`, of which `evt.args` shows both: `uid=0(root)`. */
export interface ParamText {
  readonly raw: string;
  /** What the raw text stands for; '' when there is no more to say. */
  readonly resolved: string;
}

const SIGNALS: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.signals)
    // SIGIOT is SIGABRT and SIGPOLL is SIGIO.
    .filter(([name]) => name !== 'SIGIOT' && name !== 'SIGPOLL')
    .map(([name, number]) => [number, name]),
);

/** What evt.arg has of a signal. */
export const signalText = (signal: number): string => SIGNALS.get(signal) ?? String(signal);

const AT_FDCWD = -100;
const NO_ID = 0xffffffff;

const plain = (raw: string): ParamText => ({ raw, resolved: '' });

/**
 * A param of the view's event as text (S8); undefined when the event does not have it. A descriptor is printed
 * with what it is of where that is the event's own (`<f>/etc/passwd`), as its number otherwise; a process with its
 * name where it is the event's own or an ancestor of it. Ids of the container's pid namespace stay numbers.
 */
export function paramText(view: View, { name, type, format }: FalcoParam): ParamText | undefined {
  const value = view.event.param(name);
  if (value === undefined) return undefined;
  switch (type) {
    case 'FD':
      return fdText(view, name, value);
    case 'PID':
      return { raw: String(value), resolved: processName(view, name, Number(value)) };
    case 'ERRNO':
      return { raw: String(value), resolved: errorName(Number(value)) ?? '' };
    case 'UID':
      return idText(Number(value), view.users.userName(Number(value)));
    case 'GID':
      return idText(Number(value), view.users.groupName(Number(value)));
    case 'MODE':
      return { raw: numberText(value, 'octal'), resolved: modeNames(Number(value)) };
    case 'SIGTYPE':
      return { raw: String(value), resolved: SIGNALS.get(Number(value)) ?? '' };
    case 'FSPATH':
    case 'FSRELPATH':
      return pathText(view, name, String(value));
    case 'SOCKTUPLE':
      return plain(descriptorName(view) ?? String(value));
    case 'BYTEBUF':
      return plain(bytesText(bytesOf(value)));
    default:
      return type.includes('FLAGS') ? flagsText(String(value)) : plain(numberText(value, format));
  }
}

function fdText(view: View, name: string, value: ParamValue): ParamText {
  if (value === 'AT_FDCWD') return { raw: String(AT_FDCWD), resolved: value };
  const number = Number(value);
  const raw = String(value);
  if (number < 0) return { raw, resolved: errorName(number) ?? '' };
  return { raw, resolved: name === 'fd' ? (descriptorText(view) ?? '') : '' };
}

function processName(view: View, param: string, id: number): string {
  const { event, process } = view;
  if (param === 'vtid' || param === 'vpid' || param === 'vpgid') return '';
  if (id === event.tid) return process.image.name;
  let found = view.process as View['process'] | undefined;
  for (let level = 0; found !== undefined && level < MAX_ANCESTORS; level++) {
    if (found.pid === id) return found.image.name;
    found = found.parent;
  }
  return '';
}

/** As for `proc.aname`. */
const MAX_ANCESTORS = 64;

function idText(id: number, name: string | undefined): ParamText {
  if (id === -1 || id === NO_ID) return { raw: '-1', resolved: '<NONE>' };
  return { raw: String(id), resolved: name ?? (id === 0 ? 'root' : '<NA>') };
}

// In Falco's order, with the values of include/uapi/linux/stat.h.
const MODE_BITS = [
  [0o0001, 'S_IXOTH'],
  [0o0002, 'S_IWOTH'],
  [0o0004, 'S_IROTH'],
  [0o0010, 'S_IXGRP'],
  [0o0020, 'S_IWGRP'],
  [0o0040, 'S_IRGRP'],
  [0o0100, 'S_IXUSR'],
  [0o0200, 'S_IWUSR'],
  [0o0400, 'S_IRUSR'],
  [0o1000, 'S_ISVTX'],
  [0o2000, 'S_ISGID'],
  [0o4000, 'S_ISUID'],
] as const;

/** What `evt.arg.mode` is for these bits. */
export const modeText = (mode: number): string => modeNames(mode) || numberText(mode, 'octal');

function modeNames(mode: number): string {
  return MODE_BITS.filter(([bit]) => (mode & bit) !== 0)
    .map(([, name]) => name)
    .join('|');
}

/** The path as passed, and where it leads: the kernel's file for an open (S9), by its text for others. */
function pathText(view: View, name: string, value: string): ParamText {
  const { open, exec, call, type } = view.event;
  const number = call === undefined ? undefined : pathNumber(type, name);
  if (call !== undefined && number !== undefined) {
    return { raw: call.text(number), resolved: call.path(number) ?? '' };
  }
  if (open !== undefined && name === 'name') {
    return { raw: open.rawPath, resolved: descriptorName(view) ?? '' };
  }
  if (exec === undefined || value === '' || value.startsWith('/') || !exec.cwd.startsWith('/')) {
    return plain(value);
  }
  return { raw: value, resolved: normalizePath(`${exec.cwd}/${value}`) };
}

function flagsText(names: string): ParamText {
  const number = flagsNumber(names);
  return number === undefined ? plain(names) : { raw: String(number), resolved: names };
}

function numberText(value: ParamValue, format: FalcoParam['format']): string {
  if (typeof value !== 'number' && typeof value !== 'bigint') return String(value);
  if (format === 'hex') return value.toString(16).toUpperCase();
  // As printf's %#o: nothing before a lone 0.
  if (format === 'octal') return Number(value) === 0 ? '0' : `0${value.toString(8)}`;
  return String(value);
}

/** A BYTEBUF's bytes, one character of 0 to 255 each: words of an array each end with a NUL. */
export function bytesOf(value: ParamValue): string {
  if (Buffer.isBuffer(value)) return value.toString('latin1');
  const text =
    typeof value === 'object' ? value.map((word) => `${word}\0`).join('') : String(value);
  return encodeText(text).toString('latin1');
}

/** Falco prints a dot for each byte that is not printable ASCII. */
function bytesText(bytes: string): string {
  return bytes === '' ? 'NULL' : bytes.replace(/[^\x20-\x7e]/g, '.');
}
