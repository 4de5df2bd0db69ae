import type { PolicyTrust } from './policy-text.ts';
import { createHash } from 'node:crypto';
import {
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import type { OwnFolder } from '../host/own-folder.ts';

/** Limit on pins on disk; the least recently used one is evicted. */
const MAX_PINS = 4096;
/** A pin that no agent read for this long is that of a removed container. */
const MAX_AGE_MS = 30 * 86_400_000;

/** A pin's file is smaller: 64 KiB of text, in JSON. */
const MAX_FILE_BYTES = 512 * 1024;
/** Limits on pins that could not be written, and on their text together; writes are retried. */
const MAX_UNSAVED = 256;
const MAX_UNSAVED_CHARS = 4 * 1024 * 1024;

const FORMAT = 1;
const FILE = /^[0-9a-f]{40}$/;

/** A policy as it was first read from a container. */
export interface PinnedPolicy {
  /** Of the file in the container. */
  readonly path: string;
  readonly trust: PolicyTrust;
  /** Undefined: the file was refused. */
  readonly text: string | undefined;
  readonly refusal: string | undefined;
  /** Distinguishes containers that reuse a name; undefined where a name always means one container. */
  readonly incarnation: string | undefined;
}

/**
 * Keeps on disk what containers' policy files said when first read, so that later edits do not count, even after a
 * restart. One file per container, written atomically. Limits: 4,096 containers, 64 KiB of text each. Pins that cannot
 * be written wait in memory for a retry: at most 256 pins with 4 MiB of text.
 */
export class PolicyPins {
  readonly #onProblem: (error: unknown) => void;
  readonly #max: number;
  readonly #unsaved = new Map<string, PinnedPolicy>();
  #folder: Pick<OwnFolder, 'inside'> | undefined;
  #unsavedChars = 0;
  #count = 0;

  /**
   * `onProblem` gets the error of each failed read or write; nothing is thrown. `folder` is undefined while the disk
   * does not allow one; `keepIn` may pass it later.
   */
  constructor(
    folder: Pick<OwnFolder, 'inside'> | undefined,
    onProblem: (error: unknown) => void,
    max = MAX_PINS,
  ) {
    this.#onProblem = onProblem;
    this.#max = max;
    if (folder !== undefined) this.#use(folder);
  }

  /** Whether a folder is there, and has all pins that there is room for. */
  get isKept(): boolean {
    return this.#folder !== undefined && this.#unsaved.size === 0;
  }

  /** Retries failed writes. True when all are written. */
  keepIn(folder: Pick<OwnFolder, 'inside'>): boolean {
    if (this.#folder === undefined) this.#use(folder);
    for (const [name, pin] of this.#unsaved) {
      if (!this.#attempt(() => this.#write(name, pin))) return false;
      this.#forgetUnsaved(name);
    }
    return this.#folder !== undefined;
  }

  /** Undefined when there is no valid pin of this container. */
  get(name: string, incarnation: string | undefined): PinnedPolicy | undefined {
    if (this.#folder === undefined) return undefined;
    try {
      const path = pathOf(this.#folder, name);
      const stat = lstatSync(path);
      if (!stat.isFile() || stat.size > MAX_FILE_BYTES) throw new Error(`${path} ${DAMAGED}`);
      const kept = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
      const { format, name: its, pin } = kept;
      if (format !== FORMAT || its !== name || !isPin(pin)) return undefined;
      if (pin.incarnation !== incarnation) return undefined;
      noteUse(path);
      return pin;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#onProblem(error);
      return undefined;
    }
  }

  put(name: string, pin: PinnedPolicy): void {
    if (this.#attempt(() => this.#write(name, pin))) return;
    this.#forgetUnsaved(name);
    const chars = pin.text?.length ?? 0;
    if (this.#unsaved.size >= MAX_UNSAVED || this.#unsavedChars + chars > MAX_UNSAVED_CHARS) return;
    this.#unsaved.set(name, pin);
    this.#unsavedChars += chars;
  }

  /** The container is gone for good. */
  remove(name: string): void {
    this.#forgetUnsaved(name);
    const folder = this.#folder;
    if (folder === undefined) return;
    this.#attempt(() => rmSync(pathOf(folder, name), { force: true, recursive: true }));
  }

  #use(folder: Pick<OwnFolder, 'inside'>): void {
    this.#folder = folder;
    this.#count = this.#sweep(folder, this.#max);
  }

  #write(name: string, pin: PinnedPolicy): void {
    const folder = this.#folder;
    if (folder === undefined) throw new Error('there is no folder for it');
    if (++this.#count > this.#max) this.#count = this.#sweep(folder, this.#max - 1) + 1;
    const path = pathOf(folder, name);
    const whole = `${path}.new`;
    try {
      // Removes foreign entries: a write would follow a link, and a folder would block it.
      rmSync(whole, { force: true, recursive: true });
      if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true)
        rmSync(path, { force: true, recursive: true });
      writeFileSync(whole, JSON.stringify({ format: FORMAT, name, pin }), {
        mode: 0o600,
        flag: 'wx',
      });
      renameSync(whole, path);
    } catch (error) {
      rmSync(whole, { force: true });
      throw error;
    }
  }

  #forgetUnsaved(name: string): void {
    this.#unsavedChars -= this.#unsaved.get(name)?.text?.length ?? 0;
    this.#unsaved.delete(name);
  }

  /** Removes expired pins, foreign files, and the oldest beyond `max`. Returns how many are left. */
  #sweep(folder: Pick<OwnFolder, 'inside'>, max: number): number {
    const kept: { readonly path: string; readonly usedMs: number }[] = [];
    this.#attempt(() => {
      for (const file of readdirSync(folder.inside)) {
        const path = `${folder.inside}/${file}`;
        this.#attempt(() => {
          const stat = lstatSync(path, { throwIfNoEntry: false });
          if (stat === undefined) return;
          const isDamaged = !stat.isFile() || stat.size > MAX_FILE_BYTES;
          // What a writer that was killed left half done goes too.
          if (isDamaged || !FILE.test(file) || Date.now() - stat.mtimeMs > MAX_AGE_MS)
            rmSync(path, { force: true, recursive: true });
          else kept.push({ path, usedMs: stat.mtimeMs });
          if (isDamaged) throw new Error(`${file} ${DAMAGED}: it was removed`);
        });
      }
      kept.sort((a, b) => b.usedMs - a.usedMs);
      for (const { path } of kept.splice(max)) rmSync(path, { force: true });
    });
    return kept.length;
  }

  /** Whether it worked. */
  #attempt(action: () => void): boolean {
    try {
      action();
      return true;
    } catch (error) {
      this.#onProblem(error);
      return false;
    }
  }
}

const DAMAGED = 'is a link, a folder, a device or too large';

/** Without effect on a read-only disk: the pin may then be evicted earlier. */
function noteUse(path: string): void {
  const now = new Date();
  try {
    utimesSync(path, now, now);
  } catch {
    // The pin stays valid.
  }
}

function pathOf(folder: Pick<OwnFolder, 'inside'>, name: string): string {
  return `${folder.inside}/${createHash('sha256').update(name).digest('hex').slice(0, 40)}`;
}

function isPin(value: unknown): value is PinnedPolicy {
  if (typeof value !== 'object' || value === null) return false;
  const { path, trust, text, refusal, incarnation } = value as Record<string, unknown>;
  const isOptional = (one: unknown): boolean => one === undefined || typeof one === 'string';
  return (
    typeof path === 'string' &&
    (trust === 'verified' || trust === 'unverified') &&
    [text, refusal, incarnation].every(isOptional)
  );
}
