import { lstatSync, readdirSync, readlinkSync, statSync, watch } from 'node:fs';
import type { BigIntStats, FSWatcher } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isRuleFileName } from './rule-files.ts';

/** The files are checked after this quiet time, or at the latest this long after the first change. */
const DEBOUNCE_MS = 200;
const DEBOUNCE_MAX_MS = 2000;
/** Polling interval: network file systems send no notifications, and inotify has limits. */
const POLL_MS = 10_000;
/** Folders that give notice; changes in others are seen by looking. */
const MAX_FOLDERS = 256;
/** Symlinks that one path may lead through, as in the kernel (path_resolution(7)). */
const MAX_LINKS = 40;

/** How a path looked when its content was read; compares equal only when nothing was changed since. */
export type Stamp = string;

/** A folder, and the names in it whose change is a change of what is watched. */
type Folders = Map<string, (name: string) => boolean>;

interface WatchedFolder {
  /** Device and inode: the folder may be another one by now. */
  readonly identity: string;
  readonly watcher: FSWatcher;
  interesting: (name: string) => boolean;
}

/**
 * Notices when files change that were read before: rule files, all in a rule folder, the configuration. Written
 * anew, replaced by rename, reached by a symlink that now leads elsewhere, added to a folder or removed from it:
 * each is seen within DEBOUNCE_MS, or, where folders give no notice, within POLL_MS.
 */
export class RulesWatcher {
  readonly #onChange: () => void;
  readonly #debounceMs: number;
  readonly #pollMs: number;
  readonly #folders = new Map<string, WatchedFolder>();
  /** Undefined when nobody waits for a change. */
  #stamps: ReadonlyMap<string, Stamp> | undefined;
  #quiet: NodeJS.Timeout | undefined;
  #changedAtMs: number | undefined;
  #poll: NodeJS.Timeout | undefined;

  /** `onChange` is called once; the next time only after `watch` was called again. */
  constructor(
    onChange: () => void,
    options: { readonly debounceMs?: number; readonly pollMs?: number } = {},
  ) {
    this.#onChange = onChange;
    this.#debounceMs = options.debounceMs ?? DEBOUNCE_MS;
    this.#pollMs = options.pollMs ?? POLL_MS;
  }

  /**
   * Watches these paths from now on. A stamp is that of before its path was read: what changed since then is
   * noticed too.
   */
  watch(stamps: ReadonlyMap<string, Stamp>): void {
    this.#stamps = stamps;
    this.#poll ??= setInterval(() => this.#look(), this.#pollMs).unref();
    this.#look();
  }

  /** The paths are being read: until `watch` is called again, nothing is told. */
  pause(): void {
    this.#stamps = undefined;
  }

