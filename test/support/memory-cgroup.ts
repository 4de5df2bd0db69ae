import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './e2e-agent.ts';

const V1 = '/sys/fs/cgroup/memory';
const V2 = '/sys/fs/cgroup';

/** A cgroup with a limit on memory, of either version; dispose it when what was in it has ended. */
export class MemoryCgroup {
  readonly folder: string;
  readonly #isV1: boolean;

  constructor(limitBytes: number) {
    this.#isV1 = existsSync(join(V1, 'memory.limit_in_bytes'));
    this.folder = join(this.#isV1 ? V1 : V2, `varvel-memory-${process.pid}`);
    if (!this.#isV1) writeFileSync(join(V2, 'cgroup.subtree_control'), '+memory');
    mkdirSync(this.folder);
    const file = this.#isV1 ? 'memory.limit_in_bytes' : 'memory.max';
    writeFileSync(join(this.folder, file), String(limitBytes));
  }

  /** A command that runs the one after it in here, as the same process. */
  get entering(): readonly string[] {
    return ['sh', '-c', `echo 0 > ${this.folder}/cgroup.procs && exec "$@"`, 'sh'];
  }

  /** Processes that the kernel ended for want of memory. */
  oomKills(): number {
    const file = this.#isV1 ? 'memory.oom_control' : 'memory.events';
    const text = readFileSync(join(this.folder, file), 'utf8');
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await until('nothing is in the cgroup any more', () => {
      try {
        rmdirSync(this.folder);
        return true;
      } catch {
        return false;
      }
    });
  }
}
