import { setTimeout as delay } from 'node:timers/promises';

/** Polls until the probe gives something other than undefined and false; throws after `timeoutMs`. Waits `pauseMs` in between. */
export async function until<Value>(
  what: string | (() => string),
  probe: () => Promise<Value | undefined | false> | Value | undefined | false,
  timeoutMs = 60_000,
  pauseMs = 25,
): Promise<Value> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (Date.now() >= deadline) {
      const said = typeof what === 'string' ? what : what();
      throw new Error(`${said}: not within ${timeoutMs / 1000} s`);
    }
    await delay(pauseMs);
  }
}
