import { bootId } from './state.ts';
import type { Apps } from '../apps/apps.ts';
import type { Container } from '../apps/identity.ts';
import type { Process, UserNames } from '../context/process.ts';
import { ProcFs } from '../context/proc-reader.ts';
import type { ProcessTree } from '../context/process-tree.ts';
import { SetupRoots } from '../context/setup-roots.ts';
import { ContainerUsers } from '../context/users.ts';
import type { KernelEvent } from '../events/event.ts';
import { bootNs, type SystemBootClock } from '../host/boot-clock.ts';
import { PolicyFiles } from '../policy/policy-files.ts';
import { PolicyPins } from '../policy/policy-pins.ts';
import { containerRootReader } from '../host/root-reader.ts';
import type { Logger } from '../shared/logger.ts';
import { diskTrouble } from '../shared/disk-trouble.ts';
import { OwnFolder } from '../host/own-folder.ts';
import type { StateTroubles } from '../shared/state-troubles.ts';
import { UserError } from '../shared/user-error.ts';

/** Options of `Insides`. */
export interface InsidesOptions {
  readonly apps: Apps;
  readonly pins: PolicyPins;
  readonly clock: SystemBootClock;
  /** As `ProcessTree.programSince`. */
  readonly programSince: ProcessTree['programSince'];
}

/** What is read of containers' own files: the names of their users, and the policies that apps bring. */
export class Insides {
  readonly policies: PolicyFiles;
  readonly #users: ContainerUsers;
  readonly #setupRoots: SetupRoots;

  constructor({ apps, pins, clock, programSince }: InsidesOptions) {
    const procReader = new ProcFs();
    this.#users = new ContainerUsers({
      rootReader: containerRootReader,
      procReader,
      imageOf: (root) => apps.imageOf(root),
      processIn: (root) => apps.firstProcessOf(root),
    });
    this.policies = new PolicyFiles({
      rootReader: containerRootReader,
      procReader,
      pins,
      bootId: bootId(),
      nowMs: () => performance.now(),
      programSince,
      bootNs,
      unixMinusBootNs: () => clock.unixMinusBootNs,
      ownerOf: (root) => apps.registry.ownerOf(root),
      processesOf: (runtime, key) => apps.processesOf(runtime, key),
      onAnswered: (runtime, key) => apps.onFileAnswer(runtime, key),
    });
    this.#setupRoots = new SetupRoots({
      rootReader: containerRootReader,
      procReader,
      isWanted: (root) => this.#users.isUnknown(root) || this.policies.isWanted(root),
      look: (root, pid, startTicks, where) => {
        if (where === 'root') this.policies.lookAtSetup(root, pid, startTicks);
        return this.#users.readAhead(root, pid, startTicks, where);
      },
    });
    apps.listen({ onForgotten: (root) => this.#users.forget(root) });
  }

  /** A process of the runtime is in a container that it sets up. */
  onSetup(root: number, process: Process): void {
    this.#setupRoots.watch(root, process);
  }

  onEvent(event: KernelEvent, process: Process): void {
    if (event.exec === undefined || process.setup || event.result !== 0) return;
    const { pid, vpid, startBootNs } = process;
    const program = { pid, vpid, startBootNs, sinceBootNs: event.bootNs };
    this.policies.onProgram(event.cgroupId, program);
  }

  /** The names of the users of the container with this root cgroup, in which the process is; sees to it that they are read. */
  usersOf(root: number, process: Process): UserNames {
    // What the runtime does while it sets a container up is not reported, and names nobody.
    if (!process.setup) this.#users.ensure(root, process.pid, process.startBootNs);
    return this.#users.names(root);
  }

  stop(): void {
    this.#setupRoots.stop();
  }
}

/** Where policies outlive the agent. */
export interface KeptPins {
  readonly pins: PolicyPins;
  /** Tries again what the disk did not take. To be called every few seconds. */
  retry(): void;
  close(): void;
}

const PINNED = "apps' policies as they were first read";

/**
 * Opens the folder for them. A disk that takes nothing is among the troubles. What is no folder of the agent's own is set
 * aside, with a warning. Throws UserError when the agent may not use the folder.
 */
export function openPins(stateDir: string, logger: Logger, troubles: StateTroubles): KeptPins {
  const path = `${stateDir}/policies`;
  let folder: OwnFolder | undefined;
  const onProblem = (error: unknown): void => {
    if (diskTrouble(error) === undefined)
      logger.warn(
        { folder: path, error },
        'A policy could not be kept on disk, or read from it: after a restart of the agent it may count as unverified.',
      );
    else
      troubles.begin(PINNED, error, 'After a restart of the agent they may count as unverified.');
  };
  const open = (): OwnFolder | undefined => {
    try {
      const { folder, setAside } = OwnFolder.openOrSetAside(path);
      if (setAside)
        logger.warn(
          { folder: path },
          `${path} was moved to ${path}.damaged: it was no folder of the agent's own. Apps' policies may count as unverified now. Find out who made it.`,
        );
      return folder;
    } catch (error) {
      if (diskTrouble(error) === undefined) throw unusable(path, error);
      onProblem(error);
      return undefined;
    }
  };
  folder = open();
  const pins = new PolicyPins(folder, onProblem);
  return {
    pins,
    retry: () => {
      if (pins.isKept) {
        troubles.end(PINNED);
        return;
      }
      try {
        folder ??= open();
      } catch (error) {
        onProblem(error);
      }
      if (folder !== undefined && pins.keepIn(folder)) troubles.end(PINNED);
    },
    close: () => folder?.close(),
  };
}

function unusable(path: string, error: unknown): UserError {
  const why = error instanceof Error ? error.message : String(error);
  return new UserError(
    `The folder ${path} cannot be used: ${why}. It keeps what apps' policies said when the apps started. Set state_dir to a folder of the agent's own.`,
    { cause: error },
  );
}

/** Files by which apps ask, before the stage is there that finds them. */
export function filesOf(insides: () => Insides, onForgotten: (fullId: string) => void) {
  return {
    answerOf: (container: Container) => insides().policies.answerOf(container),
    lookInto: (container: Container, pids: readonly number[], isLast: boolean) =>
      insides().policies.lookInto(container, pids, isLast),
    giveUp: (container: Container) => insides().policies.giveUp(container),
    ended: (runtime: Container['runtime'], key: string) => insides().policies.ended(runtime, key),
    forget: (runtime: Container['runtime'], key: string) => {
      onForgotten(key);
      insides().policies.forget(runtime, key);
    },
  };
}
