import type { PolicyText } from '../../../src/container-files/policy-text.ts';
import type { Container } from '../../../src/apps/identity.ts';
import { ProcFs } from '../../../src/context/proc-fs.ts';
import { PolicyFiles } from '../../../src/container-files/policy-files.ts';
import { PolicyPins } from '../../../src/container-files/policy-pins.ts';
import type { OwnFile, OwnFileRefusal } from '../../../src/host/container-root.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { FixtureProc } from '../context/fixture-proc.ts';
import { containerOf } from '../streams/delivery-fixture.ts';

export const PLAIN = '/etc/varvel/varvel.yml';
export const DROPLET = '/home/vcap/deps/1/varvel/policy.json';
/** Ticks of 10 ms, with the boot at Unix time 0. */
export const START_TICKS = 500;
export const START_NS = 5_000_000_000n;
/** Garden's own process is older than the app. */
export const INIT_TICKS = 100;
export const INIT_NS = 1_010_000_000n;

export function world({ folder = temporaryFolder('varvel-pins-'), bootId = 'b' } = {}) {
  const proc = new FixtureProc();
  proc.put({ pid: 9, comm: 'app', startTicks: START_TICKS });
  const files = new Map<string, OwnFile | OwnFileRefusal>();
  const roots = new Set([9]);
  /** Processes with an image of their own. */
  const sidecars = new Set<number>();
  let inCell: readonly number[] = [];
  const owners = new Map<number, { runtime: Container['runtime']; key: string }>([
    [1, { runtime: 'docker', key: 'c' }],
    [2, { runtime: 'garden', key: 'h' }],
    [3, { runtime: 'cgroup', key: '/x' }],
  ]);
  const answered: string[] = [];
  const problems: unknown[] = [];
  const programs = new Map<string, bigint | 'not yet'>();
  const time = { nowMs: 0, bootNs: START_NS };
  const policies = new PolicyFiles({
    rootReader: {
      readOwnFile: (_, path) => files.get(path),
      namesIn: (_, path) => (path === '/home/vcap/deps' ? ['10', '1', 'x', '..'] : []),
      hasContainerRoot: (pid) => roots.has(pid),
      hasOtherRoot: (pid, other) => sidecars.has(pid) !== sidecars.has(other),
    },
    procReader: new ProcFs(proc.root),
    pins: new PolicyPins({ inside: folder }, (error) => problems.push(error)),
    programSince: (pid, startTicks) => programs.get(`${pid} ${startTicks}`),
    bootNs: () => time.bootNs,
    unixMinusBootNs: () => 0n,
    nowMs: () => time.nowMs,
    bootId,
    ownerOf: (root) => owners.get(root),
    processesOf: (runtime, key) => (runtime === 'garden' && key === 'h' ? inCell : []),
    onAnswered: (runtime, key) => answered.push(`${runtime} ${key}`),
  });
  const put = (path: string, text: string, changedNs = 0n): void =>
    void files.set(path, { bytes: Buffer.from(text), changedNs });
  /** The process runs its first program, which records tell, or do not. */
  const begin = (root: number, sinceNs: bigint | undefined, vpid = 1, pid = 9): void => {
    if (sinceNs !== undefined) programs.set(`${pid} ${START_TICKS}`, sinceNs);
    policies.onProgram(root, { pid, vpid, startBootNs: START_NS, sinceBootNs: sinceNs ?? 0n });
  };
  /** Garden's first process, which the agent has seen begin or not; with it the others that run in the container. */
  const cell = (others: readonly number[], seen: 'seen' | 'not seen' = 'seen'): void => {
    proc.put({ pid: 8, comm: 'garden-init', startTicks: INIT_TICKS });
    roots.add(8);
    if (seen === 'seen') programs.set(`8 ${INIT_TICKS}`, INIT_NS);
    others.forEach((pid) => {
      proc.put({ pid, comm: 'app', startTicks: START_TICKS });
      roots.add(pid);
    });
    inCell = [...others, 8];
  };
  return {
    policies,
    proc,
    files,
    roots,
    sidecars,
    put,
    programs,
    begin,
    cell,
    answered,
    folder,
    problems,
    time,
  };
}
export const found = (answer: PolicyText | 'none' | undefined): PolicyText | undefined =>
  answer === 'none' ? undefined : answer;
export const docker = (more: Partial<Container> = {}): Container =>
  containerOf({ fullId: 'c', ranBefore: false, ...more });
export const garden = containerOf({ fullId: 'h', runtime: 'garden' });

/** When the first program begins; the process that runs it has been there for 100 ms. */
export const BEGUN_NS = START_NS + 100_000_000n;
