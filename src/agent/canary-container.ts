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

/** The process needs milliseconds; it is killed after so long. */
const ACTION_MS = 10_000;
/** A cgroup goes when its last process has: until then it is tried again. */
const REMOVE_MS = 5_000;
const REMOVE_AGAIN_MS = 20;
/** Of the leftovers of agents that were killed; each has one at most. */
const MAX_LEFTOVERS = 64;

/** The shell enters the cgroup, and runs there what an app would: no shell, which would trip rules of its own. */
const SCRIPT = 'echo 0 > "$1" || exit 101; exec cat -- "$2"';

/** One synthetic container, for one run. */
export interface CanaryContainer {
  readonly cgroupId: number;
  /** A process in it tries to open the path, where nothing is; resolves when it has ended. Rejects with an Error that says why it could not. */
  act(path: string, signal: AbortSignal): Promise<void>;
  /** Removes it with all that is in it. Rejects when that fails for 5 s. */
  remove(): Promise<void>;
}

/** Where the canary's containers are. */
export interface CanaryGround {
  /** `token` names the container. Throws when there can be none. */
  make(token: string): CanaryContainer;
  /** Removes what an agent left that was killed in a run. */
  clear(): Promise<void>;
}

/** Of one state folder, as an agent is. */
export function canaryGroupName(stateDir: string): string {
  return `varvel-canary-${createHash('sha256').update(stateDir).digest('hex').slice(0, 8)}`;
}

/** Every folder that can be the canary's in this hierarchy, whether it is there or not. */
export function canaryGroups(mountPoint: string, stateDir: string): readonly string[] {
  return OWN_CGROUP_PARENTS.map((parent) => join(mountPoint, parent, canaryGroupName(stateDir)));
}

/** A cgroup of the agent's own with one below it for each run; there is neither between two runs. */
export class CanaryCgroups implements CanaryGround {
  readonly #groups: readonly string[];
  readonly #group: string;
  readonly #path: string;

  /** Throws UserError when the agent can make no cgroup. */
  constructor(mountPoint: string, stateDir: string) {
    this.#groups = canaryGroups(mountPoint, stateDir);
    this.#group = makeOwnCgroup(mountPoint, canaryGroupName(stateDir));
    this.#path = this.#group.slice(mountPoint.length);
    try {
      rmdirSync(this.#group);
    } catch {
      // Another agent, which this one replaces, is in a run.
    }
  }

  /** By which the cgroups are containers of the app. */
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
 * Removes what a killed agent left of its canary, also where the canary is off now, before anybody takes it for an app. Only
 * when no other agent runs with this state folder: it may be in a run.
 */
export async function clearLeftCanary(
  { cgroupHierarchy, stateDir }: AgentConfig,
  logger: Logger,
): Promise<void> {
  const { mountPoint } = detectHierarchy(cgroupHierarchy);
  await clearCanaryCgroups(canaryGroups(mountPoint, stateDir)).catch((error: unknown) => {
    logger.warn({ error }, 'What a canary of before left could not be removed.');
  });
}

/** Removes these with the containers in them; what is not there is fine. Rejects when one stays. */
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
        // It has ended meanwhile.
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

/** 0 is a process of a pid namespace that this one does not see. */
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
