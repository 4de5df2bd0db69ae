import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { bytes, call, callFd, suiteOf, text, testAllAsserted } from '../support/kernel-calls.ts';

const AT_FDCWD = -100;
const O_TRUNC = 0o1000;
const O_NONBLOCK = 0o4000;
const ENOENT = -2;
const ENOEXEC = -8;
const EBADF = -9;
const ENOSYS = -38;

// None of these loads a module: that they fail is all that can be tested without one for this very kernel.
describe('calls of modules', () => {
  const suite = suiteOf('modules');

  /** Without modules in the kernel there is no such call and no tracepoint: says so. */
  function isMissing(t: TestContext, name: string): boolean {
    const why = suite.whyMissing(name);
    if (why !== undefined) t.skip(why);
    return why !== undefined;
  }

  test('init_module', async (t) => {
    const image = Buffer.from(`no module${'.'.repeat(100)}`);
    const run = await suite.run(call('init_module', bytes(image), image.length, text('a=1 b')));
    if (isMissing(t, 'init_module')) {
      assert.equal(run.result('init_module').ret, ENOSYS);
      return;
    }
    run.check('init_module', {
      res: ENOEXEC,
      img: image.subarray(0, 80),
      length: BigInt(image.length),
      uargs: 'a=1 b',
    });
  });

  test('finit_module', async (t) => {
    const file = join(suite.dir, 'no.ko');
    writeFileSync(file, 'no module');
    const run = await suite.run(
      callFd('openat', AT_FDCWD, text(file), 0, 0),
      call('finit_module', '@', text('a=1'), 3),
      call('finit_module', 99, text(''), 0),
    );
    if (isMissing(t, 'finit_module')) {
      assert.equal(run.result('finit_module').ret, ENOSYS);
      return;
    }
    const event = run.check('finit_module', {
      res: ENOEXEC,
      fd: run.result('openat').ret,
      uargs: 'a=1',
      flags: 'MODULE_INIT_IGNORE_MODVERSIONS|MODULE_INIT_IGNORE_VERMAGIC',
    });
    assert.equal(event.call?.file?.path, file);
    run.check('finit_module', { res: EBADF, fd: 99, uargs: '', flags: '' });
  });

  test('delete_module', async (t) => {
    const run = await suite.run(call('delete_module', text('no_such'), O_NONBLOCK | O_TRUNC));
    if (isMissing(t, 'delete_module')) {
      assert.equal(run.result('delete_module').ret, ENOSYS);
      return;
    }
    run.check('delete_module', { res: ENOENT, name: 'no_such', flags: 'O_TRUNC|O_NONBLOCK' });
  });

  testAllAsserted(suite, ['fails']);
});
