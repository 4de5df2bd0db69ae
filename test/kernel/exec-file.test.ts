import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { EXEC, RECORD_FLAGS } from '../../src/events/table.gen.ts';
import { assertExecFile, PRIVATE_MOUNTS } from '../support/kernel-file-facts.ts';
import { execSuite } from '../support/kernel-exec.ts';
import { KernelProbe } from '../support/kernel-probe.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';

const AT_EMPTY_PATH = 0x1000;

describe('the file that an exec runs', () => {
  let probe: KernelProbe;
  let dir: string;
  let program: string;
  const suite = execSuite();
  before(() => ({ probe, dir, program } = suite()));

  test('a script: its own name, the interpreter’s file', async () => {
    const script = join(dir, 'script');
    writeFileSync(script, `#!${program} exit\n`, { mode: 0o755 });
    const running = await probe.run(probe.mkdir('script'), [
      'execve',
      script,
      'ignored',
      'arg',
      ';',
    ]);
    const event = probe.theEvent(running.pid, 'execve');
    assertExecFile(event, statSync(program), { path: program });
    assert.equal(event.exec?.filename, script);
    assert.deepEqual(event.exec.argv, [program, 'exit', script, 'arg']);
    assert.equal(event.comm, 'script');
  });

  test('from a memfd, and from a file that has no name any more', async () => {
    const gone = join(dir, 'gone');
    copyFileSync(program, gone);
    const stat = statSync(gone);
    const memfd = await probe.run(probe.mkdir('memfd'), [
      'memfd',
      'payload',
      program,
      'execveat',
      '@',
      '',
      AT_EMPTY_PATH,
      'm',
      ';',
    ]);
    const first = probe.theEvent(memfd.pid, 'execveat');
    const fd = memfd.result('memfd');
    assert.deepEqual(
      { ...first.exec?.file, devMajor: 0, devMinor: 0 },
      {
        path: 'memfd:payload',
        pathTruncated: false,
        detached: true,
        devMajor: 0,
        devMinor: 0,
        ino: fd.ino,
        upperLayer: false,
        lowerLayer: false,
        memfd: true,
        unlinked: false,
      },
    );
    assert.equal(first.exec?.filename, `/dev/fd/${fd.ret}`);
    assert.deepEqual(first.exec.argv, ['m']);
    assert.equal(first.param('flags'), 'EXE_WRITABLE|EXE_FROM_MEMFD');

    const unlinked = await probe.run(probe.mkdir('unlinked'), [
      'open',
      gone,
      0,
      0,
      'unlink',
      gone,
      'execveat',
      '@',
      '',
      AT_EMPTY_PATH,
      'u',
      ';',
    ]);
    const second = probe.theEvent(unlinked.pid, 'execveat');
    assert.equal(second.exec?.file?.unlinked, true);
    assert.equal(second.exec.file.ino, stat.ino);
    assert.equal(second.exec.file.path, gone);
  });

  test('overlay: from the image and from the writable layer', async () => {
    for (const name of ['lower', 'upper', 'work', 'merged']) mkdirSync(join(dir, name));
    copyFileSync(program, join(dir, 'lower/image'));
    const merged = join(dir, 'merged');
    const data = `lowerdir=${dir}/lower,upperdir=${dir}/upper,workdir=${dir}/work`;
    copyFileSync(program, join(dir, 'upper/dropped'));
    const running = await probe.run(probe.mkdir('overlay'), [
      ...PRIVATE_MOUNTS,
      ...['mount', 'overlay', merged, 'overlay', 0, data],
      ...[
        'fork',
        '[',
        'execve',
        `${merged}/image`,
        'a',
        ';',
        ']',
        'execve',
        `${merged}/dropped`,
        'b',
        ';',
      ],
    ]);
    const child = running.result('fork').ret;
    const image = probe.theEvent(child, 'execve').exec!;
    assert.deepEqual(
      [image.file?.path, image.file?.lowerLayer, image.file?.upperLayer],
      [`${merged}/image`, true, false],
    );
    const dropped = probe.theEvent(running.pid, 'execve');
    assert.deepEqual(
      [dropped.exec?.file?.lowerLayer, dropped.exec?.file?.upperLayer],
      [false, true],
    );
    assert.equal(dropped.param('flags'), 'EXE_WRITABLE|EXE_UPPER_LAYER');
  });

  test('the path is relative to the root of the process, as is its directory', async () => {
    mkdirSync(join(dir, 'jail/inner'), { recursive: true });
    copyFileSync(program, join(dir, 'jail/inside'));
    const running = await probe.run(probe.mkdir('jail'), [
      'chroot',
      join(dir, 'jail'),
      'cd',
      '/inner',
      'execve',
      '../inside',
      'i',
      ';',
    ]);
    const { exec } = probe.theEvent(running.pid, 'execve');
    assert.deepEqual(
      [exec?.file?.path, exec?.cwd, exec?.filename],
      ['/inside', '/inner', '../inside'],
    );
    assert.equal(exec?.file?.detached, false);
  });

  test('a directory too deep: the end of it, marked', async () => {
    const steps: Step[] = [
      ...PRIVATE_MOUNTS,
      'mount',
      'none',
      dir,
      'tmpfs',
      0,
      '-',
      'open',
      stepsProgram(),
      0,
      0,
      'chroot',
      dir,
      'cd',
      '/',
    ];
    for (let i = 0; i < 70; i++) steps.push('mkdir', 'deep', 'cd', 'deep');
    const running = await probe.run(probe.mkdir('deep'), [
      ...steps,
      'execveat',
      '@',
      '',
      AT_EMPTY_PATH,
      'd',
      ';',
    ]);
    const event = probe.theEvent(running.pid, 'execveat');
    assert.equal(event.exec?.cwd, '/deep'.repeat(64));
    assert.equal(
      event.records.number(event.at + EXEC.flags) & RECORD_FLAGS.CWD_TRUNCATED,
      RECORD_FLAGS.CWD_TRUNCATED,
    );
  });
});
