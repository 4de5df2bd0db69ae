import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { EXEC, LIMITS } from '../../src/events/table.gen.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { execSuite, runIntoExec, type ExecCheck } from '../support/kernel-exec.ts';
import { KernelProbe, type TestCgroup } from '../support/kernel-probe.ts';
import type { Step } from '../support/kernel-process.ts';

/** `tracepoints`: as KernelProbe's option. */
const execTests = (tracepoints: boolean) => (): void => {
  let probe: KernelProbe;
  let dir: string;
  let program: string;
  const suite = execSuite({ tracepoints });
  before(() => ({ probe, dir, program } = suite()));

  const execInto = (cgroup: TestCgroup, steps: readonly Step[], check: ExecCheck): Promise<void> =>
    runIntoExec(probe, cgroup, steps, check);

  test('argv to its bound whole; past it the first 16 KiB, marked', async () => {
    const fixed = 'steps\0pause\0--\0';
    const fits = LIMITS.ARGV_MAX - fixed.length - 1;
    for (const [bytes, truncated] of [
      [fits, false],
      [fits + 1, true],
      [32768, true],
    ] as const) {
      await execInto(
        probe.mkdir(`argv${bytes}`),
        ['execbig', program, bytes, ';'],
        (event, facts) => {
          const whole = Buffer.from(`${facts.argv.join('\0')}\0`);
          const { records, at } = event;
          const before = ['exes', 'ancestors', 'raw', 'path', 'cwd'] as const;
          const parts = before.map((part) => records.short(at + EXEC[`${part}_len`]));
          const from = at + EXEC.end + parts.reduce((sum, part) => sum + part, 0);
          const length = records.short(at + EXEC.argv_len);
          assert.equal(length, Math.min(whole.length, LIMITS.ARGV_MAX));
          assert.ok(
            records.bytes.subarray(from, from + length).equals(whole.subarray(0, LIMITS.ARGV_MAX)),
          );
          assert.equal(event.exec?.argvTruncated, truncated);
          assert.equal(event.exec.argv.length, 4);
          assert.equal(event.exec.argv[3]?.length, Math.min(bytes, fits + 1));
        },
      );
    }
    const running = await probe.run(probe.mkdir('many'), ['execmany', '/bin/true', 3000, 3, ';']);
    assert.deepEqual(probe.theEvent(running.pid, 'execve').exec?.argv.length, 3003);
  });

  test('no argv at all is one empty argument (5.18)', async () => {
    const running = await probe.run(probe.mkdir('empty'), ['execve', program, ';']);
    assert.deepEqual(probe.theEvent(running.pid, 'execve').exec?.argv, ['']);
  });

  test('calls that fail: the attempt, with its arguments', async () => {
    const plain = join(dir, 'plain');
    writeFileSync(plain, 'no program', { mode: 0o644 });
    const many = Array.from({ length: 40 }, (_, index) => `arg${index}`);
    const running = await probe.run(probe.mkdir('failed'), [
      ...['comm', 'tries', 'execve', '/no/such', 'zero', 'one', '', 'th%0aree', ';'],
      ...['execveat', -100, plain, 0, 'x', ';'],
      ...[
        'execve',
        '/no/such',
        ...many,
        ';',
        'execve',
        '/no/such',
        'a'.repeat(600),
        'b',
        ';',
        'execve',
        '/no/such',
        ';',
      ],
    ]);
    const [missing, crowded, long, none] = probe.eventsOf(running.pid, 'execve') as [
      WireEvent,
      WireEvent,
      WireEvent,
      WireEvent,
    ];
    assert.equal(missing.result, -2);
    assert.equal(missing.comm, 'tries');
    assert.deepEqual(
      {
        ...missing.exec,
        packed: undefined,
        ancestors: missing.exec?.ancestors.length !== 0,
        pgid: 0,
        vpgid: 0,
        sid: 0,
        vsid: 0,
      },
      {
        file: undefined,
        packed: undefined,
        filename: '/no/such',
        parentsProgram: false,
        writable: false,
        argv: ['zero', 'one', '', 'th\nree'],
        argvTruncated: false,
        env: undefined,
        envTruncated: false,
        fileCtimeNs: 0n,
        fileMtimeNs: 0n,
        pidNamespaceStartBootNs: 0n,
        standard: [],
        cwd: process.cwd(),
        ancestors: true,
        pgid: 0,
        vpgid: 0,
        sid: 0,
        vsid: 0,
      },
    );
    assert.equal(missing.exec?.ancestors[0]?.pid, process.pid);
    assert.deepEqual(crowded.exec?.argv, many.slice(0, 32));
    assert.equal(crowded.exec.argvTruncated, true);
    assert.deepEqual(long.exec?.argv, ['a'.repeat(511), 'b']);
    assert.equal(long.exec.argvTruncated, true);
    assert.deepEqual(none.exec?.argv, []);
    const refused = probe.theEvent(running.pid, 'execveat');
    assert.equal(refused.result, -13);
    assert.equal(refused.exec?.filename, plain);
    assert.deepEqual(refused.exec.argv, ['x']);
  });
};
describe('the arguments of an exec', execTests(false));
describe('the arguments of an exec, by tracepoints of its own', execTests(true));
