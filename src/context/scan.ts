import type { ProcReader, ProcStat } from './proc-reader.ts';
import type { Process } from './process.ts';
import type { ProcessTree } from './process-tree.ts';

/** Processes looked at between two turns of the event loop, so that the ring is drained meanwhile. */
const CHUNK = 64;

/** How many processes a scan found, and how many of them it took in. */
export interface ScanResult {
  readonly seen: number;
  readonly inScope: number;
  readonly ancestors: number;
  /** Those in scope, as the tree has them. */
  readonly found: readonly Process[];
}

/**
 * Takes the processes that run already into the tree: those that `isInScope` names and all their ancestors.
 *
 * Nothing is lost if the probe is attached before. Records of what happens during the scan wait in the ring, or are
 * handled between two chunks. Where both describe a process, the record wins: it is newer than the scan, or says the
 * same.
 */
export async function scanProcesses(
  tree: ProcessTree,
  reader: ProcReader,
  isInScope: (pid: number) => boolean | undefined,
): Promise<ScanResult> {
  const stats = new Map<number, ProcStat>();
  const wanted: ProcStat[] = [];
  const found: Process[] = [];
  let inScope = 0;
  let ancestors = 0;
  let steps = 0;
  const breathe = async (): Promise<void> => {
    if (++steps % CHUNK === 0) await new Promise((resolve) => setImmediate(resolve));
  };

  for (const pid of reader.pids()) {
    await breathe();
    const stat = reader.stat(pid);
    if (stat === undefined) continue;
    stats.set(pid, stat);
    // A zombie has no children and makes no calls, unless only its leader thread has ended.
    if (stat.state === 'Z' && stat.threads <= 1) continue;
    if (isInScope(pid) === true) wanted.push(stat);
  }

  const adopted = new Map<number, Process | undefined>();
  for (const stat of wanted) {
    // Bottom up to the first known ancestor, then top down: parents are in the tree before their children.
    const chain: ProcStat[] = [];
    let at: ProcStat | undefined = stat;
    while (at !== undefined && !adopted.has(at.pid)) {
      chain.push(at);
      // Also ends a circle of reused pids.
      adopted.set(at.pid, undefined);
      const above: ProcStat | undefined = stats.get(at.ppid);
      at = above !== undefined && above.startTicks <= at.startTicks ? above : undefined;
    }
    for (const link of chain.reverse()) {
      await breathe();
      const scoped = link === stat || isInScope(link.pid) === true;
      const snapshot = reader.read(link.pid, link.startTicks);
      if (snapshot === undefined) continue;
      const parent = snapshot.stat.ppid === link.ppid ? adopted.get(link.ppid) : undefined;
      const process = tree.adopt(snapshot, scoped, parent);
      adopted.set(link.pid, process);
      if (scoped && process !== undefined) found.push(process);
      if (scoped) inScope++;
      else ancestors++;
    }
  }
  return { seen: stats.size, inScope, ancestors, found };
}
