// Programs that are started, and what /proc says of them.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { bootTimeNs } from 'ebpf-loader-napi';
import type { StandardDescriptor } from '../../src/events/event.ts';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { readFacts, type ProcFacts } from './kernel-facts.ts';
import { KernelProbe, type KernelProbeOptions, type TestCgroup } from './kernel-probe.ts';
import { stepsProgram, type Step } from './kernel-process.ts';

/** What the tests of a suite about execs use. */
export interface ExecSuite {
  readonly probe: KernelProbe;
  /** A folder that everybody may read, and a copy of the program that takes steps in it. */
  readonly dir: string;
  readonly program: string;
}

/** Declares the set-up of such a suite, with a probe of these options; gives what is there while its tests run. */
export function execSuite(options: KernelProbeOptions = {}): () => ExecSuite {
  let suite: ExecSuite | undefined;
  before(() => {
    const probe = new KernelProbe(options);
    const dir = mkdtempSync(join(tmpdir(), 'varvel-exec-'));
    chmodSync(dir, 0o755);
    const program = join(dir, 'program');
    copyFileSync(stepsProgram(), program);
    chmodSync(program, 0o755);
    suite = { probe, dir, program };
  });
  after(async () => {
    await suite?.probe.close();
    if (suite !== undefined) rmSync(suite.dir, { recursive: true, force: true });
  });
  return () => suite ?? assert.fail('it is not set up');
}

export type ExecCheck = (
  event: WireEvent,
  facts: ProcFacts,
  time: { readonly from: bigint; readonly to: bigint },
) => void;

/** Runs the steps, which must end in an exec into a program that pauses; gives its event while it stands. */
export async function runIntoExec(
  on: KernelProbe,
  cgroup: TestCgroup,
  steps: readonly Step[],
  check: ExecCheck,
  type: 'execve' | 'execveat' = 'execve',
): Promise<void> {
  const from = bootTimeNs();
  const running = on.spawn(cgroup, steps);
  await running.paused();
  await on.settle();
  try {
    check(on.theEvent(running.pid, type), readFacts(running.pid), { from, to: bootTimeNs() });
  } finally {
    running.resume();
    await running.ended();
  }
}

/** What descriptors 0, 1 and 2 of the process are, where none is an IP socket. */
export function standardOf(pid: number): StandardDescriptor[] {
  return [0, 1, 2].map((fd) => ({
    type: typeOfDescriptor(pid, fd),
    tuple: undefined,
    connected: false,
  }));
}

/** As /proc has it, where no socket is an IP one. */
function typeOfDescriptor(pid: number, fd: number): string | undefined {
  const status = statSync(`/proc/${pid}/fd/${fd}`, { throwIfNoEntry: false });
  if (status?.isSocket() === true) return 'unix';
  if (status?.isFIFO() === true) return 'pipe';
  if (status?.isDirectory() === true) return 'directory';
  return status?.isFile() === true || status?.isCharacterDevice() === true ? 'file' : undefined;
}
