import type { Ancestor, KernelEvent } from '../events/event.ts';
import { AncestorImage } from './ancestor-image.ts';
import type { ProcBudget } from './proc-budget.ts';
import { startTicksOf } from './proc-reader.ts';
import { ProcessNode } from './process-node.ts';
import type { ProcessTable } from './process-table.ts';

/** How many ancestors are looked up in /proc for a process whose parent is not known. */
const PROC_ANCESTORS_MAX = 8;

/** Links processes to their parents, from records and from /proc. */
export class Ancestry {
  readonly #table: ProcessTable;
  readonly #proc: ProcBudget;
  readonly #isInScope: (pid: number) => boolean | undefined;

  /** `isInScope`: whether the process's cgroup is watched; undefined when it is gone. */
  constructor(
    table: ProcessTable,
    proc: ProcBudget,
    isInScope: (pid: number) => boolean | undefined,
  ) {
    this.#table = table;
    this.#proc = proc;
    this.#isInScope = isInScope;
  }

  /** Links the ancestors in a record into the tree, parent first. */
  told(node: ProcessNode, ancestors: readonly Ancestor[], sequence: number, bootNs: bigint): void {
    let child = node;
    for (const ancestor of ancestors) {
      let known = this.#table.find(ancestor.pid, ancestor.startBootNs);
      // The known creator is another process, which has exited: its lineage stands.
      if (child.parent !== undefined && child.parent !== known) return;
      if (known === undefined) {
        known = this.#ancestor(ancestor.pid, ancestor.startBootNs, ancestor.comm, ancestor.inScope);
        known.lastSeen = sequence;
        this.#table.add(known, bootNs);
      }
      if (ancestor.exePath !== undefined && known.image instanceof AncestorImage)
        known.image.tell(ancestor.exePath);
      this.link(child, known);
      child = known;
    }
  }

  #ancestor(pid: number, startBootNs: bigint, comm: string, inScope: boolean): ProcessNode {
    const image = new AncestorImage(pid, startBootNs, comm, this.#proc.reader, (read) =>
      this.#table.recountImage(read),
    );
    return new ProcessNode(pid, startBootNs, image, { origin: 'ancestor', inScope });
  }

  /** Reads the ancestors of a process without known ones from /proc; stops at the first mismatch. */
  find(node: ProcessNode, event: KernelEvent, sequence: number): void {
    let child = node;
    let pid = event.ppid;
    for (let depth = 0; depth < PROC_ANCESTORS_MAX && pid !== 0; depth++) {
      const stat = this.#proc.stat(pid);
      if (stat === undefined) return;
      const wanted = depth === 0 ? event.parentStartBootNs : undefined;
      if (wanted !== undefined && startTicksOf(wanted) !== stat.startTicks) return;
      // A parent never started after its child: that pid has been reused.
      if (stat.startTicks > startTicksOf(child.startBootNs)) return;
      let known = this.#table.findByTicks(pid, stat.startTicks);
      const end = known !== undefined;
      if (known === undefined) {
        const startBootNs = wanted ?? BigInt(stat.startTicks) * 10_000_000n;
        known = this.#ancestor(pid, startBootNs, stat.comm, this.#isInScope(pid) === true);
        known.startRounded = wanted === undefined;
        known.lastSeen = sequence;
        this.#table.add(known, event.bootNs);
      }
      this.link(child, known);
      if (end) return;
      child = known;
      pid = stat.ppid;
    }
  }

  /** Gives a node its parent, once; an ancestor forgotten meanwhile is passed over. */
  link(child: ProcessNode, parent: ProcessNode): void {
    if (child.parent !== undefined || child.removed) return;
    let above: ProcessNode | undefined = parent;
    while (above?.removed === true) above = above.parent;
    if (above === undefined) return;
    // A cycle needs a child that has children already; a chain of forks may be long.
    if (child.firstChild !== undefined && child.hasDescendant(above)) return;
    child.linkTo(above);
  }
}

/** Reads the ancestors now: the runtime and its shim end with a short container, perhaps before a rule needs more than names. */
export function lookAtAncestors(node: ProcessNode): void {
  let above = node.parent;
  for (let depth = 0; depth < PROC_ANCESTORS_MAX && above !== undefined; depth++) {
    if (above.image instanceof AncestorImage) above.image.look();
    above = above.parent;
  }
}
