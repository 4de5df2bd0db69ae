import { realpathSync, rmdirSync, statSync } from 'node:fs';
import { makeOwnCgroup } from '../apps/own-cgroup.ts';
import type { KernelEvent } from '../events/event.ts';
import type { LiveProbe } from '../probe/live.ts';
import { loaderAddon, runAsContainer } from '../probe/trials.ts';
import { levelOf } from '../probe/scope.ts';
import { loadRules } from '../rules/loader/load.ts';
import { atOnce } from '../shared/turns.ts';
import { ruleClausesOf, withCertainRules } from './verdicts/rule-clauses.ts';
import { verdictTableOf } from './verdicts/table.ts';

const TABLE = 1;
const WAIT_MS = 3000;
const DENIED = 0;
const DONE = 1;
const NOT_TRIED = 2;

/** What every Linux has, as the other self-test uses it. */
const PROGRAM = '/bin/true';
/** An address that nobody has (RFC 5737), and the port of discard: without the denial a datagram socket is only assigned the address. */
const ADDRESS = '192.0.2.1';
const PORT = 9;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
/** Where the trial's own server listens, which takes the name away again. */
const SOCKET = `/tmp/varvel-denial-${process.pid}.sock`;
/** Of util-linux. */
const UNSHARE = '/usr/bin/unshare';

interface Trial {
  /** `directory`: that of the test's cgroup, of which the process is. */
  readonly condition: (directory: string) => string;
  /** What a container's process does. Its exit code says what became of it. */
  readonly script: (directory: string) => string;
  /** How many of its calls are denied, and told; default 1. */
  readonly records?: number;
}

const TRIALS = {
  program: {
    condition: () =>
      `evt.type in (execve, execveat) and proc.exepath = ${JSON.stringify(realpathSync(PROGRAM))}`,
    script: () => `
const { error, signal } = require('child_process').spawnSync('${PROGRAM}');
process.exit(signal === 'SIGKILL' ? ${DENIED} : error === undefined ? ${DONE} : ${NOT_TRIED});
`,
  },
  connection: {
    condition: () => `evt.type = connect and fd.sip = "${ADDRESS}"`,
    script: () => `
const { createSocket } = require('dgram');
const isRefused = (error) => error && error.code === 'EPERM';
let isTried = false;
const send = (error) => {
  if (isTried) return;
  isTried = true;
  if (!isRefused(error)) process.exit(${DONE});
  const end = (error) => process.exit(isRefused(error) ? ${DENIED} : ${DONE});
  createSocket('udp4').on('error', end).send('x', ${PORT}, '${ADDRESS}', end);
};
createSocket('udp4').on('error', send).connect(${PORT}, '${ADDRESS}', send);
`,
    records: 2,
  },
  unix: {
    condition: () => `evt.type = connect and fd.name = ${JSON.stringify(SOCKET)}`,
    script: () => `
const { connect, createServer } = require('net');
const server = createServer();
server.on('error', () => process.exit(${NOT_TRIED}));
server.listen('${SOCKET}', () => {
  const end = (code) => server.close(() => process.exit(code));
  const client = connect('${SOCKET}', () => client.destroy(end(${DONE})));
  client.on('error', ({ code }) => end(code === 'EPERM' ? ${DENIED} : ${NOT_TRIED}));
});
`,
  },
  file: {
    condition: (directory) =>
      `(evt.type in (open, openat) and fd.name = ${JSON.stringify(realpathSync(PROGRAM))})
       or (evt.type = rmdir and evt.arg.path = ${JSON.stringify(directory)})`,
    // The directory has a process in it: without the denial it is not removed either.
    script: (directory) => `
const { closeSync, openSync, rmdirSync } = require('fs');
const codeOf = (call) => {
  try {
    call();
  } catch ({ code }) {
    return code;
  }
};
const open = codeOf(() => closeSync(openSync('${PROGRAM}')));
if (open !== undefined && open !== 'EPERM') process.exit(${NOT_TRIED});
const remove = codeOf(() => rmdirSync(${JSON.stringify(directory)}));
process.exit(open === 'EPERM' && remove === 'EPERM' ? ${DENIED} : ${DONE});
`,
    records: 2,
  },
  cgroup: {
    condition: () => 'evt.type = bind',
    script: () => `
const server = require('net').createServer();
server.on('error', ({ code }) => process.exit(code === 'EPERM' ? ${DENIED} : ${NOT_TRIED}));
server.listen(0, '0.0.0.0', () => process.exit(${DONE}));
`,
  },
  // A call that is judged by who makes it, and that Node and every process can make.
  call: {
    condition: () => 'evt.type = listen',
    script: () => `
const server = require('net').createServer();
server.on('error', ({ code }) => process.exit(code === 'EPERM' ? ${DENIED} : ${NOT_TRIED}));
server.listen('\\0varvel-denial-' + process.pid, () => process.exit(${DONE}));
`,
  },
  memory: {
    condition: () => `evt.type = mmap and evt.rawarg.prot = ${PROT_WRITE | PROT_EXEC}`,
    script: () => `
const { constants } = require('os');
const error = require(${JSON.stringify(loaderAddon)}).tryExecutableMemory();
process.exit(error === constants.errno.EPERM ? ${DENIED} : error === 0 ? ${DONE} : ${NOT_TRIED});
`,
  },
  namespace: {
    condition: () => 'evt.type = unshare and evt.arg.flags contains CLONE_NEWUSER',
    // Its message is in English: the environment is empty.
    script: () => `
const { status, stderr } = require('child_process').spawnSync('${UNSHARE}', ['--user', '${PROGRAM}']);
const isRefused = status !== 0 && String(stderr).includes('Operation not permitted');
process.exit(isRefused ? ${DENIED} : status === 0 ? ${DONE} : ${NOT_TRIED});
`,
  },
} satisfies Record<string, Trial>;

