import type { Container } from '../apps/identity.ts';
import type { ResponseLimits } from './response.ts';

/** Of responses that an app notices as a whole: two of its instances in ten minutes, and ten containers of a host. */
export const APP_LIMITS: ResponseLimits = {
  periodMs: 600_000,
  ofHost: 10,
  ofOne: 2,
  oneOf: appOf,
};

/** All instances of an app count as one. */
function appOf({ fullId, app }: Container): string {
  return app === undefined
    ? `container ${fullId}`
    : `app ${app.guid ?? JSON.stringify([app.org, app.space, app.name])}`;
}
