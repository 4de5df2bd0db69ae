import type { TestContext } from 'node:test';
import { lackOf } from './machine.mjs';

/** Whether this machine lacks it: then the test is skipped, and says why. `npm test` counts those, and names the reasons. */
export function lacks(t: TestContext, need: 'root' | 'mount'): boolean {
  const lack = lackOf(need);
  if (lack !== undefined) t.skip(lack);
  return lack !== undefined;
}
