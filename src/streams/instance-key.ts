import type { Container } from '../apps/identity.ts';

/** What has no container. */
export const HOST = '';

/** Cache: each detection asks for its container's key, and containers never change. */
const keys = new WeakMap<Container, string>();

/** Key of the unit that has one log: an app instance, or the container if no instance or no app is known. */
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