  /** Stops watching; `watch` may be called again. */
  stop(): void {
    clearInterval(this.#poll);
    clearTimeout(this.#quiet);
    this.#poll = undefined;
    this.#quiet = undefined;
    this.#changedAtMs = undefined;
    this.#stamps = undefined;
    this.#follow(new Map());
  }

  /** A change found by polling may still be in progress: it is debounced as well. */
  #look(): void {
    if (this.#hasChanged()) this.#onNotice();
  }

  #onNotice(): void {
    if (this.#stamps === undefined) return;
    const nowMs = performance.now();
    this.#changedAtMs ??= nowMs;
    const waitMs = Math.min(this.#debounceMs, this.#changedAtMs + DEBOUNCE_MAX_MS - nowMs);
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => this.#onQuiet(), Math.max(0, waitMs)).unref();
  }

  #onQuiet(): void {
    this.#quiet = undefined;
    this.#changedAtMs = undefined;
    if (!this.#hasChanged()) return;
    this.#stamps = undefined;
    this.#onChange();
  }

  #hasChanged(): boolean {
    if (this.#stamps === undefined) return false;
    const stamps = [...this.#stamps];
    // First the notices, then the look: what changes in between gives one.
    this.#follow(foldersOf(stamps.map(([path]) => path)));
    return stamps.some(([path, stamp]) => stampOf(path) !== stamp);
  }

  #follow(wanted: Folders): void {
    for (const [path, { identity, watcher }] of this.#folders) {
      if (wanted.has(path) && identityOf(path) === identity) continue;
      watcher.close();
      this.#folders.delete(path);
    }
    for (const [path, interesting] of wanted) {
      const followed = this.#folders.get(path);
      if (followed !== undefined) followed.interesting = interesting;
      else if (this.#folders.size < MAX_FOLDERS) this.#open(path, interesting);
    }
  }

  #open(path: string, interesting: (name: string) => boolean): void {
    const identity = identityOf(path);
    if (identity === undefined) return;
    try {
      const watcher = watch(path, { persistent: false });
      const folder: WatchedFolder = { identity, watcher, interesting };
      watcher.on('change', (_, name) => {
        if (typeof name !== 'string' || folder.interesting(name)) this.#onNotice();
      });
      // It gives no notice any more; the poll goes on.
      watcher.on('error', () => {
        watcher.close();
        if (this.#folders.get(path) === folder) this.#folders.delete(path);
      });
      this.#folders.set(path, folder);
    } catch {
      // No notices to be had (fs.inotify.max_user_watches, an odd file system): the poll sees the change.
    }
  }
}

/** How a path looks now: a file by itself, a folder by its rule files. Never throws. */
export function stampOf(path: string): Stamp {
  const status = statusOf(path);
  if (status?.isDirectory() !== true) return fileStamp(status);
  const files = ruleFilesIn(path).map((name) => `${name}=${fileStamp(statusOf(join(path, name)))}`);
  return files.join('\n');
}

function fileStamp(status: BigIntStats | undefined): Stamp {
  if (status === undefined) return 'none';
  const { dev, ino, size, mtimeNs, ctimeNs } = status;
  return [dev, ino, size, mtimeNs, ctimeNs].join(':');
}

function statusOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function identityOf(path: string): string | undefined {
  const status = statusOf(path);
  return status?.isDirectory() === true ? `${status.dev}:${status.ino}` : undefined;
}

function ruleFilesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder).filter(isRuleFileName).sort();
  } catch {
    return [];
  }
}

/** The folders in which a change of what the paths lead to shows. */
function foldersOf(paths: readonly string[]): Folders {
  const names = new Map<string, Set<string>>();
  const ruleFolders = new Set<string>();
  for (const path of paths) {
    const end = follow(path, names);
    if (identityOf(end) === undefined) continue;
    ruleFolders.add(end);
    for (const name of ruleFilesIn(end)) {
      const file = join(end, name);
      if (lstatOf(file)?.isSymbolicLink() === true) follow(file, names);
    }
  }
  const folders: Folders = new Map();
  for (const folder of new Set([...names.keys(), ...ruleFolders])) {
    const known = names.get(folder) ?? new Set();
    // A folder that is moved or deleted gives its own name.
    known.add(basename(folder));
    const holdsRules = ruleFolders.has(folder);
    folders.set(folder, (name) => known.has(name) || (holdsRules && isRuleFileName(name)));
  }
  return folders;
}

/**
 * Where a path leads; on the way notes each folder with a name in it that decides that: every symlink, and the last
 * name, or the first that is missing.
 */
function follow(path: string, names: Map<string, Set<string>>): string {
  const note = (folder: string, name: string): void => {
    const known = names.get(folder);
    if (known === undefined) names.set(folder, new Set([name]));
    else known.add(name);
  };
  let at = '/';
  const rest = path.split('/');
  for (let links = 0; ;) {
    const name = rest.shift();
    if (name === undefined) break;
    if (name === '' || name === '.') continue;
    if (name === '..') {
      at = dirname(at);
      continue;
    }
    const next = join(at, name);
    const status = lstatOf(next);
    const target = status?.isSymbolicLink() === true ? linkTarget(next) : undefined;
    if (status === undefined || rest.length === 0 || target !== undefined) note(at, name);
    if (status === undefined) return next;
    if (target === undefined) at = next;
    else if (++links > MAX_LINKS) return next;
    else {
      rest.unshift(...target.split('/'));
      if (target.startsWith('/')) at = '/';
    }
  }
  return at;
}

function lstatOf(path: string): ReturnType<typeof lstatSync> {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
