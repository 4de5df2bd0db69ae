import type { Ancestor, CallDetails, ExecDetails, KernelEvent } from '../events/event.ts';
import type { CgroupChange } from '../events/cgroup-record.ts';
import { changeGroup, startSession } from './groups.ts';
import { AncestorImage, imageBefore } from './ancestor-image.ts';
import { Ancestry, lookAtAncestors } from './ancestry.ts';
import type { ImageBounds } from './image-store.ts';
import { imageOfExec, KeptImage, nameOnlyImage } from './process-image.ts';
import { NestedCgroups, nestedPath } from './nested-cgroups.ts';
import { ProcBudget, type ProcBudgetCounters } from './proc-budget.ts';
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

/** Live processes checked against /proc per tick: the exits that no record told. */
const SWEEP_PER_TICK = 32;

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
export interface ProcessTreeCounters extends ProcessTableCounters, ProcBudgetCounters {
  /** Processes first heard of by an event of their own. */
  readonly discovered: number;
  /** Exits that no record told, found by looking. */
  readonly missedExits: number;
}

/**
 * The processes that rules can look at: those in scope, and their ancestors whether in scope or not.
 *
 * A process is (pid, start), so a reused pid is another process. Its parent is the process that forked it, even after
 * that one exited. The kernel, and Falco with it, gives orphans to a reaper: after a double fork `proc.pname` is the
 * container's init. Rules ask who started a process, and a double fork must not hide that; so the tree keeps the
 * creator. Only a process whose fork was not seen has the parent that the kernel names at its first event. Dead parents
 * are bounded (`DEAD_RUN_MAX` in a row).
 *
 * Records of one container's cgroup come in order, and the kernel sends a fork before the child can run. Records of a
 * flooding container may come late; an exited process is found for `exitedKeepMs`.
 */
export class ProcessTree {
  readonly #proc: ProcBudget;
  readonly #ancestry: Ancestry;
  readonly #table: ProcessTable;
  readonly #setup: SetupMarker;
  readonly #nested = new NestedCgroups();
  readonly #exitedKeepNs: bigint;
  readonly #nestedCgroupOf: ProcessTreeOptions['nestedCgroupOf'];
  #latestBootNs = 0n;
  #sequence = 0;
  #discovered = 0;
  #missedExits = 0;

