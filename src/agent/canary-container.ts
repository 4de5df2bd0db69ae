import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { detectHierarchy } from '../apps/cgroup-hierarchy.ts';
import { makeOwnCgroup, OWN_CGROUP_PARENTS } from '../apps/own-cgroup.ts';
import type { CgroupAppRule } from '../apps/runtimes/cgroup.ts';
import type { CanaryConfig } from '../config/canary-config.ts';
import type { AgentConfig } from '../config/config.ts';
import type { Logger } from '../shared/logger.ts';

/** The process needs milliseconds; it is killed after this time. */
const ACTION_MS = 10_000;
/** A cgroup can be removed only after its last process has exited: removal is retried until this time. */
const REMOVE_MS = 5_000;
const REMOVE_AGAIN_MS = 20;
/** Limit on leftovers of killed agents; each leaves at most one. */
const MAX_LEFTOVERS = 64;

/** The shell enters the cgroup, then becomes `cat`, as an app would run: a shell that stays would trigger other rules. */
const SCRIPT = 'echo 0 > "$1" || exit 101; exec cat -- "$2"';

/** One synthetic container, for one run. */
export interface CanaryContainer {
  readonly cgroupId: number;
  /**
   * Starts a process in it that tries to open the path, which does not exist; resolves when it has exited. Rejects with an
   * Error that gives the reason if that fails.
   */
  act(path: string, signal: AbortSignal): Promise<void>;
  /** Removes it with all its processes. Rejects after 5 s of failures. */
  remove(): Promise<void>;
}

/** Creates and removes the canary's containers. */
export interface CanaryGround {
  /** `token` names the container. Throws if it cannot be created. */
  make(token: string): CanaryContainer;
  /** Removes what an agent left that was killed during a run. */
  clear(): Promise<void>;
}

/** One name per state folder, as there is one agent per state folder. */
export function canaryGroupName(stateDir: string): string {
  return `varvel-canary-${createHash('sha256').update(stateDir).digest('hex').slice(0, 8)}`;
}

/** Every folder that can be the canary's in this hierarchy, whether it exists or not. */
export function canaryGroups(mountPoint: string, stateDir: string): readonly string[] {
  return OWN_CGROUP_PARENTS.map((parent) => join(mountPoint, parent, canaryGroupName(stateDir)));
}

/** A cgroup of the agent's own, with a child per run; neither exists between two runs. */
export class CanaryCgroups implements CanaryGround {
  readonly #groups: readonly string[];
  readonly #group: string;
  readonly #path: string;

  /** Throws UserError if the agent cannot create a cgroup. */
  constructor(mountPoint: string, stateDir: string) {
    this.#groups = canaryGroups(mountPoint, stateDir);
    this.#group = makeOwnCgroup(mountPoint, canaryGroupName(stateDir));
    this.#path = this.#group.slice(mountPoint.length);
    try {
      rmdirSync(this.#group);
    } catch {
      // The agent that this one replaces is in a run.
    }
  }

  /** The rule that makes these cgroups containers of the app. */
  ruleFor(app: CanaryConfig['app']): CgroupAppRule {
    const { name, guid, space, org } = app;
    return { pattern: `${this.#path}/*`, app: name, guid, space, org };
  }

  /** Whether a cgroup with this path is one of the canary's. */
  owns(path: string): boolean {
    return path.startsWith(`${this.#path}/`);
  }

  make(token: string): CanaryContainer {
    mkdirSync(this.#group, { recursive: true });
    const directory = join(this.#group, token);
    mkdirSync(directory);
    return {
      cgroupId: statSync(directory).ino,
      act: (path, signal) => actIn(directory, path, signal),
      remove: async () => {
        await removeCgroup(directory);
        await removeCgroup(this.#group);
      },
    };
  }

  clear(): Promise<void> {
    return clearCanaryCgroups(this.#groups);
  }
}

/**
 * Removes what a killed agent left of its canary, even if the canary is off now, before it is mistaken for an app. Call it only
 * if no other agent uses this state folder: that one may be in a run.
 */
export async function clearLeftCanary(
  { cgroupHierarchy, stateDir }: AgentConfig,
  logger: Logger,
): Promise<void> {
  const { mountPoint } = detectHierarchy(cgroupHierarchy);
  await clearCanaryCgroups(canaryGroups(mountPoint, stateDir)).catch((error: unknown) => {
    logger.warn({ error }, 'What an earlier canary left could not be removed.');
  });
}

/** Removes these groups with the containers in them; missing ones are skipped. Rejects if one cannot be removed. */
export async function clearCanaryCgroups(groups: readonly string[]): Promise<void> {
  for (const group of groups) {
    if (lstatSync(group, { throwIfNoEntry: false }) === undefined) continue;
    const below = readdirSync(group, { withFileTypes: true }).filter((it) => it.isDirectory());
    for (const { name } of below.slice(0, MAX_LEFTOVERS)) await removeCgroup(join(group, name));
    await removeCgroup(group);
  }
}

async function removeCgroup(directory: string): Promise<void> {
  const end = performance.now() + REMOVE_MS;
  for (;;) {
    for (const pid of pidsIn(directory)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has exited meanwhile.
      }
    }
    try {
      rmdirSync(directory);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return;
      if (performance.now() >= end)
        throw new Error(`the cgroup ${directory} cannot be removed (${code ?? 'unknown error'})`, {
          cause: error,
        });
    }
    await delay(REMOVE_AGAIN_MS);
  }
}

/** Skips 0: a process of a pid namespace that is not visible here. */
function pidsIn(directory: string): number[] {
  try {
    return readFileSync(join(directory, 'cgroup.procs'), 'latin1')
      .split('\n')
      .map(Number)
      .filter((pid) => pid > 0);
  } catch {
    return [];
  }
}

function actIn(directory: string, path: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      '/bin/sh',
      ['-c', SCRIPT, 'varvel-canary', join(directory, 'cgroup.procs'), path],
      {
        stdio: 'ignore',
        cwd: '/',
        env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
        timeout: ACTION_MS,
        killSignal: 'SIGKILL',
        signal,
      },
    );
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(new Error(`/bin/sh cannot be run (${error.code ?? error.message})`)),
    );
    child.once('exit', (code) => {
      const why = whyNot(code, directory);
      if (why === undefined) resolve();
      else reject(new Error(why));
    });
  });
}

function whyNot(code: number | null, directory: string): string | undefined {
  switch (code) {
    case 1:
      return undefined;
    case 0:
      return 'there is a file where nothing should be';
    case 101:
      return `its process cannot enter the cgroup ${directory}`;
    case 126:
    case 127:
      return 'there is no cat to run';
    case null:
      return 'its process did not end, or was killed';
    default:
      return `its process ended with ${code}`;
  }
}
