import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext } from 'node:test';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { call } from './kernel-calls.ts';
import { runsIn } from './kernel-container.ts';
import {
  KernelProbe,
  STANDARD_PROGRAMS,
  type KernelProbeOptions,
  type TestCgroup,
} from './kernel-probe.ts';
import { stepsProgram, type Step } from './kernel-process.ts';
import { refuseCalls, refusingTest } from './kernel-refused-files.ts';
import { ruleFile, ruleSetOf } from './rules-load.ts';
import { verdictTable } from './verdict-table.ts';

const TABLE = 1;
const SIGCHLD = 17;

/** clone(2) and clone3(2) with these flags. */
export const clone = (flags: number): Step[] => call('clone', flags | SIGCHLD, 0, 0, 0, 0);
export const clone3 = (flags: number): Step[] =>
  call('clone3', '{', flags, 0, 0, 0, SIGCHLD, 0, 0, 0, '}', 64);

type Called = [results: ReadonlyMap<string, number[]>, events: readonly WireEvent[]];
type HowToRun = (of: TestCgroup, ...args: Step[]) => Step[];

/** What tests of calls share that are denied by who makes them. */
export interface DeniedCalls {
  readonly probe: KernelProbe;
  /** A file in the test's directory, in which the steps' program is `good`. */
  readonly at: (name: string) => string;
  /** Has one rule with this condition deny what it can, in the test's container. */
  readonly deny: (condition: string) => void;
  /** Declares a test that needs a kernel that refuses such calls. */
  readonly refusing: (name: string, run: (t: TestContext) => Promise<void>) => void;
  /** Makes calls: their results by name, 0 for all that are not negative, and the records. */
  readonly calls: (steps: Step[], how?: HowToRun) => Promise<Called>;
  /** The events that were denied. */
  readonly told: (events: readonly WireEvent[]) => string[];
}

/** Loads a probe before the tests of a `describe`, with these programs besides the usual ones. */
export function suiteOfDeniedCalls(
  hierarchy: NonNullable<KernelProbeOptions['hierarchy']>,
  programs: () => readonly string[],
): DeniedCalls {
  let probe: KernelProbe;
  let dir: string;
  let cgroup: TestCgroup;
  /** Why this kernel refuses none. */
  let why: string | undefined;
  const at = (name: string): string => join(dir, name);
  before(() => {
    probe = new KernelProbe({ hierarchy, attach: [...STANDARD_PROGRAMS, ...programs()] });
    cgroup = probe.mkdir('judged');
    probe.probe.scopeSet(cgroup.id, 'included', cgroup.level, TABLE);
    dir = mkdtempSync(join(realpathSync(tmpdir()), 'varvel-deny-calls-'));
    copyFileSync(stepsProgram(), at('good'));
    why = refuseCalls(probe);
  });
  after(async () => {
    await probe.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return {
    get probe() {
      return probe;
    },
    at,
    deny: (condition) => {
      const rules = ruleSetOf(ruleFile(condition));
      const { bytes: table, denied } = verdictTable(rules, 'docker', new Set(['r']));
      assert.deepEqual(denied, ['r'], condition);
      probe.probe.setVerdicts(TABLE, table);
    },
    refusing: (name, run) => {
      refusingTest(name, () => why, run);
    },
    calls: async (steps, how = (of, ...args) => runsIn(of, at('good'), ...args)) => {
      const before = probe.events.length;
      const running = await probe.run(undefined, how(cgroup, ...steps));
      const results = new Map<string, number[]>();
      for (const made of running.results) {
        const { step, name, ret } = made as { step: string; name?: string; ret: number };
        if (step !== 'call' || name === undefined) continue;
        results.set(name, [...(results.get(name) ?? []), Math.min(ret, 0)]);
      }
      const isCall = ({ call: made, clone: refused, denied }: WireEvent): boolean =>
        made !== undefined || (refused !== undefined && denied);
      return [results, probe.events.slice(before).filter(isCall)];
    },
    told: (events) => events.filter(({ denied }) => denied).map(({ type }) => type),
  };
}
