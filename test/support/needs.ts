import { execFileSync } from 'node:child_process';
import type { TestContext } from 'node:test';

/** What a test may need of the machine beyond an ordinary user's rights, by a try of it. Undefined: it is there. */
const TRIES = {
  root: () => (process.getuid?.() === 0 ? undefined : 'needs root'),
  mount: () => {
    try {
      // In a mount namespace of its own: nothing is left, whatever happens.
      execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'varvel-try', '/tmp'], {
        stdio: 'ignore',
      });
      return undefined;
    } catch {
      return 'needs the right to mount a small disk';
    }
  },
} as const;

const found = new Map<keyof typeof TRIES, string | undefined>();

/** Whether this machine lacks it: then the test is skipped, and says why. `npm test` counts those, and names the reasons. */
export function lacks(t: TestContext, what: keyof typeof TRIES): boolean {
  if (!found.has(what)) found.set(what, TRIES[what]());
  const reason = found.get(what);
  if (reason !== undefined) t.skip(reason);
  return reason !== undefined;
}
