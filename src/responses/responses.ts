import type { ResponseName } from '../shared/response-names.ts';
import { deny } from './deny.ts';
import { isolate } from './isolate.ts';
import { kill } from './kill.ts';
import { restart } from './restart.ts';
import { pause } from './pause.ts';
import type { Response } from './response.ts';

/** All that there are, by the name that policies and the configuration use. */
export const RESPONSES: Readonly<Record<ResponseName, Response>> = {
  kill,
  deny,
  isolate,
  pause,
  restart,
};
