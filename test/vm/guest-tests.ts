import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { runInGuest, type CgroupLayout } from './guest.ts';
import { guestKernel, type GuestKernel, type Suite } from './guest-kernel.ts';
import { guestTests, prepareGuestsOnce } from './guest-programs.ts';

/** A guest, and what of test/vm/guest it runs. */
export interface GuestPlan {
  readonly cgroups: CgroupLayout;
  readonly files: readonly string[];
  /** PID 1 is systemd. */
  readonly systemd?: boolean;
}

/**
 * Declares the tests of a suite's kernel: the set-up, then one test for each guest, which passes when all tests in
 * it do, and otherwise shows the guest's console. `version` is what the kernel must be.
 */
export function testInGuests(suite: Suite, version: RegExp, guests: readonly GuestPlan[]): void {
  describe(`the kernel of Debian ${suite}`, () => {
    let kernel: GuestKernel;
    before(() => {
      prepareGuestsOnce();
      kernel = guestKernel(suite);
      assert.match(kernel.release, version);
    });
    for (const { cgroups, files, systemd = false } of guests) {
      test(`cgroups ${cgroups}: ${files.join(', ')}`, async (t) => {
        const { code, output, ms } = await runInGuest({
          kernel,
          cgroups,
          systemd,
          command: guestTests(...files),
        });
        assert.equal(code, 0, `The guest’s tests failed (exit code ${code}):\n${output}`);
        const count = (what: string): number =>
          Number(new RegExp(`^ℹ ${what} (\\d+)$`, 'm').exec(output)?.[1]);
        assert.ok(count('pass') > 0, `no test ran:\n${output}`);
        for (const [, fact] of output.matchAll(/^\s*ℹ (Linux .*)$/gm)) t.diagnostic(fact!);
        t.diagnostic(
          `${count('pass')} tests passed, ${count('skipped')} skipped, ${(ms / 1000).toFixed(0)} s from boot to end`,
        );
      });
    }
  });
}
