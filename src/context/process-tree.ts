import type { Ancestor, CallDetails, ExecDetails, KernelEvent } from '../events/event.ts';
import type { CgroupChange } from '../probe/scope.ts';
import { changeGroup, startSession } from './groups.ts';
import { AncestorImage } from './ancestor-image.ts';
import type { ImageBounds } from './image-store.ts';
import { imageOfExec, KeptImage, nameOnlyImage } from './process-image.ts';
import { NestedCgroups, nestedPath } from './nested-cgroups.ts';
import { ProcessNode } from './process-node.ts';
import { ProcessTable } from './process-table.ts';
import type { ProcessTableCounters } from './process-table.ts';
import { startTicksOf } from './proc-reader.ts';
import type { ProcReader, ProcSnapshot } from './proc-reader.ts';
import type { Process } from './process.ts';
import { SetupMarker } from './setup.ts';

/** linux/sched.h */
const CLONE_PARENT = 0x8000n;
const CLONE_NEWPID = 0x20000000n;

/** How many ancestors are looked up in /proc for a process whose parent is not known. */
const PROC_ANCESTORS_MAX = 8;

/** Live processes checked against /proc per tick: the exits that no record told. */
const SWEEP_PER_TICK = 32;

/** Reads of /proc between two ticks; past it, a process is known by what its event says. */
const PROC_READS_PER_TICK = 500;

/** `exitedKeepMs`, when not given. */
const EXITED_KEEP_MS = 5000;

export interface ProcessTreeOptions {
  readonly reader: ProcReader;
  /** Bound on everything kept, at least 16. Default 65536. */
  readonly maxProcesses?: number;
  /** Bound on exited processes awaiting their reaping, and on dead parents. Default 16384. */
  readonly maxExited?: number;
  /** Bounds on what is kept of their programs, in bytes. Default: in proportion to `maxProcesses`, see ProcessTable. */
  readonly imageBounds?: ImageBounds;
  /** An exited process can still be found this long: late records, held events. Default 5000. */
  readonly exitedKeepMs?: number;
  /** Whether the process's cgroup is watched; undefined when it is gone. Slow path only. Default: not known. */
  readonly isInScope?: (pid: number) => boolean | undefined;
  /** Path of the process's cgroup, where that is inside its container's. Slow path only. Default: not known. */
  readonly nestedCgroupOf?: ((pid: number) => string | undefined) | undefined;
  /** Told of each process with which a runtime sets up the container of this root cgroup. Must not throw. */
  readonly onSetup?: (process: Process, rootCgroupId: number) => void;
}

/** Sizes and monotonic counters, for metrics and `varvel status`. */
export interface ProcessTreeCounters extends ProcessTableCounters {
  /** Processes first heard of by an event of their own. */
  readonly discovered: number;
  /** Reads of /proc, and those not made because of the bound per tick. */
  readonly procReads: number;
  readonly procReadsRefused: number;
  /** Exits that no record told, found by looking. */
  readonly missedExits: number;
}

/**
 * The processes that rules can look at: those in scope, and their ancestors whether in scope or not.
 *
 * A process is (pid, start), so a reused pid is another process. Its parent is the one that forked it, also
 * when that has exited: the kernel (and Falco with it) hands orphans to a reaper, after which `proc.pname` of
 * everything that was forked twice is the container's init. Who started it is what a rule asks, and a double
 * fork must not wash it off; so the tree keeps the creator. Only a process that was never seen being born has
 * the parent that the kernel names at its first event. Dead parents are bounded (`DEAD_RUN_MAX` in a row).
 *
 * Records of one ring come in order, and the kernel sends a fork before the child can run. Records of the bulk
 * ring may come later than they happened; they find the exited process for `exitedKeepMs`.
 */
export class ProcessTree {
  readonly #reader: ProcReader;
  readonly #table: ProcessTable;
  readonly #setup: SetupMarker;
  readonly #nested = new NestedCgroups();
  readonly #exitedKeepNs: bigint;
  readonly #isInScope: (pid: number) => boolean | undefined;
  readonly #nestedCgroupOf: ProcessTreeOptions['nestedCgroupOf'];
  #latestBootNs = 0n;
  #sequence = 0;
  #readsLeft = PROC_READS_PER_TICK;
  #discovered = 0;
  #procReads = 0;
  #procReadsRefused = 0;
  #missedExits = 0;

