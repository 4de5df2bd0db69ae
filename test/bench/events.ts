import { execFile } from 'node:child_process';
import { mkdirSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Probe } from 'ebpf-loader-napi';
import { detectHierarchy } from '../../src/apps/cgroup-hierarchy.ts';

// What each kind of event costs the program that makes the call: nothing attached; another call's hook attached, as
// while no rule needs this one; its own hook attached, outside the scope and inside it, the records taken as they come.

const run = promisify(execFile);
const [, , work = '', label = 'local'] = process.argv;
const ROUNDS = 7;
const HOOKS = [
  'unlink',
  'rename',
  'chmod',
  'dup2',
  'socket',
  'connect',
  'sendto',
  'kill',
  'mprotect',
];
type Way = 'bare' | 'idle' | 'outside' | 'inside';
const HIERARCHY = detectHierarchy('v2');
const CGROUP = join(HIERARCHY.mountPoint, `varvel-bench-${process.pid}`);

type Times = Record<string, number>;

async function each(cgroup?: string): Promise<Times> {
  const args = cgroup === undefined ? ['each'] : ['each', cgroup];
  return JSON.parse((await run(join(work, 'syscalls'), args)).stdout) as Times;
}

async function withHooks<T>(
  hooks: readonly string[],
  then: (probe: Probe) => Promise<T>,
): Promise<T> {
  const probe = new Probe({
    hierarchy: { kind: 'v2', id: HIERARCHY.hierarchyId },
    patterns: [],
    // Nothing is to be lost for want of room: dropping would look cheap.
    bulkRingBytes: 1 << 26,
  });
  try {
    const messages = { newPeer: true, other: false };
    const opens = { read: false, write: false, failed: false };
    const dups = { network: true, other: false };
    const sockets = { ordinary: false, local: false, other: true };
    probe.setMasks({ opens, messages, dups, sockets, env: false });
    for (const hook of hooks) probe.attach(hook);
    probe.start(new ArrayBuffer(1 << 20), () => undefined);
    return await then(probe);
  } finally {
    probe.close();
  }
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

mkdirSync(CGROUP);
try {
  const rounds: Record<Way, Times[]> = {
    bare: [],
    idle: [],
    outside: [],
    inside: [],
  };
  const own = HOOKS.map((hook) => `sys_${hook}`);
  for (let round = 0; round < ROUNDS; round++) {
    rounds.bare.push(await each());
    rounds.idle.push(await withHooks(['sys_openat'], () => each()));
    rounds.outside.push(await withHooks(own, () => each()));
    rounds.inside.push(
      await withHooks(own, (probe) => {
        const id = statSync(CGROUP).ino;
        probe.scopeSet(id, 'included', 1);
        return each(CGROUP);
      }),
    );
    console.log(`round ${round + 1} of ${ROUNDS}`);
  }
  const rows = HOOKS.map((call) => {
    const of = (way: Way): number => median(rounds[way].map((one) => one[call] ?? NaN));
    const added = (way: Way): number => Math.round(of(way) - of('bare'));
    return {
      call,
      bareNs: Math.round(of('bare')),
      idleAddedNs: added('idle'),
      outsideAddedNs: added('outside'),
      insideAddedNs: added('inside'),
      noiseNs: Math.round(
        Math.max(...rounds.bare.map((one) => one[call] ?? 0)) -
          Math.min(...rounds.bare.map((one) => one[call] ?? 0)),
      ),
    };
  });
  console.table(rows);
  const machine = { cpu: cpus()[0]?.model, cores: cpus().length, kernel: release() };
  const file = `test/bench/results/${label === 'local' ? 'local-events' : 'events'}.json`;
  mkdirSync('test/bench/results', { recursive: true });
  writeFileSync(
    file,
    `${JSON.stringify({ date: new Date().toISOString().slice(0, 10), machine, rounds: ROUNDS, rows }, null, 2)}\n`,
  );
  console.log(`written to ${file}`);
} finally {
  rmdirSync(CGROUP);
}
