import { readdirSync } from 'node:fs';

import { decodeText } from '../shared/text.ts';
import { packBytes, WORDS_MAX_BYTES, type PackedWords } from '../events/words.ts';
import type { KeptImage } from './process-image.ts';

/** /proc counts a process's start in ticks of 1/100 s since boot (USER_HZ is 100 on every 64-bit Linux). */
export const TICK_NS = 10_000_000n;

/** At most this much of a command line is read; its owner may have made it megabytes long. */
export const CMDLINE_MAX_BYTES = WORDS_MAX_BYTES;

/** What /proc/PID/stat says. Ids are those of the reader's pid namespace: the host's. */
export interface ProcStat {
  readonly pid: number;
  readonly comm: string;
  /** One letter, as ps prints it. */
  readonly state: string;
  readonly ppid: number;
  readonly pgid: number;
  readonly sid: number;
  /** Linux dev number as the probe's `tty`. */
  readonly tty: number;
  readonly threads: number;
  readonly startTicks: number;
}

/** All that /proc says of one process, read while it held its pid. */
export interface ProcSnapshot {
  readonly stat: ProcStat;
  /** In the innermost pid namespace. */
  readonly vpid: number;
  readonly vpgid: number;
  readonly vsid: number;
  readonly loginUid: number;
  /** Claims: a process can rewrite its command line, and no file identity is read (see `ProcReader`). */
  readonly image: KeptImage;
}

/** The slow path to a process's facts: synchronous, small, and only where the probe has not told. */
export interface ProcReader {
  /** Pids of all processes at this moment; empty when /proc cannot be listed. */
  pids(): number[];
  /** undefined when there is no such process. */
  stat(pid: number): ProcStat | undefined;
  /**
   * A snapshot of the process that holds `pid` and started in `startTicks`; undefined when it is gone or
   * another has its pid, also when that happens during the reading.
   */
  read(pid: number, startTicks: number): ProcSnapshot | undefined;
}

/** Ticks that /proc shows for a start in nanoseconds (fs/proc/array.c: nsec_to_clock_t rounds down). */
export function startTicksOf(startBootNs: bigint): number {
  return Number(startBootNs / TICK_NS);
}

/**
 * Parses /proc/PID/stat. comm may hold anything, `) R 1` included, so the fields start after the last `)`.
 * Returns undefined for what is not such a line.
 */
export function parseProcStat(bytes: Buffer): ProcStat | undefined {
  const open = bytes.indexOf(0x28);
  const close = bytes.lastIndexOf(0x29);
  if (open < 1 || close < open) return undefined;
  const pid = Number(bytes.toString('latin1', 0, open));
  const fields = bytes
    .toString('latin1', close + 1)
    .trim()
    .split(' ');
  const numberAt = (index: number): number => Number(fields[index]);
  const stat: ProcStat = {
    pid,
    comm: decodeText(bytes.subarray(open + 1, close)),
    state: fields[0] ?? '',
    ppid: numberAt(1),
    pgid: numberAt(2),
    sid: numberAt(3),
    // Printed as a signed int.
    tty: numberAt(4) >>> 0,
    threads: numberAt(17),
    startTicks: numberAt(19),
  };
  const numbers = [pid, stat.ppid, stat.pgid, stat.sid, stat.threads, stat.startTicks];
  return stat.state.length === 1 &&
    numbers.every((value) => Number.isSafeInteger(value) && value >= 0)
    ? stat
    : undefined;
}

/** The innermost of the ids on a status line such as `NSpid:\t812\t7\t1`; `fallback` without the line. */
export function innermostId(status: string, key: string, fallback: number): number {
  // Name: comes first and is escaped by the kernel, so no comm can begin a line of its own.
  const start = status.indexOf(`\n${key}:`);
  if (start < 0) return fallback;
  const end = status.indexOf('\n', start + 1);
  const last = status
    .slice(start + key.length + 2, end < 0 ? undefined : end)
    .trim()
    .split(/\s+/)
    .at(-1);
  const value = Number(last);
  return last === undefined || last === '' || !Number.isSafeInteger(value) ? fallback : value;
}

/** argv from /proc/PID/cmdline: NUL-separated, but its owner may have written anything, NULs or none. */
export function packCmdline(bytes: Buffer): PackedWords {
  let end = bytes.length;
  // A title written over argv leaves a run of NULs behind; one ends the last argument anyway.
  while (end > 0 && bytes[end - 1] === 0) end--;
  return packBytes(bytes.subarray(0, end));
}

/** The folder that shows the process's memory and files: an ended first thread shows none. */
export function livingThread(directory: string, stat: ProcStat): string {
  if (stat.state !== 'Z' || stat.threads <= 1) return directory;
  try {
    const threads = readdirSync(`${directory}/task`);
    const other = threads.find((tid) => tid !== String(stat.pid));
    return other === undefined ? directory : `${directory}/task/${other}`;
  } catch {
    return directory;
  }
}
