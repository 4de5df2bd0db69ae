import { unseenDenials, type LoaderError } from 'ebpf-loader-napi';

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
