import { realpathSync, rmdirSync, statSync } from 'node:fs';
import { makeOwnCgroup } from '../apps/own-cgroup.ts';
import type { KernelEvent } from '../events/event.ts';
import { runAsContainer, type LiveProbe } from '../probe/live.ts';
import { levelOf } from '../probe/scope.ts';
import { loadRules } from '../rules/loader/load.ts';
import { atOnce } from '../shared/turns.ts';
import { ruleClausesOf, withCertainRules } from './verdicts/rule-clauses.ts';
import { verdictTableOf } from './verdicts/table.ts';

/** What every Linux has, as the other self-test uses it. */
const PROGRAM = '/bin/true';
const TABLE = 1;
const WAIT_MS = 3000;
const KILLED = 0;
const RAN = 1;
const NOT_RUN = 2;
/** Runs the program as a container's process would. */
const SCRIPT = `
const { error, signal } = require('child_process').spawnSync('${PROGRAM}');
process.exit(signal === 'SIGKILL' ? ${KILLED} : error === undefined ? ${RAN} : ${NOT_RUN});
`;

/** `ended`: before its first instruction, and the record says so. `untold`: it was ended, but no record said that it was denied. */
export type DenialOutcome = 'ended' | 'untold' | 'ran' | 'not run';

/**
 * Tries whether this kernel ends a program that a rule denies before its first instruction: a process in a cgroup and in namespaces of
 * its own, as a container has them, runs one. That the probe loads proves nothing of it. Pass the events of its cgroup to `see`.
 */
export class DenialTest {
  readonly cgroupId: number;
  readonly #directory: string;
  readonly #probe: LiveProbe;
  #told = 0;

  /** Creates the cgroup below the hierarchy's mount point and puts it in scope. Throws UserError if it cannot. */
  constructor(probe: LiveProbe, hierarchyMountPoint: string) {
    this.#probe = probe;
    this.#directory = makeOwnCgroup(hierarchyMountPoint, `varvel-denial-${process.pid}`);
    this.cgroupId = statSync(this.#directory).ino;
    const path = this.#directory.slice(hierarchyMountPoint.length);
    probe.scope.set(this.cgroupId, 'included', levelOf(path), TABLE);
  }

  /** An event of the test's cgroup. */
  see(event: KernelEvent): void {
    if (event.exec?.denied === true) this.#told++;
  }

  /** Runs the program, waits for its record (at most 3 s) and removes the cgroup. Throws UserError if it cannot be tried. */
  async run(): Promise<DenialOutcome> {
    try {
      this.#probe.setVerdicts(TABLE, tableThatDenies(realpathSync(PROGRAM)));
      const code = runAsContainer(this.#directory, SCRIPT);
      if (code !== KILLED) return code === RAN ? 'ran' : 'not run';
      return (await this.#isTold()) ? 'ended' : 'untold';
    } finally {
      // All that its processes did is known by now: it is the test's, and nobody's detection.
      while (this.#probe.drain() > 0);
      this.#probe.setVerdicts(TABLE, undefined);
      this.#probe.scope.delete(this.cgroupId);
      rmdirSync(this.#directory);
    }
  }

  async #isTold(): Promise<boolean> {
    const end = performance.now() + WAIT_MS;
    for (;;) {
      this.#probe.drain();
      if (this.#told > 0 || performance.now() >= end) return this.#told > 0;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}

function tableThatDenies(path: string): Uint8Array {
  const text = `
- rule: denied
  desc: d
  condition: evt.type in (execve, execveat) and proc.exepath = ${JSON.stringify(path)}
  output: x
  priority: ERROR
`;
  const { ruleSet } = loadRules([{ name: 'self-test', text }]);
  if (ruleSet === undefined) throw new Error('the self-test’s rule does not load');
  const { rules } = ruleSet;
  const clauses = atOnce(ruleClausesOf(rules, undefined));
  const certain = atOnce(withCertainRules(clauses, rules, undefined, new Set(rules)));
  const { bytes } = atOnce(verdictTableOf(certain));
  if (bytes === undefined) throw new Error('the self-test’s table does not fit');
  return bytes;
}
