import { readFileSync } from 'node:fs';

const CLOCK_TICK_MS = 10;

/** User and system CPU of a process, ms (resolution: one tick of 10 ms). */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS;
}

/** The `time` of a line with nanoseconds, as ms since 1970. */
export function timeMs(time: string): number {
  const below = Number(/\.(\d{9})Z$/.exec(time)?.[1] ?? 0) / 1e6;
  return Math.floor(Date.parse(time) / 1000) * 1000 + below;
}
