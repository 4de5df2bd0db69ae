// Tasks compete for CPUs: the kernel may interrupt the probe's programs then (Linux 7.0), and no record may have another task's contents.
import '../../kernel/exec-twice.test.ts';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { HEADER, KINDS } from '../../../src/events/table.gen.ts';
import { WireEvent } from '../../../src/events/wire-event.ts';
import { KernelProbe, type TestCgroup } from '../../support/kernel-probe.ts';

const SECONDS = 15;
const PROCESSES = [0, 1];

/** A shell in the cgroup that runs programs until the file is there; each is told the shell's pid. Resolves to their number. */
async function runPrograms(cgroup: TestCgroup, stop: string): Promise<number> {
  const script = `read x; n=0; while ! [ -e ${stop} ]; do /bin/true $$; n=$((n+1)); done; echo $n`;
  const child = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  writeFileSync(join(cgroup.dir, 'cgroup.procs'), String(child.pid));
  child.stdin.write('\n');
  await once(child, 'close');
  return Number(said);
}

test('while tasks compete for CPUs, each record is of one task, and each program that is run is reported', async (t) => {
  const probe = new KernelProbe({
    keep: false,
    tickMs: 30,
    dozeMs: 60,
    execRingBytes: 1 << 25,
    mayLose: 'all',
  });
  const cgroup = probe.mkdir('busy');
  probe.probe.scopeSet(cgroup.id, 'included', cgroup.level);
  const counts = { opens: 0, programs: 0 };
  const mixed: string[] = [];
  const pathOf = new Map<number, string>();
  let event: WireEvent | undefined;
  probe.onRecord = (records, at) => {
    if (records.short(at + HEADER.kind) === KINDS.cgroup) return;
    event ??= new WireEvent(records, { unixMinusBootNs: 0n });
    event.moveTo(at, 1);
    const path = pathOf.get(event.pid);
    if (event.exec?.file?.path.endsWith('/true') === true) {
      counts.programs++;
      if (String(event.exec.argv[1]) !== String(event.ppid))
        mixed.push(`${event.pid} of ${event.ppid} runs ${String(event.exec.argv)}`);
    } else if (path !== undefined && event.open !== undefined) {
      counts.opens++;
      if (event.open.rawPath !== path)
        mixed.push(`${event.pid} opens ${event.open.rawPath}, not ${path}`);
    }
  };
  const openers = PROCESSES.map((n) => {
    const path = `/no/${'x'.repeat(n * 40)}${n}`;
    const running = probe.spawn(cgroup, ['bursts', SECONDS, 10, 4, path]);
    pathOf.set(running.pid, path);
    return running;
  });
  const folder = mkdtempSync(join(tmpdir(), 'varvel-preempted-'));
  const stop = join(folder, 'stop');
  const running = PROCESSES.map(() => runPrograms(cgroup, stop));
  await Promise.all(openers.map((one) => one.ended()));
  writeFileSync(stop, '');
  const run = (await Promise.all(running)).reduce((sum, one) => sum + one, 0);
  rmSync(folder, { recursive: true });
  await probe.settle();
  const { droppedExec } = probe.entry(cgroup);
  t.diagnostic(JSON.stringify({ ...counts, run, droppedExec, skipped: probe.probe.skipped() }));
  await probe.close();
  assert.ok(counts.opens > 0);
  assert.deepEqual(mixed, []);
  // An exec is reported also where the kernel has skipped its first program.
  assert.ok(counts.programs <= run && counts.programs >= run - droppedExec);
});
