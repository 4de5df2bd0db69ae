import type { GenerateOptions } from '../rules/compile/generate.ts';

/** For apps' own rules: a host may have a thousand such engines, so that they get no room for searches. */
export const APP_ENGINE: GenerateOptions = { searches: false };
