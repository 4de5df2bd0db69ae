import { lstatSync, readdirSync, readFileSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { canaryGroups } from '../agent/canary-container.ts';
import { RECORD, RECORDS_FOLDER } from '../agent/denied-record.ts';
import { pinnedDirectories, removePins } from '../agent/pinned-denial.ts';
import { LIFTS_FILE } from '../agent/stored-lifts.ts';
import type { AgentConfig } from '../config/config.ts';
import { askAgent } from '../metrics/endpoint-client.ts';
import { ownerIn } from '../host/own-folder.ts';
import { MARKS_FOLDER, PauseMarks } from '../responses/pause-marks.ts';
import { UserError } from '../shared/user-error.ts';
import type { Io } from './io.ts';

/** Names that an agent gives, and those of nobody else's. */
const OWNER = /^owner(?:\.\d+)?$/;
const STATE = ['numbers', 'alive', 'succession.sock', LIFTS_FILE, `${LIFTS_FILE}.new`];
const SPOOL_FILE = /^(?:\d{12}\.spool(?:\.done|\.damaged)?|receiver(?:\.damaged)?)$/;
const PIN = /^[0-9a-f]{40}(?:\.new)?$/;
const SPOOLS = ['loggregator', 'syslog', 'http', 'otlp'];
const SELF_TEST = /^varvel-selftest-(\d+)$/;

/**
 * `varvel uninstall`: removes what the agents of this configuration have left outside their log files, and says what. Asks
 * nothing; a second time it finds nothing. Exit code 0 when nothing of an agent is left, 1 when something could not be
 * removed. `mounts`: the cgroup hierarchies. Throws UserError while an agent runs.
 */
export async function runUninstall(
  config: AgentConfig,
  io: Io,
  mounts: readonly string[] = cgroupMounts(),
): Promise<number> {
  await refuseWhileRunning(config);
  const removal = new Removal(io);
  const { stateDir, runDir, metrics } = config;
  removal.folder(stateDir, (state) => {
    state.files((name) => STATE.includes(name.replace(/\.damaged$/, '')) || OWNER.test(name));
    state.folder('policies', (policies) => policies.files((name) => PIN.test(name)));
    state.folder(RECORDS_FOLDER, (records) => records.files((name) => RECORD.test(name)));
    // Without their marks nobody would find them.
    state.folder(MARKS_FOLDER, () => thawLeft(stateDir));
    state.folder('spool', (spools) => {
      for (const name of SPOOLS) {
        spools.folder(name, (spool) =>
          spool.files((file) => SPOOL_FILE.test(file) || OWNER.test(file)),
        );
      }
    });
  });
  if (metrics.listen.kind === 'unix') removal.socket(metrics.listen.path);
  if (metrics.scrapeSocket !== undefined) removal.socket(metrics.scrapeSocket.path);
  removal.folder(runDir, () => undefined);
  const failedBefore = removal.failed;
  removal.attempt(config.probe.bpfFileSystem, () => {
    for (const directory of pinnedDirectories(config.probe.bpfFileSystem, stateDir))
      removal.pins(directory);
  });
  const isUnpinned = removal.failed === failedBefore;
  removeSelfTestCgroups(removal, mounts);
  removeCanaryCgroups(removal, stateDir, mounts);
  if (removal.removed + removal.failed + removal.left === 0)
    io.stdout('Nothing of an agent is left on this host.\n');
  if (isUnpinned) io.stdout('Nothing of an agent is in the kernel any more.\n');
  io.stdout('Configuration, rules and log files are yours, and stay.\n');
  return removal.failed === 0 ? 0 : 1;
}

/** Lets containers go on that an agent has left paused, and removes the marks of these. Throws an Error with `code` for the others. */
function thawLeft(stateDir: string): void {
  const [failed] = new PauseMarks(stateDir).thawLeft().failed;
  if (failed !== undefined) throw Object.assign(new Error(failed.directory), { code: failed.code });
}

async function refuseWhileRunning({ stateDir, metrics }: AgentConfig): Promise<void> {
  const owner = ownerIn(stateDir);
  if (owner !== undefined)
    throw new UserError(
      `An agent is running (process ${owner}, state folder ${stateDir}): stop it first. Nothing was removed.`,
    );
  const answers = await askAgent(metrics.listen, '/healthz').then(
    () => true,
    () => false,
  );
  if (answers)
    throw new UserError(
      'An agent answers on metrics.listen of this configuration: stop it first. Nothing was removed.',
    );
}

/** Removes what is named to it and tells each; what it meets besides stays, and is told too. */
class Removal {
  removed = 0;
  failed = 0;
  /** Folders with more in them than an agent's own. */
  left = 0;
  readonly #io: Io;

  constructor(io: Io) {
    this.#io = io;
  }

  /** The folder with what `within` names of it; it stays if there is more. */
  folder(path: string, within: (folder: FolderRemoval) => void): void {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return;
    // A link may lead to what is not ours.
    if (!stat.isDirectory()) {
      this.#fail(path, 'it is no folder, so not one of an agent');
      return;
    }
    this.attempt(path, () => {
      within(new FolderRemoval(path, this));
      const [other] = readdirSync(path);
      if (other === undefined) this.#done(path, () => rmdirSync(path));
      else {
        this.left++;
        this.#io.stderr(`left ${path}: ${other} in it is not an agent’s own\n`);
      }
    });
  }

  file(path: string): void {
    this.attempt(path, () => this.#done(path, () => unlinkSync(path)));
  }

  socket(path: string): void {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return;
    if (stat.isSocket()) this.file(path);
    else this.#fail(path, 'it is no socket, so not one of an agent');
  }

  /** What denies in the kernel without an agent. */
  pins(directory: string): void {
    this.attempt(directory, () => this.#done(directory, () => removePins(directory)));
  }

  cgroup(path: string): void {
    this.attempt(path, () => this.#done(path, () => rmdirSync(path)));
  }

  attempt(path: string, action: () => void): void {
    try {
      action();
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      this.#fail(path, code === 'EACCES' || code === 'EPERM' ? `${code}: run this as root` : code);
    }
  }

  #done(path: string, remove: () => void): void {
    remove();
    this.removed++;
    this.#io.stdout(`removed ${path}\n`);
  }

  #fail(path: string, why: string): void {
    this.failed++;
    this.#io.stderr(`left ${path}: ${why}\n`);
  }
}

class FolderRemoval {
  readonly #path: string;
  readonly #removal: Removal;

  constructor(path: string, removal: Removal) {
    this.#path = path;
    this.#removal = removal;
  }

  files(isOurs: (name: string) => boolean): void {
    for (const name of readdirSync(this.#path)) {
      if (isOurs(name)) this.#removal.file(join(this.#path, name));
    }
  }

  folder(name: string, within: (folder: FolderRemoval) => void): void {
    this.#removal.folder(join(this.#path, name), within);
  }
}

/** Left by an agent that was killed in the second of its self-test. Other agents' tests may be running. */
function removeSelfTestCgroups(removal: Removal, mounts: readonly string[]): void {
  for (const mount of mounts) {
    for (const name of namesIn(mount)) {
      const pid = SELF_TEST.exec(name)?.[1];
      if (pid === undefined || lstatSync(`/proc/${pid}`, { throwIfNoEntry: false }) !== undefined)
        continue;
      removal.cgroup(join(mount, name));
    }
  }
}

/** What an agent leaves that was killed within a run of its canary. */
function removeCanaryCgroups(removal: Removal, stateDir: string, mounts: readonly string[]): void {
  for (const mount of mounts) {
    for (const group of canaryGroups(mount, stateDir)) {
      if (lstatSync(group, { throwIfNoEntry: false }) === undefined) continue;
      for (const name of namesIn(group)) {
        const below = join(group, name);
        if (lstatSync(below, { throwIfNoEntry: false })?.isDirectory() === true)
          removal.cgroup(below);
      }
      removal.cgroup(group);
    }
  }
}

/** Every hierarchy that is mounted here, v1 and v2 (proc_pid_mountinfo(5)); spaces in paths are escaped there and skipped. */
function cgroupMounts(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => / - cgroup2? /.test(line))
    .map((line) => line.split(' ')[4] ?? '');
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
