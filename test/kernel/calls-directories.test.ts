import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { call, callFd, suiteOf, testAllAsserted, text } from '../support/kernel-calls.ts';

const AT_FDCWD = -100;
const O_DIRECTORY = 0o200000;
const ENOENT = -2;
const EBADF = -9;

describe('calls of directories', () => {
  const suite = suiteOf('directories');

  test('where a process goes', async () => {
    const { dir } = suite;
    mkdirSync(join(dir, 'work/sub'), { recursive: true });
    const run = await suite.run(
      callFd('openat', AT_FDCWD, text(join(dir, 'work/sub')), O_DIRECTORY, 0),
      call('chdir', text(join(dir, 'work'))),
      call('chdir', text('../none')),
      call('fchdir', '@'),
      call('fchdir', 99),
    );
    const fd = run.result('openat').ret;
    run.check('chdir', { res: 0, path: join(dir, 'work') });
    run.check('chdir', { res: ENOENT, path: '../none' });
    run.check('fchdir', { res: 0, fd });
    run.check('fchdir', { res: EBADF, fd: 99 });
    run.end();
  });

  testAllAsserted(suite);
});
