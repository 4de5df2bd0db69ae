import { existsSync } from 'node:fs';
import type { AgentConfig } from '../config/config.ts';
import type { RuntimeStatus } from './runtimes/runtime.ts';

/** Whether the runtime is only used where it is, and never was here: a host without Docker lacks nothing. */
export function isAbsent(
  { name, counters }: RuntimeStatus,
  { docker }: { readonly docker: Pick<AgentConfig['runtimes']['docker'], 'enabled' | 'socket'> },
): boolean {
  if (name !== 'docker' || docker.enabled !== 'auto') return false;
  return (counters?.connects ?? 0) === 0 && !existsSync(docker.socket);
}
