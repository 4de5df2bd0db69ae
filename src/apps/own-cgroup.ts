import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../shared/user-error.ts';

/**
 * At the top level root needs CAP_DAC_OVERRIDE to make a cgroup, as the kernel gives that folder mode 0555. Without it,
 * the agent uses a parent that systemd or the kubelet made.
 */
export const OWN_CGROUP_PARENTS: readonly string[] = [
  '',
  'system.slice',
  'kubepods.slice',
  'kubepods',
];

/** Makes the agent's cgroup below the first parent that permits it. Returns its folder, also if it exists. Throws UserError. */
export function makeOwnCgroup(mountPoint: string, name: string): string {
  let first: unknown;
  for (const parent of OWN_CGROUP_PARENTS) {
    const directory = join(mountPoint, parent, name);
    try {
      mkdirSync(directory);
      return directory;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return directory;
      first ??= error;
    }
  }
  throw new UserError(
    `Cannot make a cgroup in ${mountPoint} (${(first as NodeJS.ErrnoException).code ?? 'unknown error'}): the agent needs a writable cgroup hierarchy.`,
    { cause: first },
  );
}
