import { cpus, release } from 'node:os';

/** For results: what they were measured on. */
export const machine = (): Record<string, unknown> => ({
  cpu: cpus()[0]?.model,
  cores: cpus().length,
  kernel: release(),
  node: process.version,
});
