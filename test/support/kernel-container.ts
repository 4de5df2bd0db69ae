// Steps of a container's processes: in its cgroup and in namespaces of their own, begun from outside.
import { PRIVATE_MOUNTS } from './kernel-file-facts.ts';
import type { TestCgroup } from './kernel-probe.ts';
import type { Step } from './kernel-process.ts';

export const OWN_NAMESPACES = 0x20000 | 0x20000000; // CLONE_NEWNS, CLONE_NEWPID

/** Steps of the container's first process, which is still a runtime's set-up. */
export const inNamespaces = ({ dir }: Pick<TestCgroup, 'dir'>, ...steps: Step[]): Step[] => [
  ...['clone', OWN_NAMESPACES, '[', 'enter', dir],
  // Without the unshare before it.
  ...PRIVATE_MOUNTS.slice(2),
  ...steps,
  ...['exit', 0, ']'],
];

/** The same step as an argument of a program that is run. */
export const escaped = (step: Step): string =>
  String(step).replace(/[%;]/g, (one) => `%${one.charCodeAt(0).toString(16)}`);

/** Its first process runs the program with these arguments, under the name `good`. */
export const runsIn = (cgroup: Pick<TestCgroup, 'dir'>, program: string, ...args: Step[]): Step[] =>
  inNamespaces(cgroup, 'execve', program, 'good', ...args.map(escaped), ';');
