import type { ExecDetails, KernelEvent } from '../events/event.ts';
import { RecentMap } from '../shared/recent-map.ts';
import type { ProcessNode } from './process-node.ts';

/** Set-up is over after this long, whatever happens: a runtime needs milliseconds, on a stalled host seconds. */
const SETUP_MAX_NS = 60_000_000_000n;

/** Limit on containers whose record losses are kept one by one; past it, a loss counts for all. */
const LOSSES_MAX = 16384;

/** Limit on moves of unknown processes. */
const PENDING_MAX = 4096;

/**
 * Decides which processes are the container runtime's own set-up, whose events are not reported. Set-up is what runc
 * opens and mounts between entering the container's cgroup and running the app's program.
 *
 * A process with the mark `setup` is invisible, so a container must not be able to get it. Only the kernel's report
 * that the process came from outside the scope gives it. It comes with a record of a move into a watched cgroup, for a
 * process that the tree does not know. Or it comes with a record of a fork by a parent outside (CLONE_INTO_CGROUP). A
 * process that was forked inside is known from its parent's fork record before it can run, so moving itself changes
 * nothing. After such records were lost or processes evicted, no process older than the loss gets the mark. The kernel
 * reports a move when it is done, so events of the process may come before that record. So the record may come late, up
 * to the first exec; the runtime's runs of itself (below) need none. Children inherit the mark, never the other way
 * round, and it ends for good with
 * - the first successful exec (the app's program), with the one exception below;
 * - a change of the name to one that is not runc's (`runc:[2:INIT]`): an exec whose record is yet to come;
 * - a loss of records of the same container, and a minute.
 *
 * Losses count per container: otherwise one that forks without end would have its neighbours' set-up reported as their
 * apps' doing.
 *
 * The exception: a runtime runs itself before it enters the container. Conditions: its pid is that of the host's pid
 * namespace, its parent is outside, and it is itself the process that entered. Two such execs keep the mark:
 * - of `/proc/self/exe`, where the kernel says that it is the parent's program in the parent's mount namespace. The
 *   exec lets the parent continue before the kernel reports it; a quick parent has moved the process by then;
 * - once, of a sealed copy that no path leads to (runc: a memfd, or a detached overlay mount).
 * The app's entrypoint cannot get there, also when it is `/proc/self/exe` (CVE-2019-5736). A grandchild of the entrant
 * runs it, in the container's pid namespace and mount namespace.
 */
export class SetupMarker {
  readonly #moved = new RecentMap<number, bigint>(PENDING_MAX);
  readonly #onMarked: (node: ProcessNode) => void;
  readonly #losses = new Map<number, Loss>();
  #lossOfAll: Loss = { bootNs: -1n, epoch: 0 };

  /** `onMarked` is told of each process that gets the mark. */
  constructor(onMarked: (node: ProcessNode) => void) {
    this.#onMarked = onMarked;
  }

  onAttach(pid: number, bootNs: bigint): void {
    this.#moved.set(pid, bootNs);
  }

