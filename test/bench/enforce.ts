// npm run bench enforce: what rules that deny add to calls that they allow. The same calls without a probe; watched by all default
// rules; the same, of which those from ERROR up deny; and of a process in no container, with and without denial beside it, and with
// nothing but hooks for connects at another cgroup (hooked), whose cost is the kernel's own. Each in
// mount and pid namespaces of its own, as in a container, with a usual environment.
// In a guest (enforce-guest.ts) the results are printed.
import { execFile } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Probe, type LoaderError } from 'ebpf-loader-napi';
import { detectHierarchy } from '../../src/apps/cgroup-hierarchy.ts';
import { kernelPlanFor } from '../../src/plan/kernel-plan.ts';
import { PRIORITIES } from '../../src/rules/detection.ts';
import { loadRules, readRuleFile } from '../../src/rules/loader/load.ts';
import { STANDARD_PROGRAMS } from '../support/kernel-probe.ts';
import { CONTAINER } from '../support/rules-subject.ts';
import { verdictTable } from '../support/verdict-table.ts';
import { machine } from './machine.ts';
import { BenchRoot } from './root.ts';

const run = promisify(execFile);
const [, , work = ''] = process.argv;
const { BENCH_ROUNDS: rounds = '6', BENCH_PRINT: print } = process.env;
const ROUNDS = Number(rounds);
const FILE = 'test/bench/results/enforce.json';
const HIERARCHY = detectHierarchy('v2');
const CGROUP = join(HIERARCHY.mountPoint, `varvel-bench-${process.pid}`);
const TABLE = 1;
const ROOT = new BenchRoot(work);
const CALLS = [
  ...(['openClose', 'sendto', 'connect', 'forkExec'] as const),
  ...(['connectUnix', 'bind', 'device', 'map'] as const),
] as const;
const WAYS = ['bare', 'hooked', 'outside', 'outsideDenying', 'watched', 'denying'] as const;
type Way = (typeof WAYS)[number];
type Measured = Readonly<Record<(typeof CALLS)[number] | 'denied', number>>;

const { ruleSet } = loadRules([readRuleFile('manifests/rules/varvel_rules.yaml')]);
if (ruleSet === undefined) throw new Error('the default rules do not load');
const fromError = ruleSet.rules.filter(
  ({ priority }) => PRIORITIES.indexOf(priority) <= PRIORITIES.indexOf('Error'),
);
/** Of an app that is older than all bounds of rules. */
const tableOf = (denied: readonly { readonly name: string }[]) =>
  verdictTable(ruleSet, CONTAINER, new Set(denied.map(({ name }) => name)), {
    ageNs: 3_600_000_000_000n,
  });
const DENYING = tableOf(fromError);
const TABLES = { watched: tableOf([]).bytes, denying: DENYING.bytes };

/** As an app on Cloud Foundry has it: some 40 variables, 2.5 KB. */
const ENV = Object.fromEntries(
  Array.from({ length: 40 }, (_, nth) => [`BENCH_VARIABLE_${nth}`, 'x'.repeat(45)]),
);

async function measure(cgroup?: string): Promise<Measured> {
  const own = ['-m', '-p', '-f', join(work, 'syscalls'), 'enforce'];
  const { stdout } = await run('unshare', cgroup === undefined ? own : [...own, cgroup], {
    env: { PATH: process.env['PATH'], BENCH_ROOT: ROOT.path, ...ENV },
  });
  return JSON.parse(stdout) as Measured;
}

/** Unless this kernel has no such call. */
function attach(probe: Probe, hook: string): void {
  try {
    probe.attach(hook);
  } catch (error) {
    if ((error as LoaderError).code !== 'ENOENT') throw error;
  }
}

/** Why opens cannot be refused here. */
let noOpens: string | undefined;

