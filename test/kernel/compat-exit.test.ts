// Which calls the one tracepoint of all calls reports: those whose hooks are attached, by whatever way they are made.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KernelProbe } from '../support/kernel-probe.ts';
import { runProgram } from '../support/kernel-program.ts';

const ENOSYS = -38;

type Argument = string | number;

describe('which calls compat_exit reports', () => {
  const UNBUILT: readonly [hook: string, native: number, ia32: number][] = [
    ['sys_init_module', 175, 128],
    ['sys_finit_module', 313, 350],
    ['sys_delete_module', 176, 129],
  ];

  /** The calls in a cgroup of their own, with only these hooks. */
  async function eventsWith(
    hooks: readonly string[],
    calls: readonly Argument[],
    change?: (probe: KernelProbe) => void,
  ): Promise<{ types: readonly string[]; rets: readonly number[] }> {
    const own = new KernelProbe({ attach: ['cgroup_mkdir', ...hooks], tracepoints: true });
    try {
      change?.(own);
      const cgroup = own.mkdir('one');
      const made = await runProgram<{ readonly ret: number }>(own, 'compat-calls.c', cgroup, [
        '/',
        ...calls,
      ]);
      const events = own.events.filter((event) => event.cgroupId === cgroup.id);
      return {
        types: events.map((event) => event.type).filter((type) => type !== 'procexit'),
        rets: made.map(({ ret }) => ret),
      };
    } finally {
      await own.close();
    }
  }
  const OPENS = ['ia32', 5, 's:/etc/shadow', 0, 0, ';', 'ia32', 10, 's:/none', ';'];

  test('those whose hooks are attached, as long as they are', async () => {
    assert.deepEqual((await eventsWith(['compat_exit', 'sys_open'], OPENS)).types, ['open']);
    assert.deepEqual((await eventsWith(['compat_exit', 'sys_unlink'], OPENS)).types, ['unlink']);
    assert.deepEqual((await eventsWith(['compat_exit'], OPENS)).types, []);
    assert.deepEqual((await eventsWith(['sys_open', 'sys_unlink'], OPENS)).types, []);
    const detached = await eventsWith(['compat_exit', 'sys_open', 'sys_unlink'], OPENS, (own) =>
      own.probe.detach('sys_open'),
    );
    assert.deepEqual(detached.types, ['unlink']);
  });

  test('64-bit calls too, each once, without a tracepoint of their own', async () => {
    const calls = ['native', 87, 's:/none', ';', 'native', 84, 's:/none', ';'];
    const both = ['sys_unlink', 'sys_rmdir'];
    for (const hooks of [['compat_exit', ...both], [...both, 'compat_exit'], both])
      assert.deepEqual((await eventsWith(hooks, calls)).types, ['unlink', 'rmdir'], hooks.join());
    assert.deepEqual((await eventsWith(['compat_exit', 'sys_rmdir'], calls)).types, ['rmdir']);
    const detached = await eventsWith(['compat_exit', ...both], calls, (own) =>
      own.probe.detach('sys_rmdir'),
    );
    assert.deepEqual(detached.types, ['unlink']);
  });

  test('calls that the kernel was built without', async (context) => {
    const calls = UNBUILT.flatMap(([, native, ia32]) => [
      ...['native', native, 's:x', 0, 0, ';'],
      ...['ia32', ia32, 's:x', 0, 0, ';'],
    ]);
    const hooks = UNBUILT.map(([hook]) => hook);
    const seen = await eventsWith(['compat_exit', ...hooks], calls);
    const expected = hooks.flatMap((hook) => [hook.slice(4), hook.slice(4)]);
    assert.deepEqual(seen.types, expected, 'with or without modules, each is reported once');
    if (seen.rets.some((ret) => ret !== ENOSYS)) {
      context.skip('this kernel has modules');
      return;
    }
    assert.deepEqual((await eventsWith(['compat_exit'], calls)).types, [], 'nobody wants them');
  });

  test('a hook without a tracepoint is attached by compat_exit, and goes with it', (context) => {
    const own = new KernelProbe({ attach: [] });
    try {
      let lacking = false;
      try {
        own.probe.attach('sys_init_module');
      } catch (error) {
        assert.equal((error as { code: string }).code, 'ENOENT');
        lacking = true;
      }
      if (!lacking) {
        context.skip('this kernel has modules');
        return;
      }
      assert.deepEqual(own.probe.attached(), []);
      own.probe.attach('sys_open');
      own.probe.attach('compat_exit');
      own.probe.attach('sys_init_module');
      own.probe.attach('sys_openat');
      const all = ['compat_exit', 'sys_init_module', 'sys_open', 'sys_openat'];
      assert.deepEqual(own.probe.attached(), all);
      own.probe.detach('compat_exit');
      assert.deepEqual(own.probe.attached(), ['sys_open'], 'it has a tracepoint of its own');
      assert.throws(() => own.probe.attach('sys_no_such_call'), { code: 'ENOENT' });
    } finally {
      void own.close();
    }
  });

  test('without programs of their own, hooks of system calls need it', () => {
    const own = new KernelProbe({ attach: ['sys_open'] });
    try {
      assert.deepEqual(own.probe.attached(), ['compat_exit', 'sys_open']);
      own.probe.detach('compat_exit');
      assert.deepEqual(own.probe.attached(), []);
      assert.throws(() => own.probe.attach('sys_open'), { code: 'ENOENT' });
      own.probe.attach('compat_exit');
      own.probe.attach('sys_open');
      assert.deepEqual(own.probe.attached(), ['compat_exit', 'sys_open']);
    } finally {
      void own.close();
    }
  });
});
