import { LIMITS } from '../events/table.gen.ts';
import { ImageStore, type ImageBounds, type Share } from './image-store.ts';
import { startTicksOf } from './proc-reader.ts';
import type { ProcessNode } from './process-node.ts';
import type { ProcessImage } from './process.ts';

/** At most this many dead ancestors in a row are kept above a process: daemons that fork for ever stay small. */
export const DEAD_RUN_MAX = 8;

/** Sample size for the eviction of a live process. */
const EVICTION_SAMPLE = 64;

/** Bounds on what images cost, per process of the bound: 24 MiB of arguments and environments for 65536, and 64 MiB of all else. */
const WORD_BYTES_PER_PROCESS = 384;
const FACT_BYTES_PER_PROCESS = 1024;
/** Where few processes are allowed: one may have 16 KiB of arguments and 8 KiB of environment. */
const LEAST_BYTES = 8 << 20;

/** Monotonic counters and present sizes of the table. */
export interface ProcessTableCounters {
  /** Everything kept: running, lately exited, dead parents of running ones. */
  readonly processes: number;
  /** Exited and not reaped yet. */
  readonly exited: number;
  /** Dead, kept because they have children. */
  readonly retained: number;
  /** Bytes of what they run: paths, arguments, environments. */
  readonly imageBytes: number;
  /** Programs whose arguments and environment were dropped to free memory. */
  readonly imagesCut: number;
  /** Running processes forgotten because the table was full. */
  readonly evicted: number;
  /** Dead parents removed while they had children, which the grandparent then gets. */
  readonly spliced: number;
}

export interface ProcessTableOptions {
  readonly maxProcesses: number;
  readonly maxExited: number;
  /** Default: in proportion to `maxProcesses`. */
  readonly imageBounds?: ImageBounds | undefined;
  /** Told of each running process that is forgotten. Must not throw. */
  readonly onEvict?: (node: ProcessNode) => void;
}

/**
 * Storage of the process tree: lookup, reaping and limits, without interpretation. Holds at most `maxProcesses` nodes,
 * of them at most `maxExited` exited ones that await reaping, and as many dead parents. When full, it evicts the
 * longest dead first, then dead parents. Then it evicts, of a sample of 64, the least recently used leaf of the
 * container with the most: who fills the table loses first. A process of the runtime's set-up goes last, since it could
 * not be told from the app when it came back. Arguments and environments have their own limit: past it, those of the
 * largest container are dropped.
 */
export class ProcessTable {
  readonly #maxProcesses: number;
  readonly #maxExited: number;
  readonly #newest = new Map<number, ProcessNode>();
  readonly #nodes = new Set<ProcessNode>();
  readonly #retained = new Set<ProcessNode>();
  readonly #images: ImageStore;
  #exited: ProcessNode[] = [];
  #exitedHead = 0;
  #sampler: Iterator<ProcessNode> | undefined;
  #evicted = 0;
  #spliced = 0;
  readonly #onEvict: (node: ProcessNode) => void;

