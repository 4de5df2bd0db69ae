/** A file of a container's own, whole. */
export interface OwnFile {
  readonly bytes: Buffer;
  /** Unix ns: when the file or any directory above it but the root last changed in any way (st_ctime, which nobody can set). */
  readonly changedNs: bigint;
}

/** Why something that is there is not taken. */
export type OwnFileRefusal = 'link' | 'no file' | 'too large' | 'unreadable';

/**
 * Reads files of a hostile container: every path is resolved inside the root of the process `pid`
 * (openat2 with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS), only regular files, never more than `maxBytes`.
 * Implemented by `root-reader.ts`; nothing else may open a path inside a container, but `container-look.ts`.
 */
export interface ContainerRootReader {
  /**
   * The first `maxBytes` bytes of each of these files, all below one directory, whatever the process does meanwhile.
   * Undefined for a file that does not exist or is not a regular file; undefined instead of a list if the directory
   * cannot be had: the process is gone. Paths are absolute in the container, e.g. `/etc/passwd`. `where`: the process's
   * root; or its working directory, if a file system is mounted there. runc stands in the container's file system until
   * it makes it the root, before it mounts volumes. Never throws for what a container can cause.
   */
  filesIn(
    pid: number,
    where: 'root' | 'mounted directory',
    paths: readonly string[],
    maxBytes: number,
  ): readonly (Buffer | undefined)[] | undefined;
  /**
   * A file of at most `maxBytes` that is reached without a link or mount, so not one of a volume. Returns the reason if
   * it is refused; undefined when there is none, or the process is gone.
   */
  readOwnFile(pid: number, path: string, maxBytes: number): OwnFile | OwnFileRefusal | undefined;
  /**
   * Opens a regular file below the root of a process for reading; symlinks resolve inside it, mount points are not crossed. The caller
   * closes it. Throws an Error with a `code`.
   */
  openFile(pid: number, path: string): number;
  /** At most `max` names in a directory, reached the same way; none when there is no such directory. */
  namesIn(pid: number, path: string, max: number): readonly string[];
  /**
   * Whether the process has a mount namespace of its own in which its root is still the host's: a runtime that is
   * setting a container up. False for a process of the host's namespace, whose root that is, and for one that is gone.
   */
  isHostRootInside(pid: number): boolean;
  /**
   * Whether the process is in another mount namespace than the process `other` and has another root; false when one of
   * them is gone.
   */
  hasOtherRoot(pid: number, other: number): boolean;
  /** Whether the process has another mount namespace and another root than the host; false when it is gone. */
  hasContainerRoot(pid: number): boolean;
}
