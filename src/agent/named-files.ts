import { closeSync } from 'node:fs';
import type { ContainerLook } from '../host/container-look.ts';
import type { NamedPart, NamedPath } from '../plan/named-paths.ts';
import type { Steps } from '../shared/turns.ts';

/** A directory is not looked through if it has more names than this. */
const LISTED_MAX = 4096;
/** What a rule names is left out if more files are meant, or if they are more than so many directories below it. */
export const MEANT_MAX = 64;
const DEPTH_MAX = 8;
/** Limit on files and directories that are looked at for one of the rules' paths, and in all. */
const LOOKS_MAX = 256;
export const ALL_LOOKS_MAX = 1024;
/** A depth: only a file counts. */
const NOT_BELOW = -1;

/** One search for the regular files with these names in a container. */
export class NamedFilesSearch {
  readonly #look: Pick<ContainerLook, 'kindOf' | 'find' | 'namesIn'>;
  readonly #use: (fd: number, path: string) => boolean;
  #all = 0;
  /** Of the path that is looked for. */
  #looks = 0;
  #found: string[] = [];
  #isWhole = true;

  /** `use` gets a descriptor (O_PATH) of each file, which is closed after; it returns false to end the search. */
  constructor(
    look: Pick<ContainerLook, 'kindOf' | 'find' | 'namesIn'>,
    use: (fd: number, path: string) => boolean,
  ) {
    this.#look = look;
    this.#use = use;
  }

  /** Returns those that were left out, as a bound was exceeded, or `use` has ended the search. */
  *find(named: readonly NamedPath[]): Steps<readonly NamedPath[]> {
    const leftOut: NamedPath[] = [];
    let isOver = false;
    for (const one of named) {
      if (!isOver) yield* this.#collect(one);
      for (const path of this.#found) {
        if (isOver || !this.#isWhole) break;
        yield;
        isOver = !this.#useFile(path);
      }
      if (isOver || !this.#isWhole) leftOut.push(one);
    }
    return leftOut;
  }

  *#collect({ parts, below }: NamedPath): Steps<void> {
    this.#found = [];
    this.#looks = 0;
    this.#isWhole = true;
    yield* this.#follow('', parts, below);
  }

  /** Opened and closed in one step: a search that is not wanted any more leaves nothing open. */
  #useFile(path: string): boolean {
    const fd = this.#look.find(path);
    if (fd === undefined) return true;
    try {
      return this.#use(fd, path);
    } finally {
      closeSync(fd);
    }
  }

  *#follow(path: string, parts: readonly NamedPart[], below: boolean): Steps<void> {
    const [part, ...rest] = parts;
    if (part === undefined) {
      yield* this.#lookAt(path, below ? DEPTH_MAX : NOT_BELOW);
      return;
    }
    const names = typeof part === 'string' ? [part] : yield* this.#namesIn(path || '/', part);
    for (const name of names) yield* this.#follow(`${path}/${name}`, rest, below);
  }

  /** A file, or, for so many directories, what is below it. */
  *#lookAt(path: string, depth: number): Steps<void> {
    if (!(yield* this.#counts())) return;
    const kind = this.#look.kindOf(path);
    if (kind === 'file') {
      this.#found.push(path);
      if (this.#found.length > MEANT_MAX) this.#isWhole = false;
    } else if (kind === 'directory' && depth > NOT_BELOW) {
      const names = yield* this.#namesIn(path, () => true);
      if (depth > 0) for (const name of names) yield* this.#lookAt(`${path}/${name}`, depth - 1);
      else if (names.length > 0) this.#isWhole = false;
    }
  }

  *#namesIn(
    directory: string,
    isMeant: (name: string) => boolean,
  ): Generator<void, readonly string[]> {
    if (!(yield* this.#counts())) return [];
    const listed = this.#look.namesIn(directory, LISTED_MAX + 1);
    const names = listed.filter(isMeant);
    if (listed.length <= LISTED_MAX && names.length <= MEANT_MAX) return names;
    this.#isWhole = false;
    return [];
  }

  /** Whether there is still something to be had from another look. */
  *#counts(): Generator<void, boolean> {
    if (!this.#isWhole) return false;
    yield;
    this.#looks += 1;
    this.#all += 1;
    if (this.#looks > LOOKS_MAX || this.#all > ALL_LOOKS_MAX) this.#isWhole = false;
    return this.#isWhole;
  }
}
