import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './e2e-agent.ts';

const MOUNT = '/sys/fs/cgroup';
/** The memory controller's own hierarchy, where the host has one (cgroup v1, or both versions side by side). */
const V1 = join(MOUNT, 'memory');

/**
 * A cgroup with a memory limit, as the shipped systemd unit gives the agent one. Dispose it when its processes have ended.
 */
export class MemoryCgroup {
  readonly #isV1 = existsSync(join(V1, 'memory.limit_in_bytes'));
  readonly #path: string;

  /** @param limit in bytes */
  constructor(name: string, limit: number) {
    const parent = this.#isV1 ? V1 : MOUNT;
    if (!this.#isV1) writeFileSync(join(MOUNT, 'cgroup.subtree_control'), '+memory');
    this.#path = join(parent, `varvel-${name}-${process.pid}`);
    mkdirSync(this.#path);
    this.#write(this.#isV1 ? 'memory.limit_in_bytes' : 'memory.max', String(limit));
  }

  /** Puts a process into it; what that one has used before counts elsewhere. */
  add(pid: number): void {
    this.#write('cgroup.procs', String(pid));
  }

  /** How often the kernel ended a process of it for want of memory. */
  get oomKills(): number {
    const text = readFileSync(
      join(this.#path, this.#isV1 ? 'memory.oom_control' : 'memory.events'),
      'utf8',
    );
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1]);
  }

  #write(name: string, value: string): void {
    writeFileSync(join(this.#path, name), value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await until('the memory cgroup is empty', () => {
      try {
        rmdirSync(this.#path);
        return true;
      } catch {
        return false;
      }
    });
  }
}
