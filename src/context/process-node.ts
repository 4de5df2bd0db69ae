import type { Share } from './image-store.ts';
import { startTicksOf, type ProcSnapshot } from './proc-reader.ts';
import type { Process, ProcessImage } from './process.ts';

/** A process as the tree keeps it. Stages after context see it as the read-only `Process`. */
export class ProcessNode implements Process {
  readonly pid: number;
  startBootNs: bigint;
  /** `startBootNs` came from /proc: rounded down to a tick until an event says it exactly. */
  startRounded: boolean;
  vpid = 0;
  image: ProcessImage;
  /** What its first event called it, if its image was read from /proc for that event. */
  firstName: string | undefined;
  /** The image before the last exec, and since when the present one runs: a fork's record may come late. */
  previousImage: ProcessImage | undefined;
  imageSinceBootNs = 0n;
  parent: ProcessNode | undefined;
  loginUid = -1;
  tty = 0;
  pidNamespaceStartBootNs = 0n;
  pgid = 0;
  vpgid = 0;
  sid = 0;
  vsid = 0;
  inScope: boolean;
  setup = false;
  /** The process that the runtime put into the scope itself, not a child of it. */
  entrant = false;
  /** Nothing has told yet how it got into the scope: neither a fork nor a move. */
  untold = false;
  setupSinceBootNs = 0n;
  setupName = '';
  setupEpoch = 0;
  /** The container (its root cgroup) that it sets up. */
  setupRoot = 0;
  /** The exec that ended its set-up, CLOCK_BOOTTIME ns. */
  programSinceBootNs: bigint | undefined;
  /** The cgroup of its last event; 0 when the probe has told nothing of it. */
  cgroupId = 0;
  nestedCgroup: string | undefined;
  /** The memory account of its container. Undefined until it is in the table. */
  share: Share | undefined;
  origin: 'probe' | 'proc' | 'ancestor';

  /** End of the last thread; undefined while it runs. */
  exitedBootNs: bigint | undefined;
  /** Kept past its end only because it has children. */
  retained = false;
  removed = false;
  /** Number of the last event of this process; larger is later. */
  lastSeen = 0;
  /** The next older process that had the same pid and is still kept. */
  older: ProcessNode | undefined;
  /** Children that are in the tree, as a list through the children themselves. */
  firstChild: ProcessNode | undefined;
  nextSibling: ProcessNode | undefined;
  previousSibling: ProcessNode | undefined;

  constructor(
    pid: number,
    startBootNs: bigint,
    image: ProcessImage,
    options: { origin: Process['origin']; inScope: boolean; startRounded?: boolean },
  ) {
    this.pid = pid;
    this.startBootNs = startBootNs;
    this.image = image;
    this.origin = options.origin;
    this.inScope = options.inScope;
    this.startRounded = options.startRounded ?? false;
  }

  /** Whether (this pid, `startBootNs`) is this process. Learns the exact start where it had a rounded one. */
  isStartedAt(startBootNs: bigint): boolean {
    if (this.startBootNs === startBootNs) return true;
    if (!this.startRounded || startTicksOf(this.startBootNs) !== startTicksOf(startBootNs))
      return false;
    this.startBootNs = startBootNs;
    this.startRounded = false;
    return true;
  }

  /** What it ran at `bootNs`, as far back as one exec. */
  imageAt(bootNs: bigint): ProcessImage {
    return bootNs < this.imageSinceBootNs ? (this.previousImage ?? this.image) : this.image;
  }

  /** A fork leaves its child in its parent's group and session. */
  inheritIds(parent: ProcessNode): void {
    this.pgid = parent.pgid;
    this.vpgid = parent.vpgid;
    this.sid = parent.sid;
    this.vsid = parent.vsid;
  }

  /** Takes over what /proc says beside the program. */
  takeIds({ vpid, loginUid, stat, vpgid, vsid }: ProcSnapshot): void {
    this.vpid = vpid;
    this.loginUid = loginUid;
    this.tty = stat.tty;
    this.pgid = stat.pgid;
    this.vpgid = vpgid;
    this.sid = stat.sid;
    this.vsid = vsid;
  }

  /** Makes `parent` the parent. Only for a node that is nobody's child. */
  linkTo(parent: ProcessNode): void {
    this.parent = parent;
    this.nextSibling = parent.firstChild;
    if (parent.firstChild !== undefined) parent.firstChild.previousSibling = this;
    parent.firstChild = this;
  }

  /** Takes it off its parent's list of children. `parent` stays set: who holds the node still sees its lineage. */
  unlink(): void {
    if (this.previousSibling !== undefined) this.previousSibling.nextSibling = this.nextSibling;
    else if (this.parent?.firstChild === this) this.parent.firstChild = this.nextSibling;
    if (this.nextSibling !== undefined) this.nextSibling.previousSibling = this.previousSibling;
    this.nextSibling = undefined;
    this.previousSibling = undefined;
  }

  /** Whether `node` is this one or above it: linking this below `node` would close a circle. */
  hasDescendant(node: ProcessNode): boolean {
    for (let at: ProcessNode | undefined = node; at !== undefined; at = at.parent) {
      if (at === this) return true;
    }
    return false;
  }
}
