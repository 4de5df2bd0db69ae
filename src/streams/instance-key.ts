import type { Container } from '../apps/identity.ts';

/** What has no container. */
export const HOST = '';

/** A container is asked for with each detection, and is never changed. */
const keys = new WeakMap<Container, string>();

/** What one log holds the lines of: an instance of an app, or the container where no instance or no app is known. */
export function instanceKey(container: Container | undefined): string {
  if (container === undefined) return HOST;
  let key = keys.get(container);
  if (key === undefined) keys.set(container, (key = keyOf(container)));
  return key;
}

function keyOf({ fullId, app }: Container): string {
  if (app?.instance === undefined) return JSON.stringify([fullId]);
  const { guid, name, space, org, processType, instance } = app;
  const scope = guid === undefined ? [org, space] : [];
  return JSON.stringify([guid ?? name, scope, processType, instance]);
}
