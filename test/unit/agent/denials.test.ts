// Which calls a rule that is to deny asks the host to refuse: what does so is loaded then.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Denials } from '../../../src/agent/denials.ts';
import type { RefusedCall } from '../../../src/responses/response.ts';
import { SILENT_LOGGER } from '../../../src/shared/logger.ts';
import { ruleFile, ruleSetOf } from '../../support/rules-load.ts';

/** Whether a rule with this condition is among those that are to deny, on a host that can refuse these, and what it asks for. */
function asked(condition: string, able: readonly RefusedCall[]): [boolean, RefusedCall[]] {
  const asks: RefusedCall[] = [];
  const { rules } = ruleSetOf(ruleFile(condition));
  const denials = new Denials({
    deniedBeforeIdentity: (all) => all,
    canRefuse: (call) => {
      asks.push(call);
      return able.includes(call);
    },
    logger: SILENT_LOGGER,
  });
  return [denials.beforeIdentity(rules).length === 1, asks];
}

test('a rule asks only for what it can be certain of', () => {
  for (const [condition, calls] of [
    ['evt.type = connect and fd.sip = 192.0.2.1', ['connection']],
    ['evt.type = connect and fd.type = unix and fd.name = /run/x.sock', ['unix']],
    ['evt.type = connect and proc.exepath = /bad', ['connection', 'unix']],
    ['evt.type = mmap and evt.rawarg.prot = 4', ['memory']],
    ['evt.type = unshare and evt.arg.flags contains CLONE_NEWUSER', ['namespace']],
    ['evt.type in (open, mount) and proc.exepath = /bad', ['file', 'call']],
    // Of two paths it may be certain by either.
    ['evt.type = rename and (evt.arg.oldpath = /x or evt.arg.newpath = /x)', ['file']],
  ] as const) {
    const [denies, asks] = asked(condition, calls);
    assert.deepEqual([denies, [...asks].sort()], [true, [...calls].sort()], condition);
    assert.equal(asked(condition, [])[0], false, condition);
  }
});

test('one that the kernel can never be certain of asks for nothing, and counts as denied late', () => {
  for (const condition of [
    'evt.type = connect and user.name = root',
    'evt.type = mmap and user.name = root',
    'evt.type = execve and user.name = root',
  ])
    assert.deepEqual(asked(condition, []), [true, []], condition);
  assert.deepEqual(asked('evt.type = setns', []), [false, []], 'nothing of it can be denied');
});

test('device nodes are asked of cgroup v2 first, and binds where the other hooks cannot be had', () => {
  const device = 'evt.type = mknod and evt.rawarg.dev != 0 and proc.exepath = /bad';
  assert.deepEqual(asked(device, ['cgroup', 'call']), [true, ['cgroup']]);
  assert.deepEqual(asked(device, ['call']), [true, ['cgroup', 'call']]);
  assert.deepEqual(asked(device, []), [false, ['cgroup', 'call']]);
  // By a hook of cgroup v2 it is not known of which unix sockets are bound.
  const bind = 'evt.type = bind and proc.exepath = /bad';
  assert.deepEqual(asked(bind, ['cgroup', 'call']), [true, ['call']]);
  assert.deepEqual(asked(bind, ['cgroup']), [true, ['call', 'cgroup']]);
  assert.deepEqual(asked('evt.type = mount and proc.exepath = /bad', ['cgroup']), [
    false,
    ['call'],
  ]);
});
