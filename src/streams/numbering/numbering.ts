import { createHash } from 'node:crypto';
import type { OwnFolder } from '../../host/own-folder.ts';
import { SILENT_LOGGER, type Logger } from '../../shared/logger.ts';
import { RecentMap } from '../../shared/recent-map.ts';
import { KEY_BYTES, NumberFile } from './number-file.ts';
import { LinesUnderWay, Numbered, type Instance, type NumberGap } from './numbered.ts';

/** Limit on app instances whose numbers are remembered; beyond it, the one that was silent for longest is evicted. */
export const MAX_INSTANCES = 10_000;
/** More than the agent can give between two syncs: numbers lost in a host crash are never given again. */
export const SKIP = 1_000_000;
const SYNC_AFTER_MS = 1000;

export interface NumberingOptions {
  /**
   * Where numbers are kept across restarts. Without this option they begin at 1 with each agent. `undefined`: the disk is unusable
   * now, and `keepIn` is called later.
   */
  readonly folder?: Pick<OwnFolder, 'inside'> | undefined;
  /** /proc/sys/kernel/random/boot_id. */
  readonly bootId?: string;
  readonly logger?: Logger;
  /** Default MAX_INSTANCES; another file for another number. */
  readonly maxInstances?: number;
  /** The disk does not take the numbers any more, or (without an error) takes them again. */
  readonly onTrouble?: (error: unknown) => void;
}

/**
 * Numbers lines: from 1, consecutive per app instance, also across restarts. A number is in the kernel before its line goes
 * anywhere, so none is given twice, however the agent ends. Lines on their way at that time are a gap: the next agent reports
 * their possible numbers (`takeGap`). After a host crash the last second may be missing on disk, so numbers continue a million
 * later. An instance that is not remembered begins above all evicted ones. Either is a gap too.
 *
 * A damaged file or a failing disk stops nothing. Numbers then continue above `clockFloor`, which is above all that were ever
 * given, and each instance has a gap. Limits: 10,000 instances, 640 KB of file.
 */
export class Numbering {
  readonly #instances: RecentMap<string, Instance>;
  readonly #maxInstances: number;
  readonly #logger: Logger;
  readonly #bootId: string;
  readonly #withLosses = new Set<Instance>();
  readonly #onTrouble: (error: unknown) => void;
  readonly #freeSlots: number[] = [];
  #file: NumberFile | undefined;
  #floor = 0;
  #gaps = 0;
  #syncTimer: NodeJS.Timeout | undefined;

  constructor(options: NumberingOptions = {}) {
    this.#maxInstances = options.maxInstances ?? MAX_INSTANCES;
    this.#instances = new RecentMap(this.#maxInstances);
    this.#logger = options.logger ?? SILENT_LOGGER;
    this.#bootId = options.bootId ?? '';
    this.#onTrouble = options.onTrouble ?? (() => undefined);
    this.#freeAllSlots();
    if (options.folder !== undefined) this.#open(options.folder.inside);
    else if ('folder' in options) this.#goAboveAll();
  }

  /** Whether numbers outlive the agent now. */
  get isKept(): boolean {
    return this.#file !== undefined;
  }

