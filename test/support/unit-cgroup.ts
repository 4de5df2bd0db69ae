import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './until.ts';

const UNIT = join(import.meta.dirname, '../../manifests/systemd/varvel.service');
const ROOT = '/sys/fs/cgroup';
/** systemd's CPUWeight of a unit that says nothing, and cpu.shares of the same (systemd.resource-control(5)). */
const USUAL_WEIGHT = 100;
const USUAL_SHARES = 1024;

/**
 * A cgroup with what the shipped unit allows the agent: MemoryMax, CPUQuota and CPUWeight. Of either version; dispose it when
 * what was in it has ended.
 */
export class UnitCgroup {
  /** v1 has one of memory and one of CPU time. */
  readonly folders: readonly string[];
  readonly #isV1: boolean;

  constructor(memoryBytes = fromUnit(/^MemoryMax=(\d+)M$/m) * 1024 ** 2) {
    const periodUs = fromUnit(/^CPUQuotaPeriodSec=(\d+)ms$/m) * 1000;
    const quotaUs = (fromUnit(/^CPUQuota=(\d+)%$/m) * periodUs) / 100;
    const weight = fromUnit(/^CPUWeight=(\d+)$/m);
    this.#isV1 = existsSync(join(ROOT, 'memory/memory.limit_in_bytes'));
    const name = `varvel-unit-${process.pid}`;
    if (this.#isV1) {
      const [memory, cpu] = [join(ROOT, 'memory', name), join(ROOT, 'cpu', name)];
      this.folders = [memory, cpu];
      for (const folder of this.folders) mkdirSync(folder);
      writeFileSync(join(memory, 'memory.limit_in_bytes'), String(memoryBytes));
      writeFileSync(join(cpu, 'cpu.cfs_period_us'), String(periodUs));
      writeFileSync(join(cpu, 'cpu.cfs_quota_us'), String(quotaUs));
      writeFileSync(join(cpu, 'cpu.shares'), String((USUAL_SHARES * weight) / USUAL_WEIGHT));
    } else {
      const folder = join(ROOT, name);
      this.folders = [folder];
      writeFileSync(join(ROOT, 'cgroup.subtree_control'), '+memory +cpu');
      mkdirSync(folder);
      writeFileSync(join(folder, 'memory.max'), String(memoryBytes));
      writeFileSync(join(folder, 'cpu.max'), `${quotaUs} ${periodUs}`);
      writeFileSync(join(folder, 'cpu.weight'), String(weight));
    }
  }

  /** A command that runs the one after it in here, as the same process. */
  get entering(): readonly string[] {
    const enter = this.folders.map((folder) => `echo 0 > ${folder}/cgroup.procs`);
    return ['sh', '-c', `${enter.join(' && ')} && exec "$@"`, 'sh'];
  }

  /** Processes that the kernel ended for want of memory. */
  oomKills(): number {
    const file = this.#isV1 ? 'memory.oom_control' : 'memory.events';
    const text = readFileSync(join(this.folders[0]!, file), 'utf8');
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const folder of this.folders)
      await until('nothing is in the cgroup any more', () => {
        try {
          rmdirSync(folder);
          return true;
        } catch {
          return false;
        }
      });
  }
}

function fromUnit(setting: RegExp): number {
  const value = setting.exec(readFileSync(UNIT, 'utf8'))?.[1];
  if (value === undefined) throw new Error(`the unit does not say ${String(setting)}`);
  return Number(value);
}
