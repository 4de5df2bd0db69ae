import type { ContainerRegistry } from '../apps/container-registry.ts';
import type { Container } from '../apps/identity.ts';
import { appOf } from './limits.ts';
import type { ResponseTarget } from './response.ts';

/** Whose instances stand in for each other: those of one process type of an app. */
const kindOf = (container: Container): string =>
  JSON.stringify([appOf(container), container.app?.processType ?? null]);

/** Two containers with the same number are one instance: of a rolling restart, for example. */
const instanceOf = ({ fullId, app }: Container): string => app?.instance ?? fullId;

/**
 * Whether no other instance of the app, of the same process type, is up on this host. `isOut`: the container with this cgroup is cut off, paused
 * or being ended, so that it does not count. A task is no instance. O(containers).
 */
export function isLastInstance(
  { container }: Pick<ResponseTarget, 'container'>,
  registry: Pick<ContainerRegistry, 'live' | 'resolve'>,
  isOut: (cgroupId: number) => boolean,
): boolean {
  if (container.app?.workload !== undefined) return false;
  const [kind, instance] = [kindOf(container), instanceOf(container)];
  return !registry.live().some(({ cgroupId }) => {
    const resolution = registry.resolve(cgroupId);
    if (resolution.state !== 'included') return false;
    const other = resolution.container;
    return (
      other.app?.workload === undefined &&
      instanceOf(other) !== instance &&
      kindOf(other) === kind &&
      !isOut(cgroupId)
    );
  });
}
