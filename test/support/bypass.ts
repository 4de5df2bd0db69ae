// Tries to get around a denial, each made in a container where it is denied, in one beside it, and outside of all.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmdirSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { LoaderError } from 'ebpf-loader-napi';
import type { WireEvent } from '../../src/events/wire-event.ts';
import { kernelPlanFor } from '../../src/plan/kernel-plan.ts';
import { RuleEngine } from '../../src/rules/engine.ts';
import { loadRules, readRuleFile } from '../../src/rules/loader/load.ts';
import { removeCgroup, type missingHierarchy } from './kernel-cgroups.ts';
import { escaped, runsIn } from './kernel-container.ts';
import { KernelProbe, STANDARD_PROGRAMS, type TestCgroup } from './kernel-probe.ts';
import { stepsProgram, type Step, type StepResult } from './kernel-process.ts';
import { ruleFiles, ruleSetOf } from './rules-load.ts';
import { CONTAINER, makeProcess, makeSubject, RUNTIME } from './rules-subject.ts';
import { until } from './until.ts';
import { verdictTable } from './verdict-table.ts';
import type { Outcome, PlaceWay } from './ways-around.ts';

/** How often each is tried where it is denied, and at least where it is not: an emulated machine takes long for a process. */
export const MANY = 200;
const FEW = 20;
/** In steps: one of these numbers. */
const TRIES = 'tries';
/** A race is tried as often as this: who wins one is not for us to say. */
export const RACES = 2000;
const EPERM = -1;
const SIGKILL = 9;
const TABLE = 1;
const CLONE_NEWNS = 0x20000;
const CLONE_NEWPID = 0x20000000;

/** Of an app that has run for an hour, which no rule takes for one that starts. */
const LONG_AGO = -3_600_000_000_000n;
const OLD_CONTAINER = { ...CONTAINER, startedAtMs: -3_600_000 };
const FIRST = makeProcess({ vpid: 1, startBootNs: LONG_AGO, parent: RUNTIME });
const PARENT = makeProcess({ vpid: 5, startBootNs: LONG_AGO, parent: FIRST });

/** Where a try is made. */
export type Place = 'denied' | 'neighbour' | 'outside';
const PLACES: readonly Place[] = ['denied', 'neighbour', 'outside'];

/** One try's end: of a call, its result; of a program, the wait status of its process. */
export type End = 'refused' | 'ended' | 'made' | `failed: ${number}`;

/** What a try is, and how its ends are found in what the programs print. */
export interface Attempt {
  /** In the container; the ends of MANY calls are among their results. `cgroup` is that of the place. */
  readonly steps?: (place: Place, cgroup: TestCgroup) => Step[];
  /** Instead: all steps, from those of a process outside. */
  readonly whole?: (place: Place, cgroup: TestCgroup) => Step[] | Promise<Step[]>;
  readonly endsOf?: (results: readonly StepResult[]) => End[];
  /** A race: its calls may end in any way, and only the effect counts. */
  readonly race?: (results: readonly StepResult[]) => number | Promise<number>;
  /** Tables are replaced all the time meanwhile. */
  readonly replacing?: boolean;
  /** Why it cannot be made here. */
  readonly cannot?: string | false;
  /** How a call ends where it is not denied. Default: made. */
  readonly elsewhere?: End;
  /** Called after each place, to have all as it was. */
  readonly restore?: () => unknown;
}

/** What denial-races.c prints. */
export interface Raced extends StepResult {
  readonly refused: number;
  readonly made: number;
  readonly ran: number;
}
export const racedOf = (results: readonly StepResult[]): Raced => {
  const found = results.find((one): one is Raced => 'refused' in one);
  assert.ok(found, 'the race was run');
  return found;
};

export const many = (...steps: Step[]): Step[] => ['times', TRIES, '[', ...steps, ']'];
/** Runs a program with these arguments as its steps. */
export const runs = (program: string, ...steps: Step[]): Step[] => [
  ...['execve', program, 'good', ...steps.map(escaped), ';'],
];

export const endOfCall = (ret: number): End =>
  ret === EPERM ? 'refused' : ret >= 0 ? 'made' : `failed: ${ret}`;
/** The programs of these tests end with 7; others would with 0. */
export const endOfProgram =
  (ran: number) =>
  (status = -1): End =>
    status === SIGKILL ? 'ended' : status === ran << 8 ? 'made' : `failed: ${status}`;

