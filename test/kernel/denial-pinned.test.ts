// What denies goes on without its agent, for as long as was said; and nothing of it is left once its names are gone.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import {
  allowPinned,
  allowPinnedRules,
  pinnedScope,
  pinnedTable,
  unseenDenials,
} from 'ebpf-loader-napi';
import { denyingIn, digestOfTable } from '../../src/agent/denied-record.ts';
import { heldBpfIds, leftBpfIds, type BpfId } from '../support/kernel-bpf-ids.ts';
import { findHierarchy } from '../support/kernel-cgroups.ts';
import { runsIn } from '../support/kernel-container.ts';
import { FACADE } from '../support/kernel-loader.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from '../support/kernel-probe.ts';
import { stepsProgram, type Step } from '../support/kernel-process.ts';
import { ruleFile, ruleSetOf } from '../support/rules-load.ts';
import { until } from '../support/until.ts';
import { verdictTable } from '../support/verdict-table.ts';

const TABLE = 1;
const SOCK_DGRAM = 2;
const EPERM = -1;
const KILLED = 9;
const DENIED = '127.0.0.9';
const FREE = '127.0.0.8';
const MANY = 50;
const NAMES = ['programs', 'connections'];

describe('denial without an agent', () => {
  let probe: KernelProbe;
  let dir: string;
  let bpffs: string;
  let cgroup: TestCgroup;
  let other: TestCgroup;
  let table: string;
  /** Rule n of the table by its name. */
  let inTable: readonly string[];
  before(() => {
    probe = new KernelProbe({ attach: STANDARD_PROGRAMS });
    dir = mkdtempSync(join(tmpdir(), 'varvel-pinned-'));
    bpffs = join(dir, 'bpf');
    mkdirSync(bpffs);
    execFileSync('mount', ['-t', 'bpf', 'none', bpffs]);
    for (const name of ['good', 'bad']) copyFileSync(stepsProgram(), join(dir, name));
    cgroup = probe.mkdir('judged');
    other = probe.mkdir('other');
    const rules = [
      ruleFile(`evt.type in (execve, execveat) and proc.exepath = ${join(dir, 'bad')}`),
      ruleFile(`evt.type = connect and fd.sip = ${DENIED}`),
    ].map((rule, at) => rule.replace('rule: r', `rule: ${NAMES[at]}`));
    const { bytes, places, denied } = verdictTable(
      ruleSetOf(rules.join('\n')),
      'docker',
      new Set(NAMES),
    );
    assert.deepEqual([[...denied].sort(), places], [[...NAMES].sort(), denied]);
    inTable = places;
    table = join(dir, 'table');
    writeFileSync(table, bytes!);
  });
  after(async () => {
    await probe.close();
    execFileSync('umount', [bpffs]);
    rmSync(dir, { recursive: true, force: true });
  });

  /** Starts an agent's part that denies, and gives how to end it; `denyMs`: see noteSeen. */
  async function denier(
    names: string,
    denyMs: number,
    { pins = true } = {},
  ): Promise<{ readonly kill: () => Promise<void>; readonly ids: readonly BpfId[] }> {
    const script = `
      const { Probe } = require(${JSON.stringify(FACADE)});
      const probe = new Probe({ hierarchy: ${JSON.stringify(probe.hierarchy)}, patterns: [], execRingBytes: 65536, bulkRingBytes: 65536 });
      for (const hook of ['cgroup_mkdir', 'cgroup_rmdir', 'sched_fork', 'sched_exec', 'sched_exit']) probe.attach(hook);
      probe.scopeSet(${cgroup.id}, 'included', ${cgroup.level}, ${TABLE});
      probe.scopeSet(${other.id}, 'included', ${other.level}, ${TABLE});
      probe.setVerdicts(${TABLE}, require('node:fs').readFileSync(${JSON.stringify(table)}));
      probe.denyConnects(${JSON.stringify(findHierarchy('v2').mount)});
      if (${pins}) {
        probe.pin(${JSON.stringify(names)});
        probe.pin(${JSON.stringify(names)});
      }
      probe.noteSeen(${denyMs});
      console.log('held');
      setInterval(() => undefined, 1000);`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    const ids = heldBpfIds(child.pid!);
    const kill = async (): Promise<void> => {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    };
    return { kill, ids };
  }

  const udp = (ip: string): Step[] => ['connect4', SOCK_DGRAM, ip, 9];
  /** The results of connects, and how many of the children that run `bad` were killed. */
  async function run(...steps: Step[]): Promise<{ connects: number[]; killed: number }> {
    return runInside(cgroup, ...steps);
  }
  async function runInside(
    where: TestCgroup,
    ...steps: Step[]
  ): Promise<{ connects: number[]; killed: number }> {
    const { results } = await probe.run(undefined, runsIn(where, join(dir, 'good'), ...steps));
    return {
      connects: results
        .filter(({ step }) => (step as string | undefined)?.startsWith('connect'))
        .map(({ ret }) => Math.min(ret, 0)),
      killed: results.filter(({ step, status }) => step === 'fork' && status === KILLED).length,
    };
  }
  const bad = (): Step[] => ['fork', '[', 'execve', join(dir, 'bad'), 'bad', ';', 'exit', 0, ']'];
  const denied = { connects: [EPERM, 0], killed: 1 };
  const letBe = { connects: [0, 0], killed: 0 };

  test('not pinned, it ends with the agent', async () => {
    const { kill, ids } = await denier('', 0, { pins: false });
    assert.deepEqual(await run(...udp(DENIED), ...udp(FREE), ...bad()), denied);
    await kill();
    assert.deepEqual(await leftBpfIds(ids), []);
    assert.deepEqual(await run(...udp(DENIED), ...udp(FREE), ...bad()), letBe);
  });

  test('pinned, it goes on after SIGKILL, is counted, and ends with its names', async () => {
    const names = join(bpffs, 'one');
    const { kill, ids } = await denier(names, 0);
    assert.deepEqual(await run(...udp(DENIED), ...udp(FREE), ...bad()), denied);
    assert.deepEqual(unseenDenials(names), [], 'the agent tells of them');
    await kill();
    // It was seen just now: for three seconds it may only be busy.
    await delay(3100);
    const steps = Array.from({ length: MANY }, () => [
      ...udp(DENIED),
      ...udp(FREE),
      ...bad(),
    ]).flat();
    const { connects, killed } = await run(...steps);
    assert.deepEqual(connects, Array.from({ length: MANY }, () => [EPERM, 0]).flat());
    assert.equal(killed, MANY);
    assert.deepEqual(unseenDenials(names), [{ cgroupId: cgroup.id, count: 2 * MANY }]);
    assert.throws(() => unseenDenials(bpffs), { code: 'ENOENT' });
    for (const name of readdirSync(names)) rmSync(join(names, name));
    assert.deepEqual(await leftBpfIds(ids), []);
    assert.deepEqual(await run(...udp(DENIED), ...udp(FREE), ...bad()), letBe);
  });

  test('lifted by container and by rule, without the agent: the others stay denied', async () => {
    const names = join(bpffs, 'lifted');
    const { kill, ids } = await denier(names, 0);
    await kill();
    const steps = [...udp(DENIED), ...udp(FREE), ...bad()];
    const tablesOf = (): unknown =>
      [cgroup.id, other.id].map(
        (id) => pinnedScope(names).find(({ cgroupId }) => cgroupId === id)?.table,
      );
    assert.deepEqual(tablesOf(), [TABLE, TABLE]);
    assert.deepEqual(await runInside(other, ...steps), denied);

    allowPinned(names, cgroup.id, cgroup.level);
    assert.deepEqual(tablesOf(), [0, TABLE]);
    assert.deepEqual(await run(...steps), letBe);
    assert.deepEqual(await runInside(other, ...steps), denied);

    const before = pinnedTable(names, TABLE)!;
    assert.equal(denyingIn(before), 0b11);
    allowPinnedRules(names, TABLE, 1 << inTable.indexOf('connections'));
    const after = pinnedTable(names, TABLE)!;
    assert.equal(denyingIn(after), 1 << inTable.indexOf('programs'));
    assert.equal(digestOfTable(after), digestOfTable(before));
    assert.deepEqual(await runInside(other, ...steps), { connects: [0, 0], killed: 1 });
    allowPinnedRules(names, TABLE, 1 << inTable.indexOf('programs'));
    assert.deepEqual(await runInside(other, ...steps), letBe);

    assert.equal(pinnedTable(names, TABLE + 1), undefined);
    assert.throws(() => allowPinnedRules(names, TABLE + 1, 1), { code: 'ESRCH' });
    assert.throws(() => allowPinned(names, 1, 1), { code: 'ENOENT' });
    assert.throws(() => pinnedTable(bpffs, TABLE), { code: 'ENOENT' });
    rmSync(names, { recursive: true });
    assert.deepEqual(await leftBpfIds(ids), []);
  });

  test('a lift beside a flood: from its return on nothing is refused in that container, and all in the other', async () => {
    const names = join(bpffs, 'lift-flood');
    const { kill } = await denier(names, 0);
    await kill();
    const many = (where: TestCgroup) =>
      probe.spawn(
        undefined,
        runsIn(
          where,
          join(dir, 'good'),
          ...Array.from({ length: 20 * MANY }, () => [...udp(DENIED), 'sleep', 2]).flat(),
        ),
      );
    const [lifted, not] = [many(cgroup), many(other)];
    await delay(500);
    allowPinned(names, cgroup.id, cgroup.level);
    assert.deepEqual((await run(...udp(DENIED))).connects, [0]);
    for (const flood of [lifted, not]) await flood.ended();
    const retsOf = ({ results }: typeof lifted): readonly number[] =>
      results
        .filter(({ step }) => (step as string | undefined)?.startsWith('connect'))
        .map(({ ret }) => Math.min(ret, 0));
    const rets = retsOf(lifted);
    const first = rets.indexOf(0);
    assert.ok(first > 0 && first < rets.length, String(first));
    // Once, and for good.
    assert.ok(rets.every((ret, at) => ret === (at < first ? EPERM : 0)));
    assert.deepEqual(
      retsOf(not),
      Array.from({ length: 20 * MANY }, () => EPERM),
    );
    rmSync(names, { recursive: true });
  });

  test('it ends by itself at the time that was said', async () => {
    const names = join(bpffs, 'two');
    const { kill } = await denier(names, 60_000);
    await kill();
    assert.deepEqual(await run(...udp(DENIED), ...udp(FREE), ...bad()), denied);
    rmSync(names, { recursive: true });
    const short = await denier(names, 500);
    await short.kill();
    await until('it has ended', async () => {
      const { connects } = await run(...udp(DENIED));
      return connects[0] === 0;
    });
    assert.deepEqual(await run(...udp(DENIED), ...udp(FREE), ...bad()), letBe);
    rmSync(names, { recursive: true });
  });

  test('agents that are killed one after the other beside a flood: nothing gets through', async () => {
    const first = await denier(join(bpffs, 'flood-0'), 0);
    const flood = probe.spawn(
      undefined,
      runsIn(
        cgroup,
        join(dir, 'good'),
        ...Array.from({ length: 40 * MANY }, () => [...udp(DENIED), 'sleep', 2]).flat(),
      ),
    );
    let last = first;
    for (let round = 1; round <= 4; round++) {
      await last.kill();
      last = await denier(join(bpffs, `flood-${round}`), 0);
      rmSync(join(bpffs, `flood-${round - 1}`), { recursive: true });
    }
    await flood.ended();
    const rets = flood.results
      .filter(({ step }) => (step as string | undefined)?.startsWith('connect'))
      .map(({ ret }) => ret);
    assert.deepEqual(
      rets,
      Array.from({ length: 40 * MANY }, () => EPERM),
    );
    await last.kill();
    rmSync(join(bpffs, 'flood-4'), { recursive: true });
  });

  test('a directory that is in no BPF file system is refused', () => {
    assert.throws(() => probe.probe.pin(join(dir, 'plain')), { code: 'EPERM' });
    rmSync(join(dir, 'plain'), { recursive: true });
  });
});