export type DenialTrial = keyof typeof TRIALS;
/** Tried by doctor alone: few rules deny these, and to load what refuses them takes a starting agent 0.3 s each. */
export type DoctorsTrial = 'unix' | 'cgroup' | 'memory' | 'namespace';
/** What the agent tries at its start. */
export type StartTrial = Exclude<DenialTrial, DoctorsTrial>;

/** `untold`: it was denied, but no record said so. `not tried`: the program of the test could not be run. */
export type DenialOutcome = 'denied' | 'untold' | 'not denied' | 'not tried';

/**
 * Tries whether this kernel denies what a rule denies: a process in a cgroup and in namespaces of its own, as a container has them,
 * runs a program, connects and sends a message, connects to a unix socket, opens a file and removes a directory, binds and listens, or makes executable memory or a user namespace. That the probe loads proves nothing of it. Pass the events of its cgroup to `see`.
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
    if (event.denied) this.#told++;
  }

  /** Tries it, and waits for its record (at most 3 s). Throws UserError if it cannot be tried. */
  async run(trial: DenialTrial): Promise<DenialOutcome> {
    this.#told = 0;
    const { condition, script, records = 1 }: Trial = TRIALS[trial];
    try {
      this.#probe.setVerdicts(TABLE, tableThatDenies(condition(this.#directory)));
      const code = runAsContainer(this.#directory, script(this.#directory));
      if (code !== DENIED) return code === DONE ? 'not denied' : 'not tried';
      return (await this.#isTold(records)) ? 'denied' : 'untold';
    } finally {
      // All that its processes did is known by now: it is the test's, and nobody's detection.
      while (this.#probe.drain() > 0);
      this.#probe.setVerdicts(TABLE, undefined);
    }
  }

  /** Removes the cgroup. */
  end(): void {
    this.#probe.scope.delete(this.cgroupId);
    rmdirSync(this.#directory);
  }

  async #isTold(records: number): Promise<boolean> {
    const end = performance.now() + WAIT_MS;
    for (;;) {
      this.#probe.drain();
      if (this.#told >= records || performance.now() >= end) return this.#told >= records;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }
}

function tableThatDenies(condition: string): Uint8Array {
  const text = `
- rule: denied
  desc: d
  condition: ${JSON.stringify(condition)}
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
