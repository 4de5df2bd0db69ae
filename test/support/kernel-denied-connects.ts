// A probe that refuses connections, and a container in which programs make them.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { findHierarchy, type missingHierarchy } from './kernel-cgroups.ts';
import { runsIn } from './kernel-container.ts';
import { programOf } from './kernel-program.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from './kernel-probe.ts';
import { stepsProgram, type Step, type TestProcess } from './kernel-process.ts';
import { ruleFile, ruleSetOf } from './rules-load.ts';
import { verdictTable } from './verdict-table.ts';

/** Number of the container's table. */
export const TABLE = 1;
/** Addresses that lead nowhere but to this host. */
export const DENIED = '127.0.0.9';
export const FREE = '127.0.0.8';
/** The condition of a rule about the first one. */
export const BAD = `evt.type = connect and fd.sip in ("${DENIED}", "::1")`;

export class DeniedConnects {
  readonly probe: KernelProbe;
  readonly cgroup: TestCgroup;
  /** Has a program `good`. */
  readonly dir = mkdtempSync(join(tmpdir(), 'varvel-deny-connects-'));

  /** `refuse`: has the connections refused; default: those to IP addresses. */
  constructor(
    hierarchy: Parameters<typeof missingHierarchy>[0],
    refuse = ({ probe }: KernelProbe): unknown => probe.denyConnects(findHierarchy('v2').mount),
  ) {
    this.probe = new KernelProbe({
      hierarchy,
      attach: [...STANDARD_PROGRAMS, 'sys_sendto', 'sys_sendmsg', 'sys_sendmmsg'],
    });
    this.cgroup = this.probe.mkdir('judged');
    this.probe.probe.scopeSet(this.cgroup.id, 'included', this.cgroup.level, TABLE);
    refuse(this.probe);
    copyFileSync(stepsProgram(), join(this.dir, 'good'));
  }

  async close(): Promise<void> {
    await this.probe.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** What a rule with this condition matches is denied from now on. */
  deny(condition: string): void {
    const { bytes, denied } = verdictTable(
      ruleSetOf(ruleFile(condition)),
      'docker',
      new Set(['r']),
    );
    assert.deepEqual(denied, ['r']);
    this.probe.probe.setVerdicts(TABLE, bytes);
  }

  readonly inContainer = (at: TestCgroup, ...steps: Step[]): Step[] =>
    runsIn(at, join(this.dir, 'good'), ...steps);

  /** Runs the steps in the container. The results of its connects are at most 0. */
  async connects(
    steps: Step[],
    how = this.inContainer,
  ): Promise<[running: TestProcess, results: number[], events: readonly WireEvent[]]> {
    const before = this.probe.events.length;
    const running = await this.probe.run(undefined, how(this.cgroup, ...steps));
    const results = running.results
      .filter(({ step }) => (step as string | undefined)?.startsWith('connect'))
      .map(({ ret }) => Math.min(ret, 0));
    const events = this.probe.events.slice(before).filter(({ type }) => type === 'connect');
    return [running, results, events];
  }

  /** Runs a program that prints the results of its calls, in the container. These are at most 0. */
  async calls(
    source: string,
    ...args: Step[]
  ): Promise<[results: number[], events: readonly WireEvent[]]> {
    const program = [programOf(source), this.cgroup.dir, this.dir, ...args] as const;
    const [running, , events] = await this.connects([], (at) => runsIn(at, ...program));
    const results = running.results.filter(
      ({ step }) => (step as string | undefined) === undefined,
    );
    return [results.map(({ ret }) => Math.min(ret, 0)), events];
  }
}
