import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { Attachment } from '../../../src/plan/attachment.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { UserError } from '../../../src/shared/user-error.ts';

// The kernel's answers: a refusal cannot be had from a real one at will. Real attaching is in test/kernel and test/e2e.

let attachment: Attachment | undefined;
afterEach(() => attachment?.stop());

function world(refused: string) {
  let attached: readonly string[] = [];
  let calls = 0;
  let inScope = false;
  attachment = new Attachment(
    {
      attachOnly: (hooks) => {
        calls++;
        // As in the loader: those before the refused one are attached by then.
        const at = hooks.indexOf(refused);
        attached = at < 0 ? hooks : hooks.slice(0, at);
        if (at >= 0) throw new UserError(`Cannot attach ${refused}.`);
        return [];
      },
    },
    SILENT_LOGGER,
    () => inScope,
  );
  return {
    attachment,
    attached: () => attached,
    calls: () => calls,
    container: () => {
      inScope = true;
      attachment?.onScoped();
    },
  };
}

test('hooks are attached for a container only; a change takes effect at once from then on', () => {
  const { attachment: one, attached, calls, container } = world('none');
  one.setHooks(['sys_open']);
  assert.deepEqual([calls(), one.attachedMs], [0, -Infinity]);
  const beforeMs = performance.now();
  container();
  assert.deepEqual(attached(), ['sys_open']);
  const { attachedMs } = one;
  assert.ok(attachedMs >= beforeMs && attachedMs <= performance.now());
  container();
  assert.equal(one.attachedMs, attachedMs, 'they were there');
  one.setHooks(['sys_open']);
  assert.equal(calls(), 1, 'nothing changes');
  one.setHooks(['sys_connect', 'sys_open']);
  assert.deepEqual(attached(), ['sys_connect', 'sys_open']);
  one.setHooks(['sys_connect']);
  assert.deepEqual(attached(), ['sys_connect']);
});

test('a refused hook: those before stay, and the caller is told', () => {
  const { attachment: one, attached, container } = world('sys_open');
  one.setHooks(['sys_connect']);
  container();
  assert.throws(
    () => one.setHooks(['sys_connect', 'sys_openat', 'sys_open']),
    /Cannot attach sys_open\./,
  );
  assert.deepEqual(attached(), ['sys_connect']);
  one.setHooks(['sys_connect', 'sys_openat']);
  assert.deepEqual(attached(), ['sys_connect', 'sys_openat']);
});

test('what the kernel refuses a new container is tried again with the next', () => {
  const { attachment: one, attached, calls, container } = world('sys_open');
  one.setHooks(['sys_connect', 'sys_open']);
  container();
  container();
  assert.deepEqual([calls(), one.attachedMs], [2, -Infinity]);
  one.setHooks(['sys_connect']);
  container();
  assert.deepEqual(attached(), ['sys_connect']);
});