  /** Tries again to keep numbers in this folder, when they are not. */
  keepIn(folder: Pick<OwnFolder, 'inside'>): void {
    if (this.#file !== undefined) return;
    let file: NumberFile | undefined;
    try {
      ({ file } = NumberFile.open(folder.inside, this.#maxInstances));
      this.#freeAllSlots();
      for (const [, instance] of this.#instances.entries())
        instance.slot = this.#freeSlots.pop() ?? -1;
      this.#rewrite(file);
    } catch (error) {
      file?.close();
      this.#onTrouble(error);
      return;
    }
    this.#file = file;
    this.#sync();
    this.#onTrouble(undefined);
  }

  /** Instances with a gap that nobody was told of yet. */
  get gaps(): number {
    return this.#gaps;
  }

  /** The next number of the instance. */
  next(key: string): Numbered {
    return this.#give(this.#instance(key));
  }

  /** The gap to report for the instance, once; it counts as reported when `line` is written. */
  takeGap(key: string): { readonly gap: NumberGap; readonly line: Numbered } | undefined {
    if (this.#gaps === 0) return undefined;
    const instance = this.#instances.get(hashOf(key));
    const gap = instance?.gap;
    if (instance === undefined || gap === undefined) return undefined;
    instance.gap = undefined;
    this.#gaps--;
    const line = new Numbered(instance, { seq: gap.to, from: gap.from }, (it) =>
      this.#onSettled(it),
    );
    instance.underWay.addFirst(line);
    return { gap, line };
  }

  /** All losses so far were reported. */
  lossesTold(): void {
    if (this.#withLosses.size === 0) return;
    const instances = [...this.#withLosses];
    this.#withLosses.clear();
    for (const instance of instances) {
      instance.lostFrom = undefined;
      this.#onSettled(instance);
    }
  }

  /** The number of the instance's last line: 0 where none was written, undefined where that is not known. */
  lastLineOf(key: string): number | undefined {
    const instance = this.#instances.get(hashOf(key));
    if (instance !== undefined) return instance.lastLine;
    return this.#floor === 0 ? 0 : undefined;
  }

  /** Syncs everything to disk. Lines under way are a gap for the next agent. */
  close(): void {
    clearTimeout(this.#syncTimer);
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    try {
      // The numbers first: the header says that they are there.
      file.syncNow();
      file.writeHeader({ bootId: this.#bootId, floor: this.#floor, clean: true });
      file.syncNow();
    } catch {
      // A host that ends now makes the next agent skip some numbers, and say so.
    }
    file.close();
  }

  #give(instance: Instance): Numbered {
    instance.given++;
    // A number that the disk has not taken is not used: the next agent could give it again.
    if (!this.#write(instance)) instance.given++;
    const seq = instance.given;
    instance.lastLine = seq;
    const line = new Numbered(instance, { seq, from: seq }, (it) => this.#onSettled(it));
    instance.underWay.add(line);
    return line;
  }

  #instance(key: string): Instance {
    const hash = hashOf(key);
    let instance = this.#instances.get(hash);
    if (instance === undefined) {
      if (this.#instances.size >= this.#maxInstances) this.#forgetOne();
      instance = {
        key: hash,
        slot: this.#freeSlots.pop() ?? -1,
        underWay: new LinesUnderWay(),
        lostFrom: undefined,
        given: this.#floor,
        settled: 0,
        gap: undefined,
        lastLine: this.#floor === 0 ? 0 : undefined,
      };
      if (this.#floor > 0) this.#setGap(instance, 'forgotten');
    }
    this.#instances.set(hash, instance);
    return instance;
  }

  #forgetOne(): void {
    for (const [hash, instance] of this.#instances.entries()) {
      this.#instances.delete(hash);
      this.#withLosses.delete(instance);
      if (instance.gap !== undefined) this.#gaps--;
      instance.gap = undefined;
      if (instance.given > this.#floor) {
        this.#floor = instance.given;
        this.#writeHeader();
      }
      this.#freeSlots.push(instance.slot);
      instance.slot = -1;
      return;
    }
  }

  #setGap(instance: Instance, why: NumberGap['why']): void {
    if (instance.gap === undefined) this.#gaps++;
    instance.gap = { from: instance.settled + 1, to: instance.given, why };
  }

  #freeAllSlots(): void {
    this.#freeSlots.length = 0;
    for (let slot = this.#maxInstances - 1; slot >= 0; slot--) this.#freeSlots.push(slot);
  }

  /** Earlier numbers may be unknown: from now on all numbers are above any of them. */
  #goAboveAll(): void {
    this.#floor = Math.max(this.#floor, clockFloor());
    for (const [, instance] of this.#instances.entries()) {
      instance.given = Math.max(instance.given, this.#floor);
      this.#setGap(instance, 'forgotten');
    }
  }

  #onSettled(instance: Instance): void {
    if (instance.lostFrom !== undefined) this.#withLosses.add(instance);
    instance.underWay.removeSettled();
    if (instance.gap !== undefined) return;
    const first = instance.underWay.first?.from ?? instance.given + 1;
    const settled = Math.min(first, instance.lostFrom ?? Infinity) - 1;
    if (settled <= instance.settled) return;
    instance.settled = settled;
    // With lines under way, the write of the next number includes it.
    if (instance.underWay.first === undefined) this.#write(instance);
  }

  /** False if the disk has just failed: all instances then continue with higher numbers. */
  #write(instance: Instance): boolean {
    const { slot, key, given, settled } = instance;
    if (this.#file === undefined || slot < 0) return true;
    try {
      this.#file.writeSlot({ index: slot, key, given, settled, usedMs: Date.now() });
    } catch (error) {
      this.#giveUp(error);
      return false;
    }
    // After a host crash a new instance would be missing completely; an old one is only behind.
    if (given === 1) this.#sync();
    else this.#syncTimer ??= setTimeout(() => this.#sync(), SYNC_AFTER_MS).unref();
    return true;
  }

  /** All of it, also what was damaged. Throws the file system's error. */
  #rewrite(file: NumberFile): void {
    const slots = [...this.#instances.entries()].map(([key, { slot, given, settled }]) => {
      return { index: slot, key, given, settled, usedMs: Date.now() };
    });
    const header = { bootId: this.#bootId, floor: this.#floor, clean: false };
    file.rewrite(header, slots, this.#maxInstances);
  }

  #writeHeader(): void {
    try {
      this.#file?.writeHeader({ bootId: this.#bootId, floor: this.#floor, clean: false });
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #sync(): void {
    clearTimeout(this.#syncTimer);
    this.#syncTimer = undefined;
    this.#file?.sync();
  }

  #giveUp(error: unknown): void {
    this.#file?.close();
    this.#file = undefined;
    this.#goAboveAll();
    this.#onTrouble(error);
  }

  #open(folder: string): void {
    let opened: ReturnType<typeof NumberFile.open>;
    try {
      opened = NumberFile.open(folder, this.#maxInstances);
    } catch (error) {
      this.#giveUp(error);
      return;
    }
    const { file, isNew, isWhole, header, slots, setAside } = opened;
    this.#file = file;
    this.#floor = header?.floor ?? 0;
    // All writes of this boot are there; a host crash loses only what was not synced.
    const isCurrent =
      isWhole && (isNew || header?.clean === true || header?.bootId === this.#bootId);
    const most = slots.reduce((sum, { given }) => Math.max(sum, given), this.#floor);
    const hasForgotten = this.#floor > 0 || slots.length >= this.#maxInstances;
    if (!isWhole) this.#floor = Math.max(most + SKIP, clockFloor());
    else if (!isCurrent && hasForgotten) this.#floor = most + SKIP;
    const used = new Set(slots.map(({ index }) => index));
    this.#freeSlots.splice(0, Infinity, ...this.#freeSlots.filter((slot) => !used.has(slot)));
    for (const { index, key, given, settled } of [...slots].sort((a, b) => a.usedMs - b.usedMs)) {
      const instance: Instance = {
        key,
        slot: index,
        settled,
        underWay: new LinesUnderWay(),
        lostFrom: undefined,
        gap: undefined,
        given: isCurrent ? given : given + SKIP,
        lastLine: isCurrent ? given : undefined,
      };
      this.#instances.set(key, instance);
      if (instance.given > settled) this.#setGap(instance, isCurrent ? 'ended' : 'host');
    }
    try {
      if (isCurrent) file.writeHeader({ bootId: this.#bootId, floor: this.#floor, clean: false });
      else this.#rewrite(file);
      // Before the first number is given: the header must no longer say `clean`.
      file.syncNow();
    } catch (error) {
      this.#giveUp(error);
    }
    if (!isWhole)
      this.#logger.warn(
        { why: setAside ?? 'it is damaged' },
        'The file "numbers" in the state folder is damaged, or was changed by something other than an agent. Line numbers (seq) go on above all that were used, and each log gets a notice of the gap. Find out what changed the file.',
      );
    if (this.#gaps > 0)
      this.#logger.warn(
        { instances: this.#gaps },
        'the previous agent ended while lines were being delivered: each log concerned is told which numbers (seq) may be missing',
      );
  }
}

/**
 * Above every number that was ever given, without knowing them: microseconds since 1970. An instance gets less than one number
 * per microsecond. The value is exact: below 2^53 until the year 2255.
 */
function clockFloor(): number {
  return Date.now() * 1000;
}

function hashOf(key: string): string {
  return createHash('sha256').update(key).digest().toString('hex', 0, KEY_BYTES);
}
