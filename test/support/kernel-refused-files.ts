import { test, type TestContext } from 'node:test';
import type { LoaderError } from 'ebpf-loader-napi';
import type { KernelProbe } from './kernel-probe.ts';

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

/** Declares a test that needs a kernel that refuses such calls. `why`: asked when it is run. */
export function refusingTest(
  name: string,
  why: () => string | undefined,
  run: (t: TestContext) => Promise<void>,
): void {
  test(name, async (t) => {
    const reason = why();
    if (reason === undefined) await run(t);
    else t.skip(reason);
  });
}