const CLONE_NEWUSER = 0x10000000;
const AT_FDCWD = -100;
const OPEN_TREE_CLONE = 1;
const O_PATH = 0o10000000;

/** Steps after which 3 is a descriptor of the folder in a copy of its mounts. */
export const copyOfMounts = (dir: string): Step[] => [
  ...['callfd', 'open_tree', AT_FDCWD, `s:${dir}`, OPEN_TREE_CLONE, ';'],
];
/** Steps after which 3 is a descriptor of the folder, which is not below the root of the process. */
export const beyondChroot = (dir: string, root: string): Step[] => [
  ...['openat', AT_FDCWD, dir, O_PATH, 0],
  ...['chroot', root],
];
/** Steps after which /proc/2/root is that of a child with mounts of its own. `mark`: a name that is free. */
export const besideOtherMounts = (mark: string): Step[] => [
  ...['mount', 'proc', '/proc', 'proc', 0, '-'],
  // The first process is 1 in its namespace.
  ...['forkleft', '[', 'unshare', CLONE_NEWNS, 'mkdir', mark, 'sleep', 600_000, ']'],
  ...['until', mark],
];

/**
 * Ways by cgroups, namespaces and threads of the call that `step` makes. `ends` finds how it ended in results; for a program, in
 * those of the step with that name, which has made its process.
 */
export function placeWays(
  bypass: () => Bypass,
  hierarchy: 'v2' | 'v1-pids',
  step: Step[],
  ends: (name: string) => NonNullable<Attempt['endsOf']>,
): Readonly<Record<PlaceWay, Attempt>> {
  const own = { endsOf: ends('fork') };
  const forked = ['fork', '[', ...step, ']'];
  const inner = (cgroup: TestCgroup, place: Place): string => join(cgroup.dir, `inner-${place}`);
  const cannot = hierarchy !== 'v2' && 'only cgroups of v2 can be born into';
  return {
    'another thread': { ...own, steps: () => many('fork', '[', 'thread', '[', ...step, ']', ']') },
    'own mount namespace': { ...own, steps: () => ['unshare', CLONE_NEWNS, ...many(...forked)] },
    'own user and mount namespaces': {
      ...own,
      steps: () => ['unshare', CLONE_NEWUSER | CLONE_NEWNS, ...many(...forked)],
    },
    'own pid namespace': {
      endsOf: (results) => {
        // The last one is the container's own first process.
        const first = results.findLastIndex(({ step }) => step === 'clone');
        return ends('clone')(results.filter((_, nth) => nth !== first));
      },
      steps: () => many('clone', CLONE_NEWPID, '[', ...step, ']'),
    },
    'cgroup of its own below the container’s': {
      ...own,
      steps: (place, cgroup) => [
        ...['mkdir', inner(cgroup, place), 'enter', inner(cgroup, place)],
        ...many(...forked),
        ...['enter', cgroup.dir],
      ],
    },
    'born into a cgroup below the container’s': {
      endsOf: ends('clone3'),
      cannot,
      steps: (place, cgroup) => [
        ...['mkdir', `${inner(cgroup, place)}-born`],
        ...many('clone3', 0, `${inner(cgroup, place)}-born`, '[', ...step, ']'),
      ],
    },
    'born into a cgroup outside': {
      endsOf: ends('clone3'),
      cannot,
      steps: (place) => many('clone3', 0, bypass().outsideOf(place), '[', ...step, ']'),
    },
    'moved to a cgroup outside': {
      ...own,
      steps: (place) => ['enter', bypass().outsideOf(place), ...many(...forked)],
    },
    'forks while tables are replaced': { ...own, steps: () => many(...forked), replacing: true },
  };
}

/** A probe with a container in which something is denied, and one in which nothing is. */
export class Bypass {
  readonly probe: KernelProbe;
  /** Has a program `good`. A file system of its own, and not where the default rules take any program for a new one. */
  readonly dir = mkdtempSync('/run/varvel-bypass-');
  readonly #cgroups: Readonly<Record<Place, TestCgroup>>;
  readonly #defaultRules: RuleEngine;
  readonly #outside = new Set<string>();
  /** End what `sessions` has begun. */
  readonly #ends: (() => Promise<unknown>)[] = [];
  #table: Uint8Array | undefined;
  #rules: RuleEngine | undefined;

