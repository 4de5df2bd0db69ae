import { AncestorImage } from './ancestor-image.ts';
import { KeptImage, type ImageWords } from './process-image.ts';
import type { ProcessImage } from './process.ts';

/** Objects of an image and of its bookkeeping, as V8 has them. */
const IMAGE_OBJECT_BYTES = 512;

/** Share of the limit that is freed at once when it is exceeded, so that searches for the largest container are rare. */
const FREED_SHARE = 1 / 64;

/** Memory of one container's processes in the tree. */
export class Share {
  /** Root cgroup. */
  readonly root: number;
  processes = 0;
  /** What its images cost besides their words. */
  factBytes = 0;
  wordBytes = 0;
  /** Words that can be dropped, the oldest first. */
  readonly words = new Set<ImageWords>();

  constructor(root: number) {
    this.root = root;
  }
}

interface Use {
  users: number;
  bytes: number;
  readonly share: Share;
  /** Whose words are counted with it. */
  words: ImageWords | undefined;
}

interface WordsUse {
  users: number;
  bytes: number;
  readonly share: Share;
}

/** Bounds of an ImageStore, in bytes. */
export interface ImageBounds {
  /** Arguments and environments; past it, those of the largest container are dropped. */
  readonly wordBytes: number;
  /** All else; past it, the caller must remove processes. */
  readonly factBytes: number;
}

/**
 * Counts the memory of process images: each image once, for the container that had it first. Past the limit it drops
 * arguments and environments of the container with the most, its oldest first.
 */
export class ImageStore {
  readonly #bounds: ImageBounds;
  readonly #uses = new Map<ProcessImage, Use>();
  readonly #wordsUses = new Map<ImageWords, WordsUse>();
  /** By root cgroup of the container; 0 for processes of which no cgroup is known. */
  readonly #shares = new Map<number, Share>();
  #factBytes = 0;
  #wordBytes = 0;
  #cut = 0;
  /** Since `takeCuts`, by root cgroup: no more than there are containers. */
  #cuts = new Map<number, number>();

  constructor(bounds: ImageBounds) {
    this.#bounds = bounds;
  }

  get bytes(): number {
    return this.#factBytes + this.#wordBytes;
  }

  /** Images whose arguments and environment were dropped, since the start. */
  get cut(): number {
    return this.#cut;
  }

  /** Images that lost their words since the last call, by the root cgroup of their container. */
  takeCuts(): ReadonlyMap<number, number> {
    const cuts = this.#cuts;
    this.#cuts = new Map();
    return cuts;
  }

  /** The caller must remove processes. */
  get isFull(): boolean {
    return this.#factBytes > this.#bounds.factBytes;
  }

  /** One more process of the container; undo by `leave`. */
  join(root: number): Share {
    let share = this.#shares.get(root);
    if (share === undefined) {
      share = new Share(root);
      this.#shares.set(root, share);
    }
    share.processes++;
    return share;
  }

  leave(share: Share): void {
    share.processes--;
    this.#forgetEmpty(share);
  }

  retain(image: ProcessImage, share: Share): void {
    const known = this.#uses.get(image);
    if (known !== undefined) {
      known.users++;
      return;
    }
    const use: Use = { users: 1, bytes: 0, share, words: undefined };
    this.#uses.set(image, use);
    this.#measure(image, use);
  }

  /** More is known of an image than when it was retained. */
  recount(image: ProcessImage): void {
    const use = this.#uses.get(image);
    if (use !== undefined) this.#measure(image, use);
  }

  release(image: ProcessImage): void {
    const use = this.#uses.get(image);
    if (use === undefined || --use.users > 0) return;
    this.#uses.delete(image);
    if (use.words !== undefined) this.#releaseWords(use.words);
    this.#add(use.share, -use.bytes);
    this.#forgetEmpty(use.share);
  }

  /** Drops words until their limit holds, but not those of `keep`, which is in use. */
  fitWords(keep: ProcessImage): void {
    if (this.#wordBytes <= this.#bounds.wordBytes) return;
    const kept = wordsOf(keep);
    const goal = this.#bounds.wordBytes * (1 - FREED_SHARE);
    while (this.#wordBytes > goal) {
      const greediest = this.#greediest(kept);
      // Only the beginnings of argv[0], and the words in use, are left.
      if (greediest === undefined) return;
      for (const words of greediest.words) {
        if (words === kept) continue;
        this.#drop(words);
        if (this.#wordBytes <= goal) return;
      }
    }
  }

  #greediest(kept: ImageWords | undefined): Share | undefined {
    let greediest: Share | undefined;
    for (const share of this.#shares.values()) {
      const droppable = share.words.size - (kept !== undefined && share.words.has(kept) ? 1 : 0);
      if (droppable > 0 && !(share.wordBytes <= (greediest?.wordBytes ?? 0))) greediest = share;
    }
    return greediest;
  }

  #drop(words: ImageWords): void {
    const use = this.#wordsUses.get(words);
    if (use === undefined) return;
    words.drop();
    this.#cut++;
    const { root } = use.share;
    this.#cuts.set(root, (this.#cuts.get(root) ?? 0) + 1);
    use.share.words.delete(words);
    this.#addWords(use.share, words.bytes - use.bytes);
    use.bytes = words.bytes;
  }

  #measure(image: ProcessImage, use: Use): void {
    const { name, exePath, cwd, filename } = textsOf(image);
    const bytes =
      IMAGE_OBJECT_BYTES + 2 * (name.length + exePath.length + cwd.length + filename.length);
    this.#add(use.share, bytes - use.bytes);
    use.bytes = bytes;
    const words = wordsOf(image);
    if (words === use.words || words === undefined) return;
    use.words = words;
    this.#retainWords(words, use.share);
  }

  #retainWords(words: ImageWords, share: Share): void {
    const known = this.#wordsUses.get(words);
    if (known !== undefined) {
      known.users++;
      return;
    }
    const { bytes } = words;
    this.#wordsUses.set(words, { users: 1, bytes, share });
    if (bytes > 0) share.words.add(words);
    this.#addWords(share, bytes);
  }

  #releaseWords(words: ImageWords): void {
    const use = this.#wordsUses.get(words);
    if (use === undefined || --use.users > 0) return;
    this.#wordsUses.delete(words);
    use.share.words.delete(words);
    this.#addWords(use.share, -use.bytes);
    this.#forgetEmpty(use.share);
  }

  /** What a container had first may outlive its processes, in processes of another. */
  #forgetEmpty(share: Share): void {
    if (share.processes === 0 && share.factBytes === 0 && share.wordBytes === 0)
      this.#shares.delete(share.root);
  }

  #add(share: Share, bytes: number): void {
    share.factBytes += bytes;
    this.#factBytes += bytes;
  }

  #addWords(share: Share, bytes: number): void {
    share.wordBytes += bytes;
    this.#wordBytes += bytes;
  }
}

function keptOf(image: ProcessImage): KeptImage | undefined {
  if (image instanceof KeptImage) return image;
  return image instanceof AncestorImage ? image.known : undefined;
}

function wordsOf(image: ProcessImage): ImageWords | undefined {
  return keptOf(image)?.words;
}

/** Of an ancestor that nobody looked at, its name alone: asking for more would read /proc. */
function textsOf(image: ProcessImage): Record<'name' | 'exePath' | 'cwd' | 'filename', string> {
  const { exePath = '', cwd = '', filename = '' } = keptOf(image) ?? {};
  return { name: image.name, exePath, cwd, filename };
}
