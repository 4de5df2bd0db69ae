import {
  allowPinned,
  allowPinnedRules,
  pinnedScope,
  pinnedTable,
  unseenDenials,
  type LoaderError,
} from 'ebpf-loader-napi';

/** How often something was denied in a cgroup. */
export interface UnseenDenials {
  readonly cgroupId: number;
  readonly count: number;
}

/**
 * By cgroup, what pinned programs have denied without an agent: none if nothing is pinned in this directory. Undefined if it is not
 * known, since another version has pinned it.
 */
export function readUnseenDenials(directory: string): readonly UnseenDenials[] | undefined {
  try {
    return unseenDenials(directory);
  } catch (error) {
    return (error as LoaderError).code === 'ENOENT' ? [] : undefined;
  }
}

/** A container that pinned programs know, and the number of the table that it has; 0: none. */
export interface PinnedContainer {
  readonly cgroupId: number;
  readonly table: number;
}

/**
 * What pinned programs ask, by the directory of their names. All throw a LoaderError. ENOENT: it is not there, or of an older version;
 * ENOTSUP: it is of another version; EPERM: it takes root.
 */
export interface PinnedMaps {
  readonly containers: () => readonly PinnedContainer[];
  /** Nothing is denied in the container from its return on. `level`: as of ScopeMap. */
  readonly allow: (cgroupId: number, level: number) => void;
  /** Undefined if there is no table of this number. */
  readonly table: (number: number) => Uint8Array | undefined;
  /** Bit n: rule n of the table denies nothing from its return on. */
  readonly allowRules: (number: number, rules: number) => void;
}

export const pinnedMaps = (directory: string): PinnedMaps => ({
  containers: () => pinnedScope(directory),
  allow: (cgroupId, level) => allowPinned(directory, cgroupId, level),
  table: (number) => pinnedTable(directory, number),
  allowRules: (number, rules) => allowPinnedRules(directory, number, rules),
});