  constructor({ maxProcesses, maxExited, ...options }: ProcessTableOptions) {
    this.#maxProcesses = maxProcesses;
    this.#maxExited = maxExited;
    this.#images = new ImageStore(
      options.imageBounds ?? {
        wordBytes: Math.max(LEAST_BYTES, maxProcesses * WORD_BYTES_PER_PROCESS),
        factBytes: Math.max(LEAST_BYTES, maxProcesses * FACT_BYTES_PER_PROCESS),
      },
    );
    this.#onEvict = options.onEvict ?? (() => undefined);
  }

  counters(): ProcessTableCounters {
    return {
      processes: this.#nodes.size,
      exited: this.#exited.length - this.#exitedHead,
      retained: this.#retained.size,
      imageBytes: this.#images.bytes,
      imagesCut: this.#images.cut,
      evicted: this.#evicted,
      spliced: this.#spliced,
    };
  }

  /** See ImageStore. */
  takeCuts(): ReadonlyMap<number, number> {
    return this.#images.takeCuts();
  }

  find(pid: number, startBootNs: bigint): ProcessNode | undefined {
    let node = this.#newest.get(pid);
    while (node !== undefined && !node.isStartedAt(startBootNs)) node = node.older;
    return node;
  }

  /** The process with this pid and start, in ticks as in /proc/PID/stat. */
  findByTicks(pid: number, startTicks: number): ProcessNode | undefined {
    let node = this.#newest.get(pid);
    while (node !== undefined && startTicksOf(node.startBootNs) !== startTicks) node = node.older;
    return node;
  }

  /** The youngest process known to have had this pid, running or not. */
  newest(pid: number): ProcessNode | undefined {
    return this.#newest.get(pid);
  }

  /** Adds a node. Marks the pid's previous holder as exited, or the node itself if a younger one is known. */
  add(node: ProcessNode, nowBootNs: bigint): void {
    const newest = this.#newest.get(node.pid);
    if (newest === undefined || newest.startBootNs <= node.startBootNs) {
      node.older = newest;
      this.#newest.set(node.pid, node);
      if (newest !== undefined) this.markExited(newest, node.startBootNs);
    } else {
      let younger = newest;
      while (younger.older !== undefined && younger.older.startBootNs > node.startBootNs)
        younger = younger.older;
      node.older = younger.older;
      younger.older = node;
    }
    this.#nodes.add(node);
    const share = this.#join(node);
    this.#images.retain(node.image, share);
    if (newest !== undefined && newest.startBootNs > node.startBootNs)
      this.markExited(node, nowBootNs);
    this.#fit(node);
  }

  /** Replaces a node's image, keeping the previous one. */
  setImage(node: ProcessNode, image: ProcessImage, sinceBootNs: bigint): void {
    if (node.previousImage !== undefined) this.#images.release(node.previousImage);
    node.previousImage = node.image;
    node.image = image;
    node.imageSinceBootNs = sinceBootNs;
    if (node.share !== undefined) this.#images.retain(image, node.share);
    this.#fit(node);
  }

  /** Replaces an image by a more complete one; the old one does not become the previous image. */
  completeImage(node: ProcessNode, image: ProcessImage): void {
    if (node.share !== undefined) this.#images.retain(image, node.share);
    this.#images.release(node.image);
    node.image = image;
    this.#fit(node);
  }

  /** Measures an image again, after more of it became known. */
  recountImage(image: ProcessImage): void {
    this.#images.recount(image);
  }

  markExited(node: ProcessNode, exitedBootNs: bigint): void {
    if (node.exitedBootNs !== undefined || node.removed) return;
    node.exitedBootNs = exitedBootNs;
    this.#exited.push(node);
    if (this.#exited.length - this.#exitedHead > this.#maxExited) this.#reapOldest();
  }

  /** Undoes an exit: an event came after it. */
  revive(node: ProcessNode): void {
    node.exitedBootNs = undefined;
    node.retained = false;
    this.#retained.delete(node);
  }

  /** Reaps what exited before `bootNs`. */
  reapBefore(bootNs: bigint): void {
    for (;;) {
      const oldest = this.#exited[this.#exitedHead];
      if (oldest === undefined) return;
      if (oldest.exitedBootNs !== undefined && oldest.exitedBootNs >= bootNs) return;
      this.#reapOldest();
    }
  }

  /** The next nodes of an endless walk over all of them, at most `count`. */
  *sample(count: number): Generator<ProcessNode> {
    for (let i = Math.min(count, this.#nodes.size); i > 0; i--) {
      this.#sampler ??= this.#nodes.values();
      const next = this.#sampler.next();
      if (next.done === true) {
        this.#sampler = undefined;
        i++;
        if (this.#nodes.size === 0) return;
      } else {
        yield next.value;
      }
    }
  }

  #reapOldest(): void {
    const node = this.#exited[this.#exitedHead++];
    if (this.#exitedHead > 1024 && this.#exitedHead * 2 > this.#exited.length) {
      this.#exited = this.#exited.slice(this.#exitedHead);
      this.#exitedHead = 0;
    }
    if (node === undefined || node.removed || node.exitedBootNs === undefined) return;
    if (node.firstChild === undefined) {
      this.#remove(node);
      return;
    }
    node.retained = true;
    this.#retained.add(node);
    this.#shortenDeadRun(node);
    if (this.#retained.size > this.#maxExited) this.#spliceOldestRetained();
  }

  /** Only where no other process loses one of its next ancestors by that: the kernel denies by these (LIMITS.VERDICT_LEVELS). */
  #shortenDeadRun(node: ProcessNode): void {
    let above = node.parent;
    for (let run = 1; above?.retained === true; run++) {
      const isNear = run > DEAD_RUN_MAX - LIMITS.VERDICT_LEVELS;
      if (isNear && above.firstChild?.nextSibling !== undefined) return;
      if (run === DEAD_RUN_MAX) {
        this.#spliced++;
        this.#remove(above);
        return;
      }
      above = above.parent;
    }
  }

  #spliceOldestRetained(): boolean {
    const [oldest] = this.#retained;
    if (oldest === undefined) return false;
    this.#spliced++;
    this.#remove(oldest);
    return true;
  }

  /** Evicts until the limits hold; `keep` is in use. */
  #fit(keep: ProcessNode): void {
    this.#images.fitWords(keep.image);
    while (this.#nodes.size > this.#maxProcesses || this.#images.isFull) {
      if (this.#exitedHead < this.#exited.length) this.#reapOldest();
      else if (!this.#spliceOldestRetained() && !this.#evictOne(keep)) return;
    }
  }

  #evictOne(keep: ProcessNode): boolean {
    let victim: ProcessNode | undefined;
    for (const node of this.sample(EVICTION_SAMPLE)) {
      if (node === keep) continue;
      if (victim === undefined || this.#goesBefore(node, victim)) victim = node;
    }
    if (victim === undefined) return false;
    this.#evicted++;
    this.#onEvict(victim);
    this.#remove(victim);
    return true;
  }

  #goesBefore(node: ProcessNode, other: ProcessNode): boolean {
    if (node.setup !== other.setup) return other.setup;
    const crowd = crowdOf(node) - crowdOf(other);
    if (crowd !== 0) return crowd > 0;
    const isLeaf = node.firstChild === undefined;
    if (isLeaf !== (other.firstChild === undefined)) return isLeaf;
    return node.lastSeen < other.lastSeen;
  }

  /** Says which cgroup a process is in. */
  setCgroup(node: ProcessNode, cgroupId: number): void {
    if (node.cgroupId === cgroupId) return;
    node.cgroupId = cgroupId;
    if (node.share === undefined) return;
    this.#leave(node);
    this.#join(node);
  }

  #join(node: ProcessNode): Share {
    return (node.share = this.#images.join(node.cgroupId));
  }

  #leave(node: ProcessNode): void {
    const { share } = node;
    node.share = undefined;
    if (share !== undefined) this.#images.leave(share);
  }

  /** Removes a node, gives its children to its parent, and removes ancestors that are no longer needed. */
  #remove(node: ProcessNode): void {
    let at: ProcessNode | undefined = node;
    while (at !== undefined) {
      const parent: ProcessNode | undefined = at.parent;
      this.#drop(at);
      // A dead parent, or one outside the scope, is kept for its children only.
      at =
        parent !== undefined &&
        !parent.removed &&
        parent.firstChild === undefined &&
        (parent.retained || !parent.inScope)
          ? parent
          : undefined;
    }
  }

  #drop(node: ProcessNode): void {
    node.removed = true;
    node.unlink();
    for (let child = node.firstChild; child !== undefined;) {
      const next = child.nextSibling;
      child.nextSibling = undefined;
      child.previousSibling = undefined;
      child.parent = undefined;
      if (node.parent !== undefined && !node.parent.removed) child.linkTo(node.parent);
      child = next;
    }
    node.firstChild = undefined;
    this.#nodes.delete(node);
    this.#retained.delete(node);
    this.#images.release(node.image);
    if (node.previousImage !== undefined) this.#images.release(node.previousImage);
    this.#leave(node);
    const newest = this.#newest.get(node.pid);
    if (newest === node) {
      if (node.older === undefined) this.#newest.delete(node.pid);
      else this.#newest.set(node.pid, node.older);
    } else {
      let younger = newest;
      while (younger !== undefined && younger.older !== node) younger = younger.older;
      if (younger !== undefined) younger.older = node.older;
    }
    node.older = undefined;
  }
}

/** Number of processes of its container; 0 if no cgroup is known. */
function crowdOf(node: ProcessNode): number {
  return node.cgroupId === 0 ? 0 : (node.share?.processes ?? 0);
}