/** One file, as where rules name one: the others are compared with it. */
function know(probe: Probe): void {
  const fd = openSync(join(work, 'syscalls'), 'r');
  probe.knowFile(statSync(CGROUP).ino, fd, Buffer.from('/etc/shadow'));
  closeSync(fd);
}

async function withProbe(way: Exclude<Way, 'bare'>): Promise<Measured> {
  const probe = new Probe({
    hierarchy: { kind: 'v2', id: HIERARCHY.hierarchyId },
    patterns: [],
    // Nothing is to be lost for want of room: dropping would look cheap.
    execRingBytes: 1 << 26,
    bulkRingBytes: 1 << 26,
  });
  try {
    if (way === 'hooked') {
      probe.denyConnects(CGROUP);
      return await measure();
    }
    const { hooks, masks } = kernelPlanFor(ruleSet!);
    probe.setMasks(masks);
    const known = new Set(probe.programs());
    for (const hook of new Set([...STANDARD_PROGRAMS, 'compat_exit', ...hooks]))
      if (known.has(hook)) attach(probe, hook);
    probe.start(new ArrayBuffer(1 << 20), () => undefined);
    probe.setVerdicts(TABLE, way === 'denying' ? TABLES.denying : TABLES.watched);
    probe.scopeSet(statSync(CGROUP).ino, 'included', 1, TABLE);
    if (way.toLowerCase().endsWith('denying')) {
      probe.denyConnects(HIERARCHY.mountPoint);
      probe.denyCalls('cgroup', HIERARCHY.mountPoint);
      try {
        probe.denyFiles();
        know(probe);
        for (const group of ['calls', 'unix', 'memory'] as const) probe.denyCalls(group);
      } catch (error) {
        noOpens = (error as LoaderError).code;
      }
    }
    return await measure(way === 'watched' || way === 'denying' ? CGROUP : undefined);
  } finally {
    probe.close();
  }
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
const spread = (values: readonly number[]): number => Math.max(...values) - Math.min(...values);

const loadAverage = loadavg()
  .map((load) => load.toFixed(1))
  .join(' ');
mkdirSync(CGROUP);
try {
  await ROOT.mount();
  const all: Record<Way, Measured[]> = {
    bare: [],
    hooked: [],
    outside: [],
    outsideDenying: [],
    watched: [],
    denying: [],
  };
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of WAYS) {
      const measured = way === 'bare' ? await measure() : await withProbe(way);
      const expected = way === 'denying' ? 2 : 0;
      if (measured.denied !== expected)
        throw new Error(`${way}: ${measured.denied} of 2 calls were denied, not ${expected}`);
      all[way].push(measured);
    }
    console.log(`round ${round + 1} of ${ROUNDS}`);
  }
  const rows = CALLS.map((call) => {
    const of = (way: Way): readonly number[] => all[way].map((one) => one[call]);
    const added = (way: Way, to: Way): number => Math.round(median(of(way)) - median(of(to)));
    return {
      call,
      bareNs: Math.round(median(of('bare'))),
      noiseNs: Math.round(spread(of('bare'))),
      hookedAddedNs: added('hooked', 'bare'),
      watchedAddedNs: added('watched', 'bare'),
      denyingAddedNs: added('denying', 'watched'),
      outsideAddedNs: added('outside', 'bare'),
      outsideDenyingAddedNs: added('outsideDenying', 'outside'),
    };
  });
  console.table(rows);
  const results = {
    date: new Date().toISOString().slice(0, 10),
    machine: { ...machine(), loadAverage },
    rounds: ROUNDS,
    rulesThatDeny: DENYING.denied,
    ...(noOpens === undefined ? {} : { opensAreNotRefused: noOpens }),
    rows,
  };
  if (print === undefined) {
    writeFileSync(FILE, `${JSON.stringify(results, null, 2)}\n`);
    console.log(`written to ${FILE}`);
  } else console.log(`${print}${JSON.stringify(results)}`);
} finally {
  rmdirSync(CGROUP);
  await ROOT.unmount();
}