  constructor(options: ProcessTreeOptions) {
    this.#reader = options.reader;
    this.#setup = new SetupMarker((node) => {
      lookAtAncestors(node);
      options.onSetup?.(node, node.setupRoot);
    });
    this.#exitedKeepNs = BigInt(options.exitedKeepMs ?? EXITED_KEEP_MS) * 1_000_000n;
    this.#isInScope = options.isInScope ?? (() => undefined);
    this.#nestedCgroupOf = options.nestedCgroupOf;
    this.#table = new ProcessTable({
      maxProcesses: Math.max(16, options.maxProcesses ?? 65536),
      maxExited: options.maxExited ?? 16384,
      imageBounds: options.imageBounds,
      onEvict: (node) => {
        if (node.inScope) this.recordsLost(this.#latestBootNs, node.cgroupId || undefined);
      },
    });
  }

  counters(): ProcessTreeCounters {
    return {
      ...this.#table.counters(),
      discovered: this.#discovered,
      procReads: this.#procReads,
      procReadsRefused: this.#procReadsRefused,
      missedExits: this.#missedExits,
    };
  }

  /** How many programs lost their arguments and environment since the last call, by root cgroup (0: none is known). */
  takeCuts(): ReadonlyMap<number, number> {
    return this.#table.takeCuts();
  }

  /** Takes the event in and returns the process it happened in. Never throws for what a container can cause. */
  onEvent(event: KernelEvent): Process {
    if (event.bootNs > this.#latestBootNs) this.#latestBootNs = event.bootNs;
    const sequence = ++this.#sequence;
    const node = this.#table.find(event.pid, event.startBootNs) ?? this.#discover(event, sequence);
    node.lastSeen = sequence;
    this.#table.setCgroup(node, event.cgroupId);
    node.vpid = event.vpid;
    node.tty = event.tty;
    node.loginUid = event.credentials.loginUid;
    if (node.exitedBootNs !== undefined && event.bootNs > node.exitedBootNs)
      this.#table.revive(node);
    if (!node.inScope && event.clone?.parentInScope !== false) {
      node.inScope = true;
      const moved = this.#nested.take(node.pid, node.startBootNs);
      if (moved !== undefined) node.nestedCgroup = nestedPath(moved);
      this.#setup.onFirstEvent(node, event);
    }
    const { exec } = event;
    if (node.image instanceof AncestorImage && node.inScope && (!exec || event.result !== 0))
      this.#completeAncestor(node);
    if (exec !== undefined) this.#onExec(node, event, exec, sequence);
    else {
      if (node.setup) this.#setup.check(node, event);
      if (event.clone !== undefined) this.#onClone(node, event, sequence);
      else if (event.call !== undefined) this.#onCall(node, event, event.call);
      else if (event.type === 'procexit') this.#table.markExited(node, event.bootNs);
    }
    return node;
  }

  /** A cgroup change as the probe reports it; only moves of processes into the scope matter here. */
  onCgroupChange(change: CgroupChange): void {
    if (change.kind !== 'attach' || change.pid === 0 || change.state === 'excluded') return;
    // By its start, where that is told: the pid's last holder may have ended without a record of it.
    const known = this.#find(change.pid, change.startBootNs);
    if (known?.inScope === true && known.exitedBootNs === undefined) {
      known.nestedCgroup = nestedPath(change);
      this.#setup.onLateAttach(known, change.bootNs);
      return;
    }
    this.#nested.remember(change);
    this.#setup.onAttach(change.pid, change.bootNs);
  }

  /**
   * Records of process life were lost up to `bootNs`: of the container with this root cgroup, or, without one,
   * perhaps of all. From here on nobody in there passes as the runtime's set-up on the strength of not being known.
   */
  recordsLost(bootNs: bigint, rootCgroupId?: number): void {
    this.#setup.onLoss(bootNs, rootCgroupId);
  }

  /** The process with this pid and start; without `startBootNs`, the youngest that has the pid. */
  find(pid: number, startBootNs?: bigint): Process | undefined {
    return this.#find(pid, startBootNs);
  }

  /**
   * When the process, which the runtime had put into its container, ran its first program there: CLOCK_BOOTTIME ns, of a record
   * of that exec; `not yet` while it sets the container up. `startTicks` as in /proc/PID/stat. Undefined where it was not seen for
   * certain.
   */
  programSince(pid: number, startTicks: number): bigint | 'not yet' | undefined {
    const node = this.#findByTicks(pid, startTicks);
    return node === undefined ? undefined : this.#setup.programSince(node);
  }

  /**
   * To be called about once a second, with CLOCK_BOOTTIME in ns: reaps exited processes and looks at a few
   * others for exits that were not told (lost records, processes moved out of the scope).
   */
  tick(nowBootNs: bigint): void {
    if (nowBootNs > this.#latestBootNs) this.#latestBootNs = nowBootNs;
    this.#readsLeft = PROC_READS_PER_TICK;
    this.#setup.onTick(nowBootNs);
    this.#table.reapBefore(nowBootNs - this.#exitedKeepNs);
    for (const node of this.#table.sample(SWEEP_PER_TICK)) {
      if (node.exitedBootNs !== undefined) continue;
      if (this.#reader.stat(node.pid)?.startTicks === startTicksOf(node.startBootNs)) continue;
      this.#missedExits++;
      this.#table.markExited(node, nowBootNs);
    }
  }

  /**
   * Takes in what /proc said of a process (see `scanProcesses`). Facts from the probe stay: an exec record is
   * never older than what the scan read, since the probe was attached first. Returns undefined when the pid
   * has a younger holder by now.
   */
  adopt(
    snapshot: ProcSnapshot,
    inScope: boolean,
    parent: Process | undefined,
  ): Process | undefined {
    const { stat } = snapshot;
    const startBootNs = BigInt(stat.startTicks) * 10_000_000n;
    let node = this.#findByTicks(stat.pid, stat.startTicks);
    if (node === undefined) {
      const newest = this.#table.newest(stat.pid);
      if (newest !== undefined && newest.startBootNs > startBootNs) return undefined;
      node = new ProcessNode(stat.pid, startBootNs, snapshot.image, {
        origin: 'proc',
        inScope,
        startRounded: true,
      });
      node.lastSeen = ++this.#sequence;
      this.#complete(node, snapshot);
      this.#table.add(node, this.#latestBootNs);
    } else if (node.origin === 'ancestor') {
      node.origin = 'proc';
      this.#table.completeImage(node, snapshot.image);
      this.#complete(node, snapshot);
    } else if (node.pgid === 0) this.#complete(node, snapshot);
    if (inScope) {
      node.inScope = true;
      node.nestedCgroup = this.#nestedCgroupOf?.(stat.pid);
    }
    if (parent instanceof ProcessNode) this.#link(node, parent);
    return node;
  }

  #find(pid: number, startBootNs?: bigint): ProcessNode | undefined {
    return startBootNs === undefined ? this.#table.newest(pid) : this.#table.find(pid, startBootNs);
  }

  #findByTicks(pid: number, startTicks: number): ProcessNode | undefined {
    let node = this.#table.newest(pid);
    while (node !== undefined && startTicksOf(node.startBootNs) !== startTicks) node = node.older;
    return node;
  }

  /** A process that the tree does not know yet: moved into scope, older than the agent, or its fork was lost. */
  #discover(event: KernelEvent, sequence: number): ProcessNode {
    this.#discovered++;
    const outside = event.clone?.parentInScope === false;
    const parent =
      event.ppid === 0 ? undefined : this.#table.find(event.ppid, event.parentStartBootNs);
    const node = new ProcessNode(event.pid, event.startBootNs, nameOnlyImage(event.comm), {
      origin: 'ancestor',
      inScope: !outside,
    });
    node.lastSeen = sequence;
    node.cgroupId = event.cgroupId;
    if (!outside) node.nestedCgroup = this.#whereNested(event.pid, event.startBootNs, parent);
    node.vpid = event.vpid;
    // A successful exec brings the whole image with it.
    if (event.exec === undefined || event.result !== 0) this.#guessImage(node, event, parent);
    this.#table.add(node, event.bootNs);
    if (parent !== undefined) this.#link(node, parent);
    else if (event.exec === undefined) this.#linkFromProc(node, event, sequence);
    if (!outside) this.#setup.onFirstEvent(node, event);
    return node;
  }

  #whereNested(pid: number, startBootNs: bigint, parent?: ProcessNode): string | undefined {
    const moved = this.#nested.take(pid, startBootNs);
    if (moved !== undefined) return nestedPath(moved);
    if (parent?.inScope === true) return parent.nestedCgroup;
    // Older than the agent, or born into it: both seldom.
    const ask = this.#nestedCgroupOf;
    return ask !== undefined && this.#mayRead() ? ask(pid) : undefined;
  }

  /** The image at the fork if that fits the name, else what /proc shows now, else the name alone. */
  #guessImage(node: ProcessNode, event: KernelEvent, parent: ProcessNode | undefined): void {
    const inherited = parent?.imageAt(event.startBootNs);
    if (
      parent !== undefined &&
      inherited?.name === event.comm &&
      parent.inScope &&
      parent.origin !== 'ancestor'
    ) {
      node.image = inherited;
      node.origin = parent.origin;
      this.#inheritIds(node, parent);
      return;
    }
    const snapshot = this.#readProc(event.pid, event.startBootNs);
    if (snapshot === undefined) return;
    node.image = snapshot.image;
    node.origin = 'proc';
    this.#complete(node, snapshot);
  }

  #onExec(node: ProcessNode, event: KernelEvent, exec: ExecDetails, sequence: number): void {
    this.#linkAncestors(node, exec.ancestors, sequence);
    node.pgid = exec.pgid;
    node.vpgid = exec.vpgid;
    node.sid = exec.sid;
    node.vsid = exec.vsid;
    if (event.result !== 0) {
      if (node.setup) this.#setup.check(node, event);
      return;
    }
    // A thread that calls exec takes over the leader's pid and start: the same process all along.
    this.#table.setImage(node, imageOfExec(event.comm, exec), event.bootNs);
    node.origin = 'probe';
    node.pidNamespaceStartBootNs = exec.pidNamespaceStartBootNs;
    this.#setup.onExec(node, event, exec);
  }

  #onClone(node: ProcessNode, event: KernelEvent, sequence: number): void {
    const { clone } = event;
    if (clone === undefined || event.result < 0 || clone.childPid === 0) return;
    const parent = (clone.flags & CLONE_PARENT) === 0n ? node : node.parent;
    let child = this.#table.find(clone.childPid, clone.childStartBootNs);
    if (child === undefined) {
      child = new ProcessNode(
        clone.childPid,
        clone.childStartBootNs,
        node.imageAt(clone.childStartBootNs),
        { origin: node.origin, inScope: true },
      );
      child.lastSeen = sequence;
      child.cgroupId = event.cgroupId;
      child.nestedCgroup =
        clone.parentInScope === false
          ? this.#whereNested(clone.childPid, clone.childStartBootNs)
          : node.nestedCgroup;
      child.vpid = clone.childVpid;
      child.loginUid = node.loginUid;
      child.tty = node.tty;
      this.#inheritIds(child, node);
      if ((clone.flags & CLONE_NEWPID) !== 0n) {
        // A group led from outside a new pid namespace has no number in it.
        child.vpgid = 0;
        child.vsid = 0;
      } else child.pidNamespaceStartBootNs = node.pidNamespaceStartBootNs;
      this.#table.add(child, event.bootNs);
    }
    if (parent !== undefined) this.#link(child, parent);
    this.#setup.onFork(node, child, event);
  }

  /** What a process makes of itself without running another program. */
  #onCall(node: ProcessNode, event: KernelEvent, call: CallDetails): void {
    if (event.result < 0) return;
    if (event.type === 'chdir' || event.type === 'fchdir') this.#onMove(node, call.directory(1));
    else if (event.type === 'setsid') startSession(node);
    else if (event.type === 'setpgid') {
      const unknown = changeGroup(node, call.int(1), call.int(2));
      if (unknown !== undefined) this.#readGroup(unknown);
    }
  }

  /** A process that changed its working directory runs what it ran. */
  #onMove(node: ProcessNode, cwd: string): void {
    // What is read from /proc when it is looked at says where the process is by itself.
    if (cwd === '' || !(node.image instanceof KeptImage)) return;
    this.#table.completeImage(node, node.image.movedTo(cwd));
  }

  #readGroup(node: ProcessNode): void {
    const snapshot = this.#readProc(node.pid, node.startBootNs);
    if (snapshot !== undefined) this.#complete(node, snapshot);
  }

  /** Ties the chain that an exec record carries to the tree, parent first. */
  #linkAncestors(node: ProcessNode, ancestors: readonly Ancestor[], sequence: number): void {
    let child = node;
    for (const ancestor of ancestors) {
      let known = this.#table.find(ancestor.pid, ancestor.startBootNs);
      // The creator is known and is another (it has exited): its lineage stands.
      if (child.parent !== undefined && child.parent !== known) return;
      if (known === undefined) {
        known = this.#ancestor(ancestor.pid, ancestor.startBootNs, ancestor.comm, ancestor.inScope);
        known.lastSeen = sequence;
        this.#table.add(known, this.#latestBootNs);
      }
      this.#link(child, known);
      child = known;
    }
  }

  #ancestor(pid: number, startBootNs: bigint, comm: string, inScope: boolean): ProcessNode {
    const image = new AncestorImage(pid, startBootNs, comm, this.#reader, (read) =>
      this.#table.recountImage(read),
    );
    return new ProcessNode(pid, startBootNs, image, { origin: 'ancestor', inScope });
  }

  /** Ancestors from /proc for a process that came without them; stops at the first doubt. */
  #linkFromProc(node: ProcessNode, event: KernelEvent, sequence: number): void {
    let child = node;
    let pid = event.ppid;
    for (let depth = 0; depth < PROC_ANCESTORS_MAX && pid !== 0; depth++) {
      if (!this.#mayRead()) return;
      const stat = this.#reader.stat(pid);
      if (stat === undefined) return;
      const wanted = depth === 0 ? event.parentStartBootNs : undefined;
      if (wanted !== undefined && startTicksOf(wanted) !== stat.startTicks) return;
      // A parent never started after its child: that pid has been reused.
      if (stat.startTicks > startTicksOf(child.startBootNs)) return;
      let known = this.#findByTicks(pid, stat.startTicks);
      const end = known !== undefined;
      if (known === undefined) {
        const startBootNs = wanted ?? BigInt(stat.startTicks) * 10_000_000n;
        known = this.#ancestor(pid, startBootNs, stat.comm, this.#isInScope(pid) === true);
        known.startRounded = wanted === undefined;
        known.lastSeen = sequence;
        this.#table.add(known, event.bootNs);
      }
      this.#link(child, known);
      if (end) return;
      child = known;
      pid = stat.ppid;
    }
  }

  /** Of what was an ancestor of others so far, rules now look at everything. Once: the image is another afterwards. */
  #completeAncestor(node: ProcessNode): void {
    if (!this.#mayRead()) return;
    const snapshot = this.#reader.read(node.pid, startTicksOf(node.startBootNs));
    this.#table.completeImage(node, snapshot?.image ?? nameOnlyImage(node.image.name));
    if (snapshot === undefined) return;
    node.origin = 'proc';
    this.#complete(node, snapshot);
  }

  /** Gives a node its parent, once; an ancestor forgotten meanwhile is passed over. */
  #link(child: ProcessNode, parent: ProcessNode): void {
    if (child.parent !== undefined || child.removed) return;
    let above: ProcessNode | undefined = parent;
    while (above?.removed === true) above = above.parent;
    if (above === undefined) return;
    // Only what has children already can be above its parent; a chain of forks may be long.
    if (child.firstChild !== undefined && child.hasDescendant(above)) return;
    child.linkTo(above);
  }

  #inheritIds(node: ProcessNode, parent: ProcessNode): void {
    node.pgid = parent.pgid;
    node.vpgid = parent.vpgid;
    node.sid = parent.sid;
    node.vsid = parent.vsid;
  }

  #complete(node: ProcessNode, snapshot: ProcSnapshot): void {
    node.vpid = snapshot.vpid;
    node.loginUid = snapshot.loginUid;
    node.tty = snapshot.stat.tty;
    node.pgid = snapshot.stat.pgid;
    node.vpgid = snapshot.vpgid;
    node.sid = snapshot.stat.sid;
    node.vsid = snapshot.vsid;
  }

  #readProc(pid: number, startBootNs: bigint): ProcSnapshot | undefined {
    return this.#mayRead() ? this.#reader.read(pid, startTicksOf(startBootNs)) : undefined;
  }

  #mayRead(): boolean {
    if (this.#readsLeft === 0) {
      this.#procReadsRefused++;
      return false;
    }
    this.#readsLeft--;
    this.#procReads++;
    return true;
  }
}

/** The runtime and its shim end with a short container, perhaps before a rule asks for more than their names. */
function lookAtAncestors(node: ProcessNode): void {
  let above = node.parent;
  for (let depth = 0; depth < PROC_ANCESTORS_MAX && above !== undefined; depth++) {
    if (above.image instanceof AncestorImage) above.image.look();
    above = above.parent;
  }
}
