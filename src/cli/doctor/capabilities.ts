import { readText } from './finding.ts';

/** include/uapi/linux/capability.h */
const CAPABILITIES = {
  CAP_KILL: 5,
  CAP_SYS_PTRACE: 19,
  CAP_SYS_ADMIN: 21,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const;

/** The content of /proc/PID/status, by default of this process. */
export const statusText = (pid: number | 'self' = 'self'): string =>
  readText(`/proc/${pid}/status`);

/** Whether the process with this status has the capability in effect. */
export function hasCapability(name: keyof typeof CAPABILITIES, status: string): boolean {
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  return ((effective >> BigInt(CAPABILITIES[name])) & 1n) === 1n;
}