  /** `secrets`: what is below the folder that the default rules take for the app's secrets. */
  constructor(hierarchy: Parameters<typeof missingHierarchy>[0], secrets: readonly string[] = []) {
    const { ruleSet } = loadRules([
      readRuleFile('manifests/rules/varvel_rules.yaml'),
      {
        name: 'secrets.yaml',
        text: `- list: app_secret_paths\n  items: [${secrets.map((name) => this.at(name)).join(', ')}]\n  override: {items: replace}\n`,
      },
    ]);
    assert.ok(ruleSet);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'varvel-bypass', this.dir]);
    this.#defaultRules = new RuleEngine(ruleSet);
    const { hooks } = kernelPlanFor(ruleSet);
    this.probe = new KernelProbe({ hierarchy, attach: STANDARD_PROGRAMS, mayLose: 'calls' });
    const known = new Set(this.probe.probe.programs());
    for (const hook of ['io_uring', ...hooks])
      if (known.has(hook) && !STANDARD_PROGRAMS.includes(hook)) this.#attach(hook);
    const { topDir } = this.probe;
    this.#cgroups = {
      denied: this.probe.mkdir('denied'),
      neighbour: this.probe.mkdir('neighbour'),
      outside: this.probe.cgroupAt(topDir),
    };
    for (const place of ['denied', 'neighbour'] as const) {
      const { id, level } = this.#cgroups[place];
      this.probe.probe.scopeSet(id, 'included', level, place === 'denied' ? TABLE : 0);
    }
    copyFileSync(stepsProgram(), this.at('good'));
  }

  #attach(hook: string): void {
    try {
      this.probe.probe.attach(hook);
    } catch (error) {
      // This kernel has no such call.
      if ((error as LoaderError).code !== 'ENOENT') throw error;
    }
  }

  async close(): Promise<void> {
    await this.probe.close();
    // What ran there may still be ending.
    for (const dir of this.#outside) await until('it is removed', () => removeCgroup(dir));
    execFileSync('umount', ['--lazy', this.dir]);
    rmdirSync(this.dir);
  }

  readonly at = (name: string): string => join(this.dir, name);

  /** A cgroup that is no container's. */
  outsideOf(place: Place): string {
    // Beside the top one: what is below that is a container.
    const dir = `${this.probe.topDir}-${place}`;
    mkdirSync(dir, { recursive: true });
    this.#outside.add(dir);
    return dir;
  }

  /** What these rules match is denied from now on. */
  deny(...conditions: readonly string[]): void {
    const names = conditions.map((_, nth) => `r${nth}`);
    const ruleSet = ruleSetOf(ruleFiles(conditions));
    const { bytes, denied } = verdictTable(ruleSet, 'docker', new Set(names));
    assert.deepEqual([...denied].sort(), names);
    this.#rules = new RuleEngine(ruleSet);
    this.#table = bytes;
    this.probe.probe.setVerdicts(TABLE, bytes);
  }

  /** The file is known by its inode, where something is denied. */
  know(name: string): void {
    const fd = openSync(this.at(name), 'r');
    this.probe.probe.knowFile(this.#cgroups.denied.id, fd, Buffer.from(this.at(name)));
    closeSync(fd);
  }

  /** Replaces the table as fast as it can, as an agent does at a reload. */
  async #replaceTables(until: AbortSignal): Promise<void> {
    const { id, level } = this.#cgroups.denied;
    for (let swaps = 0; !until.aborted || swaps % 2 === 1; swaps++) {
      const [next, former] = swaps % 2 === 0 ? [TABLE + 1, TABLE] : [TABLE, TABLE + 1];
      this.probe.probe.setVerdicts(next, this.#table);
      this.probe.probe.scopeSet(id, 'included', level, next);
      this.probe.probe.setVerdicts(former, undefined);
      await setImmediate();
    }
  }

  /** A container whose first process waits, and the process's number outside. */
  async #waitingIn(cgroup: TestCgroup): Promise<[pid: number, end: () => Promise<unknown>]> {
    const running = this.probe.spawn(undefined, runsIn(cgroup, this.at('good'), 'pause'));
    await running.paused();
    const [pid] = readFileSync(join(cgroup.dir, 'cgroup.procs'), 'utf8').split('\n');
    return [
      Number(pid),
      () => {
        running.resume();
        return running.ended();
      },
    ];
  }

  /** Makes the tries in a place. Returns how they ended, and how often the effect of a race was there. */
  async #make(
    attempt: Attempt,
    place: Place,
  ): Promise<{ ends: End[]; won: number; events: readonly WireEvent[] }> {
    const cgroup = this.#cgroups[place];
    const before = this.probe.events.length;
    const steps =
      (await attempt.whole?.(place, cgroup)) ??
      runsIn(cgroup, this.at('good'), ...(attempt.steps?.(place, cgroup) ?? []));
    const done = new AbortController();
    const replacing = attempt.replacing === true && this.#replaceTables(done.signal);
    const all = await Promise.all(
      Array.from({ length: attempt.replacing === true ? 3 : 1 }, () =>
        this.probe.run(
          undefined,
          steps.map((step) => (step === TRIES ? (place === 'denied' ? MANY : FEW) : step)),
        ),
      ),
    ).finally(() => done.abort());
    await replacing;
    const results = all.flatMap((one) => one.results);
    const events = this.probe.events.slice(before).filter(({ cgroupId }) => cgroupId === cgroup.id);
    return {
      ends: attempt.endsOf?.(results) ?? [],
      won: (await attempt.race?.(results)) ?? 0,
      events,
    };
  }

  /** As a session that an engine begins in a running container: its own processes run the steps, from another program on. */
  async sessions(cgroup: TestCgroup, ...steps: Step[]): Promise<Step[]> {
    const [pid, end] = await this.#waitingIn(cgroup);
    this.#ends.push(end);
    return [
      ...['callfd', 'pidfd_open', pid, 0, ';'],
      ...['call', 'setns', '@', CLONE_NEWNS | CLONE_NEWPID, ';'],
      ...many('fork', '[', 'enter', cgroup.dir, ...steps, ']'),
    ];
  }

  /** Names of the rules that match what the container's own programs have done: as the agent asks them. */
  #matching(engine: RuleEngine | undefined, events: readonly WireEvent[]): string[] {
    // Before it runs its program, it is a runtime's set-up.
    const begun = events.findIndex(({ exec }) => exec?.filename.startsWith(this.dir));
    return events.slice(begun + 1).flatMap((event) => {
      const { exec } = event;
      const image = exec?.file && {
        exePath: exec.file.path,
        exeUpperLayer: exec.file.upperLayer,
        exeMemfd: exec.file.memfd,
        name: event.comm,
        args: [...exec.argv.slice(1)],
      };
      const process = makeProcess({
        ...(image && { image }),
        startBootNs: LONG_AGO,
        parent: PARENT,
      });
      const subject = makeSubject(event, { process, container: OLD_CONTAINER });
      return engine?.evaluate(subject, 'all').map(({ rule }) => rule.name) ?? [];
    });
  }

  async #makeOnce(attempt: Attempt, place: Place) {
    try {
      return await this.#make(attempt, place);
    } finally {
      for (const end of this.#ends.splice(0)) await end();
      await attempt.restore?.();
    }
  }

  /** Makes the tries in all places, and asserts that they end as they are said to. */
  async assertOutcome(attempt: Attempt, outcome: Outcome): Promise<void> {
    const prevented = outcome === 'refused' || outcome === 'ended';
    for (const place of PLACES) {
      const { ends, won, events } = await this.#makeOnce(attempt, place);
      const elsewhere = attempt.elsewhere ?? 'made';
      const expected = place === 'denied' && prevented ? outcome : elsewhere;
      if (attempt.race === undefined) {
        assert.deepEqual([...new Set(ends)], [expected], place);
        const tries = attempt.replacing === true ? 3 * MANY : MANY;
        if (place === 'denied') assert.equal(ends.length, tries);
        else assert.ok(ends.length >= FEW, `${place}: ${ends.length}`);
      } else if (place === 'denied') {
        assert.equal(won, 0, 'none has had the effect');
      } else {
        assert.ok(won > 0, `${place}: the race is won where nothing is denied`);
      }
      if (prevented) continue;
      if (place === 'denied') {
        const matched = this.#matching(this.#rules, events).length;
        if (outcome === 'killed after') assert.ok(matched >= MANY, `${matched} matched`);
        else assert.equal(matched, 0, 'the rule that denies does not match');
      } else if (place === 'neighbour' && outcome !== 'killed after') {
        // There is no table here that keeps in the kernel what the default rules want.
        const rules = [...new Set(this.#matching(this.#defaultRules, events))];
        if (outcome === 'not seen') assert.deepEqual(rules, []);
        else assert.ok(rules.includes(outcome.reportedBy), `reported by: ${rules.join(', ')}`);
      }
    }
  }
}
