import { lstatSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { OwnFolder } from '../host/own-folder.ts';
import { setFrozen } from './freezer.ts';

/** A cgroup in v2, by its id and its directory. */
export interface MarkedCgroup {
  readonly id: number;
  readonly directory: string;
}

/** The folder of the marks, below the state folder. */
export const MARKS_FOLDER = 'paused';
/** Names of the marks in it. */
export const MARK = /^\d{1,20}$/;

/**
 * Which cgroups are paused, kept in `state_dir`: a paused container must not stay so for good after the agent was killed. A mark is a
 * dangling symbolic link to the cgroup: making one is atomic, and needs no disk block.
 */
export class PauseMarks {
  readonly #path: string;
  #folder: OwnFolder | undefined;

  constructor(stateDir: string) {
    this.#path = `${stateDir}/${MARKS_FOLDER}`;
  }

  /** Throws the file system's error. */
  add({ id, directory }: MarkedCgroup): void {
    this.#folder ??= OwnFolder.openOrSetAside(this.#path).folder;
    const path = `${this.#folder.inside}/${id}`;
    rmSync(path, { force: true });
    symlinkSync(directory, path);
  }

  /** Never throws: one that is left is of a cgroup that is not paused, or gone. */
  remove({ id }: Pick<MarkedCgroup, 'id'>): void {
    try {
      rmSync(`${this.#path}/${id}`, { force: true });
    } catch {
      // The disk is read-only by now. The next agent finds that there is nothing to do.
    }
  }

  /** Those that an agent has left, but for `own`. Empty if the folder is not there or cannot be read. */
  left(own: (id: number) => boolean = () => false): readonly MarkedCgroup[] {
    try {
      return readdirSync(this.#path).flatMap((name) => {
        const path = `${this.#path}/${name}`;
        if (!MARK.test(name) || own(Number(name)) || !lstatSync(path).isSymbolicLink()) return [];
        return [{ id: Number(name), directory: readlinkSync(path) }];
      });
    } catch {
      return [];
    }
  }

  /**
   * Lets those go on that an agent has left paused, but for `own`. Returns how many, and of which cgroups it failed, which keep their
   * marks. Never throws.
   */
  thawLeft(own?: (id: number) => boolean): {
    readonly thawed: number;
    readonly failed: readonly (MarkedCgroup & { readonly code: string })[];
  } {
    let thawed = 0;
    const failed: (MarkedCgroup & { readonly code: string })[] = [];
    for (const cgroup of this.left(own)) {
      try {
        setFrozen(cgroup, false);
        thawed++;
      } catch (error) {
        const { code = String(error) } = error as NodeJS.ErrnoException;
        if (code !== 'ESRCH') {
          failed.push({ ...cgroup, code });
          continue;
        }
      }
      this.remove(cgroup);
    }
    return { thawed, failed };
  }

  close(): void {
    this.#folder?.close();
    this.#folder = undefined;
  }
}