  constructor(options: ProcessTreeOptions) {
    this.#proc = new ProcBudget(options.reader);
    this.#setup = new SetupMarker((node) => {
      lookAtAncestors(node);
      options.onSetup?.(node, node.setupRoot);
    });
    this.#exitedKeepNs = BigInt(options.exitedKeepMs ?? EXITED_KEEP_MS) * 1_000_000n;
    this.#nestedCgroupOf = options.nestedCgroupOf;
    this.#table = new ProcessTable({
      maxProcesses: Math.max(16, options.maxProcesses ?? 65536),
      maxExited: options.maxExited ?? 16384,
      imageBounds: options.imageBounds,
      onEvict: (node) => {
        if (node.inScope) this.recordsLost(this.#latestBootNs, node.cgroupId || undefined);
      },
    });
    const isInScope = options.isInScope ?? (() => undefined);
    this.#ancestry = new Ancestry(this.#table, this.#proc, isInScope);
  }

  counters(): ProcessTreeCounters {
    return {
      ...this.#table.counters(),
      ...this.#proc.counters(),
      discovered: this.#discovered,
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
    if (exec !== undefined) this.#onExec(node, event, exec);
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
      if (known.parent === undefined) this.#tellAncestors(known, change.ancestors);
      this.#setup.onLateAttach(known, change.bootNs);
      return;
    }
    this.#nested.remember(change);
    this.#setup.onAttach(change.pid, change.bootNs);
  }

  /**
   * Process records were lost up to `bootNs`: of the container with this root cgroup; without one, perhaps of all. An
   * unknown process there that started before does not count as the runtime's set-up any more.
   */
  recordsLost(bootNs: bigint, rootCgroupId?: number): void {
    this.#setup.onLoss(bootNs, rootCgroupId);
  }

  /** The process with this pid and start; without `startBootNs`, the youngest that has the pid. */
  find(pid: number, startBootNs?: bigint): Process | undefined {
    return this.#find(pid, startBootNs);
  }

  /**
   * When the runtime's process in the container ran its first program: CLOCK_BOOTTIME ns, from that exec's record. Is
   * `not yet` while it sets the container up; undefined if that was not seen for certain. `startTicks` as in
   * /proc/PID/stat.
   */
  programSince(pid: number, startTicks: number): bigint | 'not yet' | undefined {
    const node = this.#table.findByTicks(pid, startTicks);
    return node === undefined ? undefined : this.#setup.programSince(node);
  }

  /**
   * To be called about once a second, with CLOCK_BOOTTIME in ns: reaps exited processes and looks at a few
   * others for exits that were not told (lost records, processes moved out of the scope).
   */
  tick(nowBootNs: bigint): void {
    if (nowBootNs > this.#latestBootNs) this.#latestBootNs = nowBootNs;
    this.#proc.renew();
    this.#setup.onTick(nowBootNs);
    this.#table.reapBefore(nowBootNs - this.#exitedKeepNs);
    for (const node of this.#table.sample(SWEEP_PER_TICK)) {
      if (node.exitedBootNs !== undefined) continue;
      if (this.#proc.reader.stat(node.pid)?.startTicks === startTicksOf(node.startBootNs)) continue;
      this.#missedExits++;
      this.#table.markExited(node, nowBootNs);
    }
  }

  /**
   * Adds what /proc says about a process (see `scanProcesses`). Facts from the probe stay: its exec records are never
   * older than the scan, since the probe was attached first. Returns undefined when the pid has a younger holder by
   * now.
   */
  adopt(
    snapshot: ProcSnapshot,
    inScope: boolean,
    parent: Process | undefined,
  ): Process | undefined {
    const { stat } = snapshot;
    const startBootNs = BigInt(stat.startTicks) * 10_000_000n;
    let node = this.#table.findByTicks(stat.pid, stat.startTicks);
    if (node === undefined) {
      const newest = this.#table.newest(stat.pid);
      if (newest !== undefined && newest.startBootNs > startBootNs) return undefined;
      node = new ProcessNode(stat.pid, startBootNs, snapshot.image, {
        origin: 'proc',
        inScope,
        startRounded: true,
      });
      node.lastSeen = ++this.#sequence;
      node.takeIds(snapshot);
      this.#table.add(node, this.#latestBootNs);
    } else if (node.origin === 'ancestor') {
      node.origin = 'proc';
      this.#table.completeImage(node, snapshot.image);
      node.takeIds(snapshot);
    } else if (node.pgid === 0) node.takeIds(snapshot);
    if (inScope) {
      node.inScope = true;
      node.nestedCgroup = this.#nestedCgroupOf?.(stat.pid);
    }
    if (parent instanceof ProcessNode) this.#ancestry.link(node, parent);
    return node;
  }

  #find(pid: number, startBootNs?: bigint): ProcessNode | undefined {
    return startBootNs === undefined ? this.#table.newest(pid) : this.#table.find(pid, startBootNs);
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
    const moved = outside ? undefined : this.#nested.take(event.pid, event.startBootNs);
    if (!outside) node.nestedCgroup = this.#whereNested(event.pid, moved, parent);
    node.vpid = event.vpid;
    // A successful exec brings the whole image with it.
    if (event.exec === undefined || event.result !== 0) this.#guessImage(node, event, parent);
    this.#table.add(node, event.bootNs);
    // By the probe first: who brought it in may have ended, and have left it to a reaper.
    this.#tellAncestors(node, moved?.ancestors ?? event.clone?.ancestors?.slice(1));
    if (parent !== undefined) this.#ancestry.link(node, parent);
    else if (event.exec === undefined && node.parent === undefined)
      this.#ancestry.find(node, event, sequence);
    if (!outside) this.#setup.onFirstEvent(node, event);
    return node;
  }

  #whereNested(
    pid: number,
    moved: CgroupChange | undefined,
    parent?: ProcessNode,
  ): string | undefined {
    if (moved !== undefined) return nestedPath(moved);
    if (parent?.inScope === true) return parent.nestedCgroup;
    // Older than the agent, or born into it: both seldom.
    const ask = this.#nestedCgroupOf;
    return ask !== undefined && this.#proc.take() ? ask(pid) : undefined;
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
      node.inheritIds(parent);
      return;
    }
    const snapshot = this.#proc.read(event.pid, event.startBootNs);
    if (snapshot === undefined) {
      const [caller] = event.clone?.ancestors ?? [];
      if (caller?.exePath !== undefined) node.image = nameOnlyImage(event.comm, caller.exePath);
      return;
    }
    node.image = snapshot.image;
    node.firstName = event.comm;
    node.origin = 'proc';
    node.takeIds(snapshot);
  }

  /** Does nothing without ancestors. */
  #tellAncestors(node: ProcessNode, ancestors: readonly Ancestor[] = []): void {
    this.#ancestry.told(node, ancestors, this.#sequence, this.#latestBootNs);
  }

  #onExec(node: ProcessNode, event: KernelEvent, exec: ExecDetails): void {
    this.#tellAncestors(node, exec.ancestors);
    node.pgid = exec.pgid;
    node.vpgid = exec.vpgid;
    node.sid = exec.sid;
    node.vsid = exec.vsid;
    if (event.result !== 0) {
      if (node.setup) this.#setup.check(node, event);
      return;
    }
    // A thread that calls exec takes over the leader's pid and start: the same process all along.
    const before = imageBefore(node.image, event.bootNs, node.firstName ?? node.image.name);
    if (before !== node.image) this.#table.completeImage(node, before);
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
          ? this.#whereNested(
              clone.childPid,
              this.#nested.take(clone.childPid, clone.childStartBootNs),
            )
          : node.nestedCgroup;
      child.vpid = clone.childVpid;
      child.loginUid = node.loginUid;
      child.tty = node.tty;
      child.inheritIds(node);
      if ((clone.flags & CLONE_NEWPID) !== 0n) {
        // A group led from outside a new pid namespace has no number in it.
        child.vpgid = 0;
        child.vsid = 0;
      } else child.pidNamespaceStartBootNs = node.pidNamespaceStartBootNs;
      this.#table.add(child, event.bootNs);
    }
    if (parent !== undefined) this.#ancestry.link(child, parent);
    this.#setup.onFork(node, child, event);
  }

  /** Calls that change a process's directory, session or group. */
  #onCall(node: ProcessNode, event: KernelEvent, call: CallDetails): void {
    if (event.result < 0) return;
    if (event.type === 'chdir' || event.type === 'fchdir') this.#onMove(node, call.directory(1));
    else if (event.type === 'setsid') startSession(node);
    else if (event.type === 'setpgid') {
      const unknown = changeGroup(node, call.int(1), call.int(2));
      if (unknown !== undefined) this.#readGroup(unknown);
    }
  }

  /** A changed working directory: the same image with another `cwd`. */
  #onMove(node: ProcessNode, cwd: string): void {
    // An AncestorImage reads the directory from /proc by itself.
    if (cwd === '' || !(node.image instanceof KeptImage)) return;
    this.#table.completeImage(node, node.image.movedTo(cwd));
  }

  #readGroup(node: ProcessNode): void {
    const snapshot = this.#proc.read(node.pid, node.startBootNs);
    if (snapshot !== undefined) node.takeIds(snapshot);
  }

  /** Reads the whole image of a process that was only an ancestor so far. Runs once: it replaces the AncestorImage. */
  #completeAncestor(node: ProcessNode): void {
    if (!this.#proc.take()) return;
    const snapshot = this.#proc.reader.read(node.pid, startTicksOf(node.startBootNs));
    this.#table.completeImage(node, snapshot?.image ?? nameOnlyImage(node.image.name));
    if (snapshot === undefined) return;
    node.origin = 'proc';
    node.takeIds(snapshot);
  }
}
