import type { ResponseName } from '../shared/response-names.ts';
import { kill } from './kill.ts';
import { restart } from './restart.ts';
import type { Response } from './response.ts';

/** All responses, by their names in policies and the configuration. */
export const RESPONSES: Readonly<Record<ResponseName, Response>> = { kill, restart };
