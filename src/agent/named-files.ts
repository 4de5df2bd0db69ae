import { closeSync } from 'node:fs';
import type { ContainerLook } from '../host/container-look.ts';
import type { NamedPart, NamedPath } from '../plan/named-paths.ts';
import type { Steps } from '../shared/turns.ts';

/** A directory is not looked through if it has more names than this, or if more of them are meant. */
export const LISTED_MAX = 4096;
export const NAMES_MAX = 64;
/** How far below a named directory is looked, and how many names in all. */
export const DEPTH_MAX = 8;
export const LOOKS_MAX = 1024;
/** A depth: only a file counts. */
const NOT_BELOW = -1;

/** One search for the regular files with these names in a container. */
export class NamedFilesSearch {
  readonly #look: Pick<ContainerLook, 'openFile' | 'namesIn'>;
  readonly #use: (fd: number, path: string) => boolean;
  #looks = 0;
  #isAll = true;
  #isOver = false;

  /** `use` gets a descriptor of each file, which is closed after; it returns false to end the search. */
  constructor(
    look: Pick<ContainerLook, 'openFile' | 'namesIn'>,
    use: (fd: number, path: string) => boolean,
  ) {
    this.#look = look;
    this.#use = use;
  }

  /** Returns whether all was looked through: a bound, or `use`, may have ended it. */
  *find(named: readonly NamedPath[]): Steps<boolean> {
    for (const { parts, below } of named) yield* this.#follow('', parts, below);
    return this.#isAll && !this.#isOver;
  }

  *#follow(path: string, parts: readonly NamedPart[], below: boolean): Steps<void> {
    const [part, ...rest] = parts;
    if (part === undefined) {
      yield* this.#lookAt(path, below ? DEPTH_MAX : NOT_BELOW);
      return;
    }
    const names = typeof part === 'string' ? [part] : this.#namesIn(path || '/', part);
    for (const name of names) yield* this.#follow(`${path}/${name}`, rest, below);
  }

  /** A file, or, for so many directories, what is below it. */
  *#lookAt(path: string, depth: number): Steps<void> {
    if (this.#isOver) return;
    this.#looks += 1;
    if (this.#looks > LOOKS_MAX) {
      this.#isOver = true;
      return;
    }
    yield;
    const fd = this.#open(path);
    if (fd === 'gone') return;
    if (fd !== 'no file') {
      try {
        this.#isOver = !this.#use(fd, path);
      } finally {
        closeSync(fd);
      }
    } else if (depth > NOT_BELOW) {
      const names = this.#namesIn(path, () => true);
      if (depth > 0) for (const name of names) yield* this.#lookAt(`${path}/${name}`, depth - 1);
      else if (names.length > 0) this.#isAll = false;
    }
  }

  /** `gone`: there is nothing, or a link, or a file system that may not answer. */
  #open(path: string): number | 'no file' | 'gone' {
    try {
      return this.#look.openFile(path);
    } catch (error) {
      return (error as { code?: unknown }).code === 'EINVAL' ? 'no file' : 'gone';
    }
  }

  #namesIn(directory: string, isMeant: (name: string) => boolean): readonly string[] {
    const listed = this.#look.namesIn(directory, LISTED_MAX + 1);
    const names = listed.filter(isMeant);
    if (listed.length <= LISTED_MAX && names.length <= NAMES_MAX) return names;
    this.#isAll = false;
    return [];
  }
}
