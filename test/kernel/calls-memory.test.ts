import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  bytes,
  call,
  callFd,
  pathOf,
  suiteOf,
  testAllAsserted,
  text,
  type CallResult,
} from '../support/kernel-calls.ts';

const AT_FDCWD = -100;
const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const EPERM = -1;
const ESRCH = -3;
const ENOMEM = -12;
const EFAULT = -14;
const EINVAL = -22;
const PAGE = 4096;

describe('calls of memory', () => {
  const suite = suiteOf('memory');

  test('memfd_create', async () => {
    const run = await suite.run(
      callFd('memfd_create', text('a name\n'), MFD_CLOEXEC | MFD_ALLOW_SEALING),
      call('memfd_create', text('x'), 0x40000000),
      call('memfd_create', 1, 0),
    );
    const event = run.check('memfd_create', ({ ret }) => ({
      fd: ret,
      name: 'a name\n',
      flags: 'MFD_CLOEXEC|MFD_ALLOW_SEALING',
    }));
    const made = run.results.find(({ name }) => name === 'memfd_create')!;
    const { file } = event.call!;
    assert.deepEqual([file?.ino, file?.memfd, event.call?.fd], [made.ino, true, made.ret]);
    assert.equal(`/${file?.path ?? ''} (deleted)`, pathOf(made));
    run.check('memfd_create', { fd: EINVAL, name: 'x', flags: '' });
    run.check('memfd_create', { fd: EFAULT, name: undefined, flags: '' });
    run.end();
  });

  test('mmap and mprotect, of memory that may become code', async () => {
    const anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    const all = PROT_READ | PROT_WRITE | PROT_EXEC;
    const run = await suite.run(
      call('mmap', 'n', 3 * PAGE, all, anonymous | MAP_NORESERVE, -1, 0),
      call('mprotect', 'r', PAGE, PROT_READ | PROT_EXEC),
      call('mprotect', 'r1', 2 * PAGE, PROT_EXEC),
      call('mmap', 'r2', PAGE, PROT_EXEC, MAP_SHARED | MAP_FIXED | MAP_ANONYMOUS, 7, PAGE),
      call('mmap', 1, PAGE, all, anonymous | MAP_FIXED, -1, 0),
      call('mprotect', 3, PAGE, PROT_EXEC),
      call('mprotect', PAGE, PAGE, all),
      call('pkey_mprotect', 'r6', PAGE, PROT_READ | PROT_EXEC, -1),
    );
    const [first] = run.results.filter(({ name }) => name === 'mmap');
    const at = first?.ret ?? 0;
    assert.ok(at > 0);
    run.check('mmap', {
      res: at,
      addr: 0n,
      length: BigInt(3 * PAGE),
      prot: 'PROT_READ|PROT_WRITE|PROT_EXEC',
      flags: 'MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE',
      fd: -1,
      offset: 0n,
    });
    const addr = BigInt(at);
    run.check('mprotect', { res: 0, addr, length: BigInt(PAGE), prot: 'PROT_READ|PROT_EXEC' });
    run.check('mprotect', { res: 0, addr, length: BigInt(2 * PAGE), prot: 'PROT_EXEC' });
    run.check('mmap', {
      res: at,
      addr,
      length: BigInt(PAGE),
      prot: 'PROT_EXEC',
      flags: 'MAP_SHARED|MAP_FIXED|MAP_ANONYMOUS',
      fd: 7,
      offset: BigInt(PAGE),
    });
    run.check('mmap', {
      res: EINVAL,
      addr: 1n,
      length: BigInt(PAGE),
      prot: 'PROT_READ|PROT_WRITE|PROT_EXEC',
      flags: 'MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS',
      fd: -1,
      offset: 0n,
    });
    run.check('mprotect', { res: EINVAL, addr: 3n, length: BigInt(PAGE), prot: 'PROT_EXEC' });
    run.check('mprotect', {
      res: ENOMEM,
      addr: BigInt(PAGE),
      length: BigInt(PAGE),
      prot: 'PROT_READ|PROT_WRITE|PROT_EXEC',
    });
    run.check('pkey_mprotect', { res: 0, addr, length: BigInt(PAGE), prot: 'PROT_READ|PROT_EXEC' });
    run.end();
  });

  test('other memory, and files that are mapped, stay in the kernel and are counted there', async () => {
    const file = join(suite.dir, 'mapped');
    writeFileSync(file, 'x'.repeat(PAGE));
    const run = await suite.run(
      callFd('openat', AT_FDCWD, text(file), 0, 0),
      call('mmap', 'n', PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      call('mprotect', 'r', PAGE, PROT_READ),
      call('mmap', 'n', PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, '@', 0),
      call('mmap', 'n', PAGE, PROT_READ, MAP_PRIVATE, '@', 0),
    );
    for (const name of ['mmap', 'mprotect', 'mmap', 'mmap']) {
      assert.ok(run.result(name).ret >= 0);
    }
    run.end();
    const without = await suite.run(callFd('openat', AT_FDCWD, text(file), 0, 0));
    const own = suite.probe.entry(without.cgroup).prefiltered;
    assert.equal(suite.probe.entry(run.cgroup).prefiltered, own + 4);
  });

  test('the memory of another process', async () => {
    const vector = (buffer: string, size: number) => ['{', buffer, size, '}'];
    const run = await suite.run(
      callFd('memfd_create', text('anchor'), 0),
      ['child'],
      // The child has the parent's memory, as of fork: what was put there before is there too.
      call('process_vm_writev', 'child', ...vector(bytes('hello'), 5), 1, '{', 'r', 5, '}', 1, 0),
    );
    run.take('memfd_create');
    // `r` is no address: nothing is there
    const child = run.results.find(({ step }) => step === 'child')!.ret;
    run.check('process_vm_writev', { res: EFAULT, pid: child });
    run.end();
    const map = call('mmap', 'n', PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const moved = await suite.run(
      map,
      ['child'],
      call('process_vm_writev', 'child', ...vector(bytes('hello'), 5), 1, '{', 'r', 5, '}', 1, 0),
      call('process_vm_readv', 'child', ...vector('o:8', 8), 1, '{', 'r1', 5, '}', 1, 0),
      call('process_vm_readv', 0x3fffff, ...vector('o:8', 8), 1, '{', 'r2', 5, '}', 1, 0),
    );
    const pid = moved.results.find(({ step }) => step === 'child')!.ret;
    moved.check('process_vm_writev', { res: 5, pid });
    moved.check('process_vm_readv', { res: 5, pid });
    const read = moved.results.find(({ name }) => name === 'process_vm_readv') as CallResult;
    assert.equal(Buffer.from(read.buffers[0]!, 'hex').toString(), 'hello\0\0\0');
    moved.check('process_vm_readv', { res: ESRCH, pid: 0x3fffff });
    moved.end();
  });

  test('userfaultfd', async () => {
    const run = await suite.run(
      callFd('userfaultfd', O_CLOEXEC | O_NONBLOCK),
      call('userfaultfd', 0x40000000),
      ['resuid', 1000, 1000, 1000],
      call('userfaultfd', 0),
    );
    const event = run.check('userfaultfd', ({ ret }) => ({
      res: ret,
      flags: 'O_NONBLOCK|O_CLOEXEC',
    }));
    assert.equal(event.call?.file?.ino, run.results[1]?.ino);
    run.check('userfaultfd', { res: EINVAL, flags: '' });
    const allowed = readFileSync('/proc/sys/vm/unprivileged_userfaultfd', 'utf8').trim() === '1';
    run.check('userfaultfd', ({ ret }) => ({ res: allowed ? ret : EPERM, flags: '' }));
    run.end();
  });

  testAllAsserted(suite);
});
