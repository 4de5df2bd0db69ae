import type { Container } from '../apps/identity.ts';

/** What has no container. */
export const HOST = '';

/** What one log holds the lines of: an instance of an app, or the container where no instance or no app is known. */
export function instanceKey(container: Container | undefined): string {
  if (container === undefined) return HOST;
  if (container.app === undefined) return JSON.stringify([container.fullId]);
  const { guid, name, space, org, processType, instance } = container.app;
  return JSON.stringify(
    instance === undefined
      ? [container.fullId]
      : [guid ?? name, guid === undefined ? [org, space] : [], processType, instance],
  );
}
