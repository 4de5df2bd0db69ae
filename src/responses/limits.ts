import type { AppIdentity, Container } from '../apps/identity.ts';
import type { ResponseLimits } from './response.ts';

/** Of responses that an app notices as a whole: two of its instances in ten minutes, and ten containers of a host. */
export const APP_LIMITS: ResponseLimits = {
  periodMs: 600_000,
  ofHost: 10,
  ofOne: 2,
  oneOf: appOf,
};

/** The same for all instances of the app, and for no other. */
export const keyOf = ({ guid, org, space, name }: AppIdentity): string =>
  guid ?? JSON.stringify([org, space, name]);

/** All instances of an app have the same. */
export function appOf({ fullId, app }: Container): string {
  return app === undefined ? `container ${fullId}` : `app ${keyOf(app)}`;
}
