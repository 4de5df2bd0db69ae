import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';

// What the kernel says of a process in the host's /proc: the other source that fields are compared with.

/** Clock ticks a second in /proc/PID/stat (USER_HZ on every architecture that runs here). */
const TICKS = 100n;
const SECOND_NS = 1_000_000_000n;

/** Start times there are whole ticks, and the time of the boot is taken from /proc/uptime, in hundredths. */
export const TICK_TOLERANCE_NS = 40_000_000n;

export interface ProcStat {
  readonly comm: string;
  readonly session: number;
  readonly tty: number;
  readonly startTicks: bigint;
}

/** /proc/PID/stat, proc(5). The name is in brackets and may hold some of its own. */
export function procStat(pid: number): ProcStat {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const end = text.lastIndexOf(')');
  const rest = text.slice(end + 2).split(' ');
  const number = (field: number): number => Number(rest[field - 3]);
  return {
    comm: text.slice(text.indexOf('(') + 1, end),
    session: number(6),
    tty: number(7),
    startTicks: BigInt(rest[22 - 3]!),
  };
}

/** A line of /proc/PID/status, its words. */
export function procStatus(pid: number, key: string): string[] {
  const line = readFileSync(`/proc/${pid}/status`, 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${key}:`));
  if (line === undefined) throw new Error(`/proc/${pid}/status has no ${key}`);
  return line
    .slice(key.length + 1)
    .trim()
    .split(/\s+/);
}

/** Its id in the innermost namespace and in the host's: of NSpid, NSpgid, NSsid. */
export const innermost = (pid: number, key: string): number => Number(procStatus(pid, key).at(-1));
export const onHost = (pid: number, key: string): number => Number(procStatus(pid, key)[0]);

export const parentOf = (pid: number): number => Number(procStatus(pid, 'PPid')[0]);

/** The nth process above it, 1 being its parent. */
export function above(pid: number, level: number): number {
  return level === 0 ? pid : above(parentOf(pid), level - 1);
}

const nulTerminated = (path: string): string[] =>
  readFileSync(path, 'utf8').split('\0').slice(0, -1);

export const argumentsOf = (pid: number): string[] => nulTerminated(`/proc/${pid}/cmdline`);
export const environmentOf = (pid: number): string[] => nulTerminated(`/proc/${pid}/environ`);
export const linkOf = (pid: number, name: string): string => readlinkSync(`/proc/${pid}/${name}`);

/** Name and arguments. */
export const commandLine = (pid: number): string =>
  [procStat(pid).comm, ...argumentsOf(pid).slice(1)].join(' ');

/** The file it runs. */
export const exeStat = (pid: number): ReturnType<typeof bigStat> => bigStat(`/proc/${pid}/exe`);

export const bigStat = (path: string) => statSync(path, { bigint: true });

/** When it began, Unix nanoseconds, give or take TICK_TOLERANCE_NS. */
export function startOf(pid: number): bigint {
  const { nowMs, upTicks } = readClocks();
  return BigInt(nowMs) * 1_000_000n - ((upTicks - procStat(pid).startTicks) * SECOND_NS) / TICKS;
}

/** Unix time and the time since the boot, of the same moment: this process may be stopped for a while between the two. */
function readClocks(): { readonly nowMs: number; readonly upTicks: bigint } {
  for (;;) {
    const beforeMs = Date.now();
    const uptime = readFileSync('/proc/uptime', 'utf8').split(' ')[0]!;
    const nowMs = Date.now();
    // Hundredths of a second, which are ticks.
    if (nowMs - beforeMs <= 5) return { nowMs, upTicks: BigInt(uptime.replace('.', '')) };
  }
}

/** Of the names in linux/capability.h, those in a set of /proc/PID/status, by their numbers. */
export function capabilities(pid: number, key: string): string {
  const set = BigInt(`0x${procStatus(pid, key)[0]!}`);
  const header = readFileSync('/usr/include/linux/capability.h', 'utf8');
  return [...header.matchAll(/^#define (CAP_[A-Z_]+)\s+(\d+)$/gm)]
    .filter(([, , bit]) => ((set >> BigInt(bit!)) & 1n) === 1n)
    .sort(([, , one], [, , other]) => Number(one) - Number(other))
    .map(([, name]) => name)
    .join(' ');
}

/** The audit user id; -1 when unset. */
export function loginUid(pid: number): number {
  const id = Number(readFileSync(`/proc/${pid}/loginuid`, 'utf8'));
  return id === 0xffffffff ? -1 : id;
}

/** May it write the file it runs, by that file's mode and the process's user? Root may. */
export function mayWriteExe(pid: number): boolean {
  const { mode, uid, gid } = exeStat(pid);
  const [user, group] = [BigInt(procStatus(pid, 'Uid')[1]!), BigInt(procStatus(pid, 'Gid')[1]!)];
  if (user === 0n) return true;
  return (mode & (user === uid ? 0o200n : group === gid ? 0o020n : 0o002n)) !== 0n;
}

/** The thread of a process of two that is not its first. */
export function otherThread(pid: number): number {
  const others = readdirSync(`/proc/${pid}/task`)
    .map(Number)
    .filter((tid) => tid !== pid);
  if (others.length !== 1) throw new Error(`${others.length} threads beside the first`);
  return others[0]!;
}

/** A line of the container's own passwd or group file that has this id. */
export function entryOf(pid: number, file: 'passwd' | 'group', id: number): string[] {
  const lines = readFileSync(`/proc/${pid}/root/etc/${file}`, 'utf8').split('\n');
  const found = lines.map((line) => line.split(':')).find((parts) => Number(parts[2]) === id);
  if (found === undefined) throw new Error(`no ${id} in the container's ${file}`);
  return found;
}

/** Flags of an open descriptor, open(2). */
export function descriptorFlags(pid: number, fd: number): number {
  const text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8');
  return Number.parseInt(/^flags:\s+(\d+)$/m.exec(text)?.[1] ?? '', 8);
}

/** Is there such a socket in the process's network namespace? By the protocol's table, addresses in its form. */
export function hasSocket(
  pid: number,
  protocol: 'tcp' | 'udp',
  local: { readonly ip: string; readonly port: number },
): boolean {
  const address = Buffer.from(local.ip.split('.').map(Number)).reverse().toString('hex');
  const port = local.port.toString(16).padStart(4, '0');
  return readFileSync(`/proc/${pid}/net/${protocol}`, 'utf8').includes(
    `${address}:${port}`.toUpperCase(),
  );
}
