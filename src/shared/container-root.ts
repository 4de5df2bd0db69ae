/**
 * Reads files of a hostile container: every path is resolved inside the root of the process `pid`
 * (openat2 with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS), only regular files, never more than `maxBytes`.
 * Implemented by `probe/live.ts`; nothing else may open a path inside a container.
 */
export interface ContainerRootReader {
  /**
   * The file's first `maxBytes` bytes, or undefined when it does not exist, is not a regular file, or the
   * process is gone. `path` is absolute in the container, e.g. `/etc/passwd`. Never throws for what a
   * container can cause.
   */
  readInRoot(pid: number, path: string, maxBytes: number): Buffer | undefined;
  /**
   * Whether the process has a mount namespace of its own in which its root is still the host's: a runtime that is
   * setting a container up. False for a process of the host's namespace, whose root that is, and for one that is gone.
   */
  isHostRootInside(pid: number): boolean;
}
