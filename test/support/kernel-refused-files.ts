import { test, type TestContext } from 'node:test';
import type { LoaderError } from 'ebpf-loader-napi';
import { skippedEvents, type KernelProbe } from './kernel-probe.ts';

/** How often a test is run in which events are missing since the kernel skipped the probe. */
const TRIES = 3;

/** Has calls on files refused where rules deny them. Returns why this kernel refuses none; undefined: it does. */
export const refuseFiles = ({ probe }: KernelProbe): string | undefined =>
  whyNot(() => probe.denyFiles());

/** The same of calls that are judged by who makes them. */
export const refuseCalls = ({ probe }: KernelProbe): string | undefined =>
  whyNot(() => {
    for (const group of ['calls', 'memory', 'namespaces', 'unix'] as const) probe.denyCalls(group);
  });

function whyNot(load: () => void): string | undefined {
  try {
    load();
    return undefined;
  } catch (error) {
    // Every other reason is a defect.
    if ((error as LoaderError).code !== 'EPERM') throw error;
    return 'this kernel lets no program change what a function returns';
  }
}

/**
 * Declares a test that needs a kernel that refuses such calls. `why`: asked when it is run. If it fails, and the kernel has counted
 * events that it did not report, the test is run again.
 */
export function refusingTest(
  name: string,
  why: () => string | undefined,
  run: (t: TestContext) => Promise<void>,
): void {
  test(name, async (t) => {
    const reason = why();
    if (reason !== undefined) {
      t.skip(reason);
      return;
    }
    for (let tries = 1; ; tries++) {
      const before = skippedEvents();
      try {
        await run(t);
        return;
      } catch (error) {
        const skipped = skippedEvents() - before;
        if (skipped === 0 || tries === TRIES) throw error;
        t.diagnostic(`the kernel skipped the probe ${skipped} times, so the test is run again`);
      }
    }
  });
}
