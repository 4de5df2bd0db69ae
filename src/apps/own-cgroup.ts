import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../shared/user-error.ts';

/**
 * At the top only CAP_DAC_OVERRIDE lets root make one (the kernel gives that folder the mode 0555), below it root may:
 * so an agent without it uses a cgroup that systemd or the kubelet made.
 */
export const OWN_CGROUP_PARENTS: readonly string[] = [
  '',
  'system.slice',
  'kubepods.slice',
  'kubepods',
];

/** A cgroup of the agent's own, where it may make one; returns its folder, also of one that is there. Throws UserError. */
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
