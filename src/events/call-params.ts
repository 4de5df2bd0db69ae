import { isNameSet, namesOf } from './call-names.ts';
import type { CallDetails, KernelEvent, ParamValue, SocketTuple } from './event.ts';
import { openFlagsText } from './flags.ts';
import { EVENT_TABLE, type EventName } from './table.gen.ts';

type ReadParam = (call: CallDetails, event: KernelEvent) => ParamValue | undefined;

const AT_FDCWD = -100;
const AF_UNIX = 1;
const PR_SET_NAME = 15;
const PR_GET_NAME = 16;

/** Linux dev_t as stat(2) gives it (glibc makedev), for major and minor below 2^20. */
export function statDev({ devMajor, devMinor }: { devMajor: number; devMinor: number }): number {
  return (
    (((devMinor & 0xff) | ((devMajor & 0xfff) << 8)) >>> 0) + ((devMinor & ~0xff) >>> 0) * 4096
  );
}

/** A descriptor, or the word for the working directory. */
export function descriptorParam(fd: number): ParamValue {
  return fd === AT_FDCWD ? 'AT_FDCWD' : fd;
}

/** For these, Falco prints the remote end first. */
const INBOUND: ReadonlySet<EventName> = new Set([
  ...(['accept', 'accept4', 'recvfrom', 'recvmsg', 'recvmmsg'] as const),
]);

/** Sources other than a numbered argument or string. */
const WHOLE: Readonly<Record<string, ReadParam>> = {
  ret: (_call, event) => event.result,
  fd: (call) => (call.fd < 0 ? call.int(1) : call.fd),
  path: (call) => call.file?.path,
  dev: (call) => call.file && statDev(call.file),
  ino: (call) => call.file?.ino,
  tuple: ({ socket }, event) => socket?.tuple && tupleText(socket.tuple, INBOUND.has(event.type)),
  addr: addressText,
  data: (call) => (call.data.length === 0 ? undefined : Buffer.from(call.data)),
  size: (call) => call.size,
  queuelen: (call) => call.queueLength,
  queuemax: (call) => call.queueMax,
  queuepct: (call) =>
    call.queueMax === 0 ? 0 : Math.min(255, Math.trunc((call.queueLength * 100) / call.queueMax)),
  capI: (_call, event) => event.credentials.capInheritable,
  capP: (_call, event) => event.credentials.capPermitted,
  capE: (_call, event) => event.credentials.capEffective,
};

/** Source and destination, `1.2.3.4:5->6.7.8.9:10`. The path for a unix socket; undefined without addresses. */
function tupleText(tuple: SocketTuple, inbound: boolean): string | undefined {
  if (tuple.family === AF_UNIX) return tuple.unixPath;
  if (tuple.localIp === '') return undefined;
  const local = `${tuple.localIp}:${tuple.localPort}`;
  const remote = `${tuple.remoteIp}:${tuple.remotePort}`;
  return inbound ? `${remote}->${local}` : `${local}->${remote}`;
}

function addressText({ address }: CallDetails): string | undefined {
  if (address === undefined) return undefined;
  if (address.family === AF_UNIX) return address.unixPath;
  return address.ip === '' ? undefined : `${address.ip}:${address.port}`;
}

/** A param's reader by its source: native/schema/calls.mjs, SOURCES. */
function readerOf(type: string, source: string): ReadParam {
  const whole = WHOLE[source];
  if (whole !== undefined) return whole;
  const [, set, letter, digits] = /^(?:([A-Z_]+):)?([aiuxnspd])(\d+)$/.exec(source) ?? [];
  const n = Number(digits);
  if (set !== undefined) return namesReader(set, letter, n);
  switch (letter) {
    case 'a':
      return (call) => call.arg(n);
    case 'i':
      return type === 'FD' ? (call) => descriptorParam(call.int(n)) : (call) => call.int(n);
    case 'u':
      return (call) => call.int(n) >>> 0;
    case 'x':
      return (call) => (isNameOption(call) ? 0n : BigInt.asIntN(64, call.arg(n)));
    case 'n':
      return (call) => (isNameOption(call) ? textParam(call, n) : undefined);
    case 's':
      return (call) => textParam(call, n);
    case 'p':
      return (call) => call.path(n) ?? textParam(call, n);
    case 'd':
      return (call) => dataWord(call, n);
    default:
      throw new Error(`no such source of a param: ${source}`);
  }
}

/** prctl: argument 2 is a task's name. */
function isNameOption(call: CallDetails): boolean {
  const option = call.int(1);
  return option === PR_SET_NAME || option === PR_GET_NAME;
}

/** Undefined for NULL, and for what could not be read. */
function textParam(call: CallDetails, n: number): string | undefined {
  const text = call.text(n);
  return text === '' && call.textUnreadable ? undefined : text;
}

function namesReader(set: string, letter: string | undefined, n: number): ReadParam {
  if (set === 'OPEN') return (call) => openFlagsText(call.int(n), call.fileFlags);
  if (!isNameSet(set)) throw new Error(`no such names: ${set}`);
  if (letter === 'd') {
    return (call) => {
      const word = dataWord(call, n);
      return word === undefined ? undefined : namesOf(set, word);
    };
  }
  return (call) => namesOf(set, call.int(n) >>> 0);
}

function dataWord({ data }: CallDetails, at: number): number | undefined {
  return data.length < at + 4 ? undefined : data.readUInt32LE(at);
}

/** By event and param's name. */
const READERS: ReadonlyMap<string, ReadonlyMap<string, ReadParam>> = new Map(
  Object.entries(EVENT_TABLE).map(([event, { params }]) => [
    event,
    new Map(
      params.flatMap(([name, type, source]) =>
        source === undefined ? [] : [[name, readerOf(type, source)] as const],
      ),
    ),
  ]),
);

/** A param of a system call; undefined when it has none of this name or it is not known. */
export function callParam(event: KernelEvent, name: string): ParamValue | undefined {
  return event.call && READERS.get(event.type)?.get(name)?.(event.call, event);
}

/** Which string of the call a param is, from 1: undefined for what is no path. */
export function pathNumber(event: EventName, name: string): number | undefined {
  return PATH_NUMBERS.get(`${event} ${name}`);
}

const PATH_NUMBERS: ReadonlyMap<string, number> = new Map(
  Object.entries(EVENT_TABLE).flatMap(([event, { params }]) =>
    params.flatMap(([name, , source]) =>
      source !== undefined && /^p\d$/.test(source)
        ? [[`${event} ${name}`, Number(source.slice(1))] as const]
        : [],
    ),
  ),
);