  /** Records of this container were lost up to `bootNs`; without a container, perhaps of every one. */
  onLoss(bootNs: bigint, rootCgroupId?: number): void {
    if (rootCgroupId !== undefined && this.#losses.size < LOSSES_MAX) {
      const before = this.#losses.get(rootCgroupId);
      this.#losses.set(rootCgroupId, { bootNs, epoch: (before?.epoch ?? 0) + 1 });
      return;
    }
    // Above every earlier sum, so that no earlier mark is fresh.
    const highest = [...this.#losses.values()].reduce((max, { epoch }) => Math.max(max, epoch), 0);
    this.#lossOfAll = { bootNs, epoch: this.#lossOfAll.epoch + highest + 1 };
    this.#losses.clear();
  }

  onTick(nowBootNs: bigint): void {
    for (const [pid, bootNs] of this.#moved.entries()) {
      if (nowBootNs - bootNs < SETUP_MAX_NS) return;
      this.#moved.delete(pid);
    }
  }

  /** The first event of a process that no fork record told of. */
  onFirstEvent(node: ProcessNode, event: KernelEvent): void {
    const moved = this.#moved.get(node.pid);
    this.#moved.delete(node.pid);
    if (node.parent?.inScope === true) {
      if (node.parent.setup) this.#inherit(node.parent, node);
      return;
    }
    const root = event.cgroupId;
    if (this.#lostSince(root, event.startBootNs)) return;
    if (moved !== undefined && moved >= event.startBootNs && moved <= event.bootNs) {
      this.#enter(node, root, event.comm, moved);
    } else if (event.exec !== undefined && event.result === 0) {
      // `onExec` removes the mark again from all but the runtime.
      if (event.exec.ancestors[0]?.inScope === false)
        this.#enter(node, root, event.comm, event.bootNs);
    } else {
      node.untold = true;
      node.setupName = event.comm;
      node.setupSinceBootNs = event.bootNs;
      node.setupEpoch = this.#epochOf(root);
      node.setupRoot = root;
    }
  }

  /** A move record of a process that is already known: see `onFirstEvent`. */
  onLateAttach(node: ProcessNode, bootNs: bigint): void {
    if (!node.untold) return;
    node.untold = false;
    if (!this.#isFresh(node, bootNs)) return;
    node.setup = true;
    node.entrant = true;
    this.#onMarked(node);
  }

  onFork(parent: ProcessNode, child: ProcessNode, event: KernelEvent): void {
    if (event.clone?.parentInScope === false) {
      const root = event.cgroupId;
      if (!this.#lostSince(root, event.clone.childStartBootNs))
        this.#enter(child, root, event.comm, event.bootNs);
    } else if (parent.setup) this.#inherit(parent, child);
    else child.setup = false;
  }

  onExec(node: ProcessNode, event: KernelEvent, exec: ExecDetails): void {
    const { untold } = node;
    node.untold = false;
    if (!node.setup && !untold) return;
    const itself =
      (node.entrant || untold) &&
      this.#isFresh(node, event.bootNs) &&
      event.vpid === event.pid &&
      exec.ancestors[0]?.inScope === false
        ? runOfItself(exec)
        : undefined;
    if (itself !== undefined) {
      if (untold) this.#enter(node, node.setupRoot, event.comm, event.bootNs);
      else node.setupName = event.comm;
    } else if (node.setup) {
      node.setup = false;
      node.programSinceBootNs = event.bootNs;
    }
    node.entrant = itself === 'first';
  }

  /**
   * When the first program began in a process that was set-up until then; undefined if an exec before may have been lost, and
   * for any other process.
   */
  programSince(node: ProcessNode): bigint | 'not yet' | undefined {
    const since = node.programSinceBootNs;
    if (!this.#isFresh(node, since ?? node.setupSinceBootNs)) return undefined;
    return since ?? (node.setup ? 'not yet' : undefined);
  }

  /** Any other event of a process that has the mark. */
  check(node: ProcessNode, event: KernelEvent): void {
    const sameName = event.comm === node.setupName || event.comm.startsWith('runc:[');
    if (!sameName || !this.#isFresh(node, event.bootNs)) node.setup = false;
  }

  #isFresh(node: ProcessNode, bootNs: bigint): boolean {
    return (
      node.setupEpoch === this.#epochOf(node.setupRoot) &&
      bootNs - node.setupSinceBootNs <= SETUP_MAX_NS
    );
  }

  #lostSince(root: number, startBootNs: bigint): boolean {
    return (
      startBootNs <= this.#lossOfAll.bootNs ||
      startBootNs <= (this.#losses.get(root)?.bootNs ?? -1n)
    );
  }

  #epochOf(root: number): number {
    return this.#lossOfAll.epoch + (this.#losses.get(root)?.epoch ?? 0);
  }

  #enter(node: ProcessNode, root: number, name: string, bootNs: bigint): void {
    node.setup = true;
    node.entrant = true;
    node.setupName = name;
    node.setupSinceBootNs = bootNs;
    node.setupEpoch = this.#epochOf(root);
    node.setupRoot = root;
    this.#onMarked(node);
  }

  #inherit(parent: ProcessNode, child: ProcessNode): void {
    child.setup = true;
    child.setupName = parent.setupName;
    child.setupSinceBootNs = parent.setupSinceBootNs;
    child.setupEpoch = parent.setupEpoch;
    child.setupRoot = parent.setupRoot;
    this.#onMarked(child);
  }
}

/** How a runtime runs itself: first as its parent's program, last as a sealed copy. */
function runOfItself(exec: ExecDetails): 'first' | 'last' | undefined {
  const { file, filename, parentsProgram } = exec;
  if (file?.memfd === true || file?.detached === true) return 'last';
  return parentsProgram && filename === '/proc/self/exe' ? 'first' : undefined;
}

interface Loss {
  /** Records up to this time were lost. */
  readonly bootNs: bigint;
  /** Number of losses so far. */
  readonly epoch: number;
}
