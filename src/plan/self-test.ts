import { rmdirSync, statSync } from 'node:fs';
import { makeOwnCgroup } from '../apps/own-cgroup.ts';
import type { KernelEvent } from '../events/event.ts';
import type { LiveProbe } from '../probe/live.ts';
import { runSelfTestChild } from '../probe/trials.ts';
import { levelOf } from '../probe/scope.ts';

/** A file that every Linux has and that is not opened by the test's own exec. */
const SENTINEL = '/proc/sys/kernel/ostype';
const WAIT_MS = 3000;
/** The hooks that the test verifies. */
export const SELF_TEST_HOOKS: readonly string[] = [
  'sys_open',
  'sys_openat',
  'sys_connect',
  'sys_rmdir',
  'sys_listen',
];

/**
 * Checks that the probe reports what really happens. A child in its own cgroup opens, connects, execs and exits, and each must
 * arrive as a record. Loading and attaching prove nothing: some hooks attach and never fire. Pass the events of its cgroup to
 * `see`. The caller must have attached SELF_TEST_HOOKS and let all opens pass.
 */
export class SelfTest {
  readonly cgroupId: number;
  readonly #directory: string;
  readonly #probe: LiveProbe;
  readonly #seen = { open: false, connect: false, exec: false, exit: false };
  #pid = 0;

  /** Creates the cgroup below the hierarchy's mount point and puts it in scope. Throws UserError if it cannot. */
  constructor(probe: LiveProbe, hierarchyMountPoint: string) {
    this.#probe = probe;
    this.#directory = makeOwnCgroup(hierarchyMountPoint, `varvel-selftest-${process.pid}`);
    this.cgroupId = statSync(this.#directory).ino;
    const path = this.#directory.slice(hierarchyMountPoint.length);
    probe.scope.set(this.cgroupId, 'included', levelOf(path));
  }

  /** An event of the test's cgroup. */
  see(event: KernelEvent): void {
    if (event.open?.rawPath === SENTINEL && event.open.file?.path === SENTINEL)
      this.#seen.open = true;
    const tuple = event.type === 'connect' ? event.call?.socket?.tuple : undefined;
    if (tuple?.remoteIp === '127.0.0.1' && tuple.remotePort === 9) this.#seen.connect = true;
    if (event.exec?.filename === '/bin/true' && event.result === 0) this.#seen.exec = true;
    // the exit comes last; before `run` has the pid, any exit in this cgroup is the child's
    if (event.type === 'procexit' && (this.#pid === 0 || event.pid === this.#pid))
      this.#seen.exit = true;
  }

  /** Runs the child, waits for its records (at most 3 s) and removes the cgroup. Returns the actions that were not reported. */
  async run(): Promise<readonly string[]> {
    try {
      this.#pid = runSelfTestChild(this.#directory, SENTINEL);
      const end = performance.now() + WAIT_MS;
      while (this.#unseen().length > 0 && performance.now() < end) {
        this.#probe.drain();
        if (this.#unseen().length > 0) await new Promise((resolve) => setTimeout(resolve, 2));
      }
      return this.#unseen();
    } finally {
      this.#probe.scope.delete(this.cgroupId);
      rmdirSync(this.#directory);
    }
  }

  #unseen(): string[] {
    return Object.entries(this.#seen).flatMap(([name, was]) => (was ? [] : [name]));
  }
}
