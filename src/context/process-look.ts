import { closeSync, constants, opendirSync, openSync, readlinkSync } from 'node:fs';
import { parseSockaddr } from '../events/address.ts';
import { THREAD_CLOCKS } from '../host/cpu-time.ts';
import { socketsOf, type ProcessSocket } from '../host/process-sockets.ts';
import { decodeText } from '../shared/text.ts';
import { ProcFs } from './proc-fs.ts';
import { livingThread } from './proc-reader.ts';

/**
 * CPU time for files; sockets then take some 0.2 ms. Whoever looks has a response to make. Nothing here waits for another process, and the
 * time in which the host has no CPU for the agent delays the response in any case.
 */
export const LOOK_CPU_MS = 5;
/** Limits on open descriptors that are looked at, on sockets among them, and on the characters of a path. */
export const DESCRIPTORS_MAX = 128;
const SOCKETS_MAX = 32;
const PATH_MAX = 256;

/** fcntl.h; node:fs does not have it. Opens no file: a FUSE server of the container is not asked. */
const O_PATH = 0o10000000;

/** What a process had open at one moment. The caller closes `program` and `mounts`. */
export interface ProcessLook {
  /** Whether it was there; all else is empty if not. */
  readonly isThere: boolean;
  /** How many descriptors it had; undefined if there were more than DESCRIPTORS_MAX, or there was no time to count. */
  readonly open: number | undefined;
  /** `FD TARGET` of what is no socket, as /proc/PID/fd has it: hostile text. */
  readonly files: readonly string[];
  /** `FD tcp 10.0.0.1:4000->192.0.2.1:80 established`; hostile text where it is a unix socket's path. */
  readonly sockets: readonly string[];
  /** The file that it runs, opened with O_PATH. */
  readonly program: number | undefined;
  /** Its /proc/PID/mountinfo, opened. */
  readonly mounts: number | undefined;
  /** What could not be had, and why, as `sockets: EPERM`. */
  readonly missing: readonly string[];
}

const GONE: ProcessLook = {
  isThere: false,
  open: undefined,
  files: [],
  sockets: [],
  program: undefined,
  mounts: undefined,
  missing: [],
};

/** Looks at the process with this pid and start (ticks since boot). Opens no file of the container. Never throws. */
export function lookAtProcess(
  pid: number,
  startTicks: number,
  cpuMs: () => number = THREAD_CLOCKS.cpuMs,
): ProcessLook {
  const endMs = cpuMs() + LOOK_CPU_MS;
  const folder = tryOpen(`/proc/${pid}`, O_PATH | constants.O_DIRECTORY);
  if (folder === undefined) return GONE;
  try {
    // The folder was opened before: it is that of this process, or shows nothing.
    const stat = new ProcFs().stat(pid);
    if (stat?.startTicks !== startTicks || (stat.state === 'Z' && stat.threads <= 1)) return GONE;
    const at = livingThread(`/proc/self/fd/${folder}`, stat);
    const program = tryOpen(`${at}/exe`, O_PATH);
    const mounts = tryOpen(`${at}/mountinfo`, constants.O_RDONLY);
    const descriptors = descriptorsIn(`${at}/fd`, () => cpuMs() > endMs);
    const numbers = descriptors.sockets.slice(0, SOCKETS_MAX);
    const sockets = socketsIn(pid, startTicks, numbers);
    const missing = [...descriptors.missing, ...sockets.missing];
    if (numbers.length < descriptors.sockets.length)
      missing.push(`sockets: more than ${SOCKETS_MAX}`);
    const { open, files } = descriptors;
    return { isThere: true, open, files, sockets: sockets.found, program, mounts, missing };
  } finally {
    closeSync(folder);
  }
}

interface Descriptors {
  readonly open: number | undefined;
  readonly files: readonly string[];
  /** Numbers of those that are sockets. */
  readonly sockets: readonly number[];
  readonly missing: readonly string[];
}

function descriptorsIn(folder: string, isLate: () => boolean): Descriptors {
  const files: string[] = [];
  const sockets: number[] = [];
  const found = (open: number | undefined, ...missing: readonly string[]): Descriptors => ({
    open,
    files,
    sockets,
    missing: missing.map((why) => `open files: ${why}`),
  });
  try {
    const directory = opendirSync(folder, { bufferSize: DESCRIPTORS_MAX });
    try {
      let open = 0;
      for (let one = directory.readSync(); one !== null; one = directory.readSync()) {
        if (open === DESCRIPTORS_MAX) return found(undefined, `more than ${DESCRIPTORS_MAX}`);
        if (isLate()) return found(undefined, `no time after ${open}`);
        open++;
        const target = targetOf(`${folder}/${one.name}`);
        if (target?.startsWith('socket:[') === true) sockets.push(Number(one.name));
        else if (target !== undefined) files.push(`${one.name} ${target.slice(0, PATH_MAX)}`);
      }
      return found(open);
    } finally {
      directory.closeSync();
    }
  } catch (error) {
    return found(undefined, codeOf(error));
  }
}

/** Undefined if it was closed meanwhile. */
function targetOf(path: string): string | undefined {
  try {
    return decodeText(readlinkSync(path, { encoding: 'buffer' }));
  } catch {
    return undefined;
  }
}

function socketsIn(
  pid: number,
  startTicks: number,
  fds: readonly number[],
): { readonly found: readonly string[]; readonly missing: readonly string[] } {
  if (fds.length === 0) return { found: [], missing: [] };
  try {
    // Those of a network first: a line may have no room for all.
    const found = socketsOf(pid, startTicks, fds).toSorted(
      (one, other) => Number(one.domain === AF_UNIX) - Number(other.domain === AF_UNIX),
    );
    return { found: found.map(socketText), missing: [] };
  } catch (error) {
    return { found: [], missing: [`sockets: ${codeOf(error)}`] };
  }
}

const AF_UNIX = 1;
/** By AF_*: what is no IP socket. */
const FAMILIES: ReadonlyMap<number, string> = new Map([
  [AF_UNIX, 'unix'],
  [16, 'netlink'],
  [17, 'packet'],
  [40, 'vsock'],
]);
/** By SOCK_*: of IP sockets. */
const IP_TYPES: ReadonlyMap<number, string> = new Map([
  [1, 'tcp'],
  [2, 'udp'],
  [3, 'raw'],
]);
/** By TCP_* (include/net/tcp_states.h). */
const STATES = [
  '',
  'established',
  'connecting',
  'accepting',
  'fin-wait-1',
  'fin-wait-2',
  'time-wait',
  'unconnected',
  'close-wait',
  'last-ack',
  'listening',
  'closing',
];

function socketText({ fd, domain, type, state, connected, local, remote }: ProcessSocket): string {
  const kind = FAMILIES.get(domain) ?? IP_TYPES.get(type) ?? `family ${domain}`;
  const [here, there] = [local, remote].map((address) => endOf(address, domain));
  const ends = connected ? `${here}->${there}` : here;
  // Most unix sockets have no names.
  const words = [fd, kind, ends === '->' ? 'connected' : ends, STATES[state]];
  return words.filter((word) => word !== '').join(' ');
}

function endOf(address: Buffer, domain: number): string {
  const found = parseSockaddr(address);
  if (found === undefined || FAMILIES.has(domain)) return found?.unixPath.slice(0, PATH_MAX) ?? '';
  return `${found.ip}:${found.port}`;
}

function tryOpen(path: string, flags: number): number | undefined {
  try {
    return openSync(path, flags);
  } catch {
    return undefined;
  }
}

const codeOf = (error: unknown): string =>
  (error as NodeJS.ErrnoException).code ?? 'cannot be read';
