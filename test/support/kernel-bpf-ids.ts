import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { stepsProgram, type StepResult } from './kernel-process.ts';

/** A BPF object of the kernel. Ids are given out in order and come back only after 2^31. */
export interface BpfId {
  readonly kind: 'link' | 'prog' | 'map';
  readonly id: number;
}

/** The BPF objects that a process holds descriptors of, from its fdinfo. */
export function heldBpfIds(pid: number): BpfId[] {
  const found: BpfId[] = [];
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    let target: string;
    let info: string;
    try {
      target = readlinkSync(`/proc/${pid}/fd/${fd}`);
      if (!target.includes('bpf')) continue;
      info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8');
    } catch {
      continue; // closed meanwhile
    }
    // A link's fdinfo names its program too: the first of these is the descriptor's own.
    for (const kind of ['link', 'prog', 'map'] as const) {
      const id = new RegExp(`^${kind}_id:\\s*(\\d+)`, 'm').exec(info)?.[1];
      if (id === undefined) continue;
      found.push({ kind, id: Number(id) });
      break;
    }
  }
  return found;
}

/** Which of the objects the kernel still has. */
export function aliveBpfIds(ids: readonly BpfId[]): BpfId[] {
  const steps = ids.flatMap(({ kind, id }) => ['alive', kind, String(id)]);
  const lines = execFileSync(stepsProgram(), steps, { encoding: 'utf8' }).trim().split('\n');
  return ids.filter((_, index) => (JSON.parse(lines[index] ?? '') as StepResult).ret >= 0);
}

/** Waits until the kernel has none of the objects; gives those left after 10 s. Programs are freed after a grace period. */
export async function leftBpfIds(ids: readonly BpfId[]): Promise<BpfId[]> {
  const end = Date.now() + 10_000;
  let left = aliveBpfIds(ids);
  while (left.length > 0 && Date.now() < end) {
    await delay(50);
    left = aliveBpfIds(left);
  }
  return left;
}
